"""Runs fsspec's coroutines on its event loop from any thread: with a limit, and to be cancelled."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError as FutureCancelledError
from concurrent.futures import Future
from typing import Any, TypeVar

from runtime.store.errors import CancelledError

Result = TypeVar("Result")


class Calls:
    """The requests of one fetch that are under way on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._live: set[Future[Any]] = set()
        self._closed = False

    def run(self, work: Coroutine[Any, Any, Result], limit_s: float) -> Result:
        """What the coroutine gives.

        Raises what it raises, TimeoutError after `limit_s`, and CancelledError after `cancel`.
        """
        with self._lock:
            if self._closed:
                work.close()
                raise CancelledError("the fetch was told to stop")
            future = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, limit_s), self._loop)
            self._live.add(future)
        try:
            return future.result()
        except (FutureCancelledError, asyncio.CancelledError):
            raise CancelledError("the fetch was told to stop") from None
        finally:
            future.cancel()
            with self._lock:
                self._live.discard(future)

    def cancel(self) -> None:
        """End every request, and refuse more."""
        with self._lock:
            self._closed = True
            live = tuple(self._live)
        for future in live:
            future.cancel()
