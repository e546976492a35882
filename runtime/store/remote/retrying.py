"""Tries again what may go better a moment later: a bounded number of times, each with its limit."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from runtime.store.errors import CancelledError
from runtime.store.remote.errors import RemoteError

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one request may be silent, and how often it is made.

    A request of n bytes has `timeout_s` + n / `slowest_bytes_per_s` in all. Pauses between tries
    double, beginning with `pause_s`; setting `stop` ends them, and the fetch.
    """

    timeout_s: float = 30.0
    tries: int = 5
    pause_s: float = 0.5
    slowest_bytes_per_s: float = 65_536.0
    stop: threading.Event = field(default_factory=threading.Event)

    def limit_s(self, size_bytes: int) -> float:
        return self.timeout_s + size_bytes / self.slowest_bytes_per_s


def persistently(patience: Patience, work: Callable[[], Result]) -> Result:
    """What `work` gives. Raises its last RemoteError, or CancelledError once told to stop."""
    for number in range(1, patience.tries + 1):
        if patience.stop.is_set():
            raise CancelledError("the fetch was told to stop")
        try:
            return work()
        except RemoteError as error:
            if not error.again:
                raise
            if number == patience.tries:
                said = f"{error.what} ({number} tries)"
                raise type(error)(error.url, said) from None
        patience.stop.wait(patience.pause_s * 2 ** (number - 1))
    raise AssertionError("there is at least one try")
