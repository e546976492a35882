"""Files of any of fsspec's file systems but HTTP: s3, file, memory and those of other packages."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from runtime.store.errors import StoreError, UnsupportedError
from runtime.store.remote.calls import Calls
from runtime.store.remote.errors import RemoteError, shown
from runtime.store.remote.retrying import Patience, persistently
from runtime.store.remote.sources import Remote, RemoteState, refusal, version_of

BLOCK_BYTES: Final = 1 << 20


@contextmanager
def opened_filesystem(url: str, patience: Patience) -> Iterator[Remote]:
    """Raises UnsupportedError for a scheme that fsspec does not know, or has no package for."""
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(url, skip_instance_cache=True, **_options(url, patience))
    except (ImportError, ValueError) as error:
        raise UnsupportedError(f"{shown(url)}: {' '.join(str(error).split())}") from None
    place = _Place(system, path, url, patience)
    try:
        yield place
    finally:
        place.cancel()
        _close(system)


def _options(url: str, patience: Patience) -> dict[str, Any]:
    """Retries are ours: the file system's own would multiply them."""
    if not url.startswith(("s3://", "s3a://")):
        return {}
    limits = {"connect_timeout": patience.timeout_s, "read_timeout": patience.timeout_s}
    return {"config_kwargs": {**limits, "retries": {"max_attempts": 1}}}


def _close(system: Any) -> None:
    """s3fs keeps a connection open until it is collected, and says so; others have none."""
    client = getattr(system, "_s3", None)
    if client is not None:
        system.close_session(system.loop, client)


class _Place:
    def __init__(self, system: Any, path: str, url: str, patience: Patience) -> None:
        self._system = system
        self._path = path
        self._url = url
        self._patience = patience
        self._calls = Calls(system.loop) if system.async_impl else None

    def file(self, name: str = "") -> "_File":
        path = f"{self._path.rstrip('/')}/{name}" if name else self._path
        url = f"{self._url.rstrip('/')}/{name}" if name else self._url
        info = persistently(self._patience, lambda: self.ask(url, "info", path))
        if info.get("type") == "directory":
            raise refusal(url, FileNotFoundError())
        return _File(self, path, url, RemoteState(info["size"], version_of(info), True))

    def ask(self, url: str, what: str, path: str, size_bytes: int = 0, **words: Any) -> Any:
        """A method of the file system, on its event loop where it has one."""
        try:
            if self._calls is None:
                return getattr(self._system, what)(path, **words)
            work = getattr(self._system, f"_{what}")(path, **words)
            return self._calls.run(work, self._patience.limit_s(size_bytes))
        except StoreError:
            raise
        except Exception as error:  # whatever the package raises: there is no common class
            raise refusal(url, error) from None

    def cancel(self) -> None:
        if self._calls is not None:
            self._calls.cancel()


class _File:
    def __init__(self, place: _Place, path: str, url: str, state: RemoteState) -> None:
        self._place = place
        self._path = path
        self.url = url
        self.state = state

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        if not size_bytes:
            return b""
        end = offset_bytes + size_bytes
        data = self._place.ask(
            self.url, "cat_file", self._path, size_bytes, start=offset_bytes, end=end
        )
        if len(data) != size_bytes:
            what = f"{len(data)} bytes came at byte {offset_bytes}, {size_bytes} were asked for"
            raise RemoteError(self.url, what, again=True)
        return bytes(data)

    def cancel(self) -> None:
        self._place.cancel()

    def blocks(self) -> Iterator[bytes]:
        size = self.state.size_bytes or 0
        for offset in range(0, size, BLOCK_BYTES):
            yield self.read(offset, min(BLOCK_BYTES, size - offset))
