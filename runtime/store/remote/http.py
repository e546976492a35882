"""Files over HTTP, on the connections of fsspec's file system.

Its own `cat_file` hands over whatever the server sends: here every answer is held against what was
asked (status, place, length, version), so that a server that ignores ranges costs no memory and
one that changes the file midway is found out. Proxies are those of the environment.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from runtime.store.errors import StoreError
from runtime.store.remote.calls import Calls
from runtime.store.remote.errors import RemoteChangedError, RemoteError, RemoteMissingError
from runtime.store.remote.retrying import Patience, persistently
from runtime.store.remote.sources import Remote, RemoteState, refusal

BLOCK_BYTES: Final = 1 << 20
PLAIN: Final = {"Accept-Encoding": "identity", "User-Agent": "hotbed"}
PASSING: Final = (408, 425, 429, 500, 502, 503, 504)  # what a server may say and mean "later"


@contextmanager
def opened_http(url: str, patience: Patience) -> Iterator[Remote]:
    """The place at an http(s) address; its connections are closed afterwards."""
    import aiohttp
    from fsspec.implementations.http import HTTPFileSystem

    timeout = aiohttp.ClientTimeout(
        total=None, sock_connect=patience.timeout_s, sock_read=patience.timeout_s
    )
    words = {"timeout": timeout, "trust_env": True, "auto_decompress": False}
    system = HTTPFileSystem(skip_instance_cache=True, client_kwargs=words)
    calls, closing = Calls(system.loop), Calls(system.loop)
    session = calls.run(system.set_session(), patience.timeout_s)
    try:
        yield _Place(url, session, calls, patience)
    finally:
        calls.cancel()
        closing.run(session.close(), patience.timeout_s)


class _Place:
    def __init__(self, url: str, session: Any, calls: Calls, patience: Patience) -> None:
        self._url = url
        self._session = session
        self._calls = calls
        self._patience = patience

    def file(self, name: str = "") -> "_File":
        url = _beneath(self._url, name) if name else self._url
        state = persistently(self._patience, lambda: self.run(url, self._look(url), 0))
        return _File(self, url, state)

    def run(self, url: str, work: Any, size_bytes: int) -> Any:
        """A coroutine within its limit. Raises RemoteError for whatever it raises."""
        try:
            return self._calls.run(work, self._patience.limit_s(size_bytes))
        except StoreError:
            raise
        except ValueError as error:  # an address that is none
            raise RemoteError(url, f"not an address: {error}") from None
        except Exception as error:  # aiohttp's, the system's, the resolver's
            raise refusal(url, error) from None

    async def _look(self, url: str) -> RemoteState:
        """What the first byte's answer says; many signed addresses refuse HEAD."""
        async with self.get(url, "bytes=0-0") as answer:
            total = answer.headers.get("Content-Range", "").rpartition("/")[2]
            if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and total == "0":
                return RemoteState(0, _version(answer), True)
            _refuse_status(url, answer)
            if answer.status == HTTPStatus.PARTIAL_CONTENT and total.isdecimal():
                return RemoteState(int(total), _version(answer), True)
            length = answer.headers.get("Content-Length", "")
            size = int(length) if length.isdecimal() else None
            answer.close()  # the rest of the file is not wanted
            return RemoteState(size, _version(answer), False)

    def get(self, url: str, wanted: str | None = None) -> Any:
        headers = PLAIN | ({"Range": wanted} if wanted else {})
        return self._session.get(url, headers=headers)

    def cancel(self) -> None:
        self._calls.cancel()


class _File:
    def __init__(self, place: _Place, url: str, state: RemoteState) -> None:
        self._place = place
        self.url = url
        self.state = state

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        if not size_bytes:
            return b""
        work = self._range(offset_bytes, size_bytes)
        data: bytes = self._place.run(self.url, work, size_bytes)
        return data

    async def _range(self, offset: int, size: int) -> bytes:
        wanted = f"bytes {offset}-{offset + size - 1}/{self.state.size_bytes}"
        async with self._place.get(self.url, f"bytes={offset}-{offset + size - 1}") as answer:
            _refuse_status(self.url, answer)
            self._refuse_other(answer)
            place = answer.headers.get("Content-Range", "")
            if answer.status != HTTPStatus.PARTIAL_CONTENT or place != wanted:
                answer.close()
                said = place or f"status {answer.status}"
                raise RemoteError(self.url, f"answers {said!r} where {wanted!r} was asked for")
            return await self._body(answer, offset, size)

    async def _body(self, answer: Any, offset: int, size: int) -> bytes:
        data = bytearray()
        async for block in answer.content.iter_chunked(BLOCK_BYTES):
            data += block
            if len(data) > size:
                break
        if len(data) != size:
            what = f"{len(data)} bytes came at byte {offset}, {size} were asked for"
            raise RemoteError(self.url, what, again=True)
        return bytes(data)

    def _refuse_other(self, answer: Any) -> None:
        if _version(answer) != self.state.version:
            was, now = self.state.version, _version(answer)
            answer.close()
            raise RemoteChangedError(self.url, f"changed while it was read: {was} became {now}")

    def cancel(self) -> None:
        self._place.cancel()

    def blocks(self) -> Iterator[bytes]:
        answer = self._place.run(self.url, self._begin(), 0)
        count = 0
        try:
            while block := self._place.run(self.url, answer.content.read(BLOCK_BYTES), BLOCK_BYTES):
                count += len(block)
                yield block
        finally:
            answer.close()
        if self.state.size_bytes not in (None, count):
            what = f"ended after {count} of {self.state.size_bytes} bytes"
            raise RemoteError(self.url, what, again=True)

    async def _begin(self) -> Any:
        answer = await self._place.get(self.url)
        _refuse_status(self.url, answer)
        self._refuse_other(answer)
        return answer


def _refuse_status(url: str, answer: Any) -> None:
    if answer.status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return
    answer.close()
    said = f"the server says {answer.status} {answer.reason}"
    if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        raise RemoteMissingError(url, said)
    raise RemoteError(url, said, again=answer.status in PASSING)


def _version(answer: Any) -> str:
    return str(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")


def _beneath(url: str, name: str) -> str:
    """A file of the folder at an address, whose query (a key, say) holds for it too."""
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{name}").geturl()
