"""A real web server in this process with ranges, that breaks off and lies as it is told."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Site:
    """What the server holds and how it behaves; `asked` are (path, range) of every request."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    versions: bool = True  # an ETag on every answer
    lengths: bool = True  # a Content-Length, and the whole size in Content-Range
    short_by: int = 0  # bytes that each range lacks of what was asked for, consistently said
    statuses: list[int] = field(default_factory=list)  # for the next requests, in turn
    cuts: list[int] = field(default_factory=list)  # bytes of the next large answers, then hang up
    silent: bool = False  # takes requests and says nothing
    flip: list[int] = field(default_factory=list)  # places in the file whose next byte is wrong
    before: Callable[[str, str | None], None] = lambda path, wanted: None
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)

    def ranges_of(self, path: str) -> list[str | None]:
        """What was asked for of a file, but for the look at its first byte."""
        return [wanted for asked, wanted in self.asked if asked == path and wanted != "bytes=0-0"]

    def next_of(self, waiting: list[int]) -> int | None:
        with self.lock:
            return waiting.pop(0) if waiting else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        site, wanted = self.site, self.headers.get("Range")
        path = self.path.partition("?")[0]
        with site.lock:
            site.asked.append((path, wanted))
        site.before(path, wanted)
        if site.silent:
            site.closing.wait()
            self.close_connection = True
        elif (status := site.next_of(site.statuses)) is not None:
            self._answer(status, b"")
        elif path not in site.files:
            self._answer(404, b"")
        else:
            self._file(site.files[path], wanted)

    def _file(self, whole: bytes, wanted: str | None) -> None:
        site = self.site
        version = {"ETag": f'"{sha256(whole).hexdigest()[:8]}"'} if site.versions else {}
        if not (site.ranges and wanted):
            return self._answer(200, whole, **version)
        first, last = (int(word) for word in wanted.removeprefix("bytes=").split("-"))
        if first >= len(whole):
            return self._answer(416, b"", **{"Content-Range": f"bytes */{len(whole)}"})
        last = min(last, len(whole) - 1)
        body = bytearray(whole[first : last + 1])
        with site.lock:
            for place in [place for place in site.flip if first <= place <= last]:
                body[place - first] ^= 1
                site.flip.remove(place)
        if last > first and site.short_by:
            del body[-site.short_by :]
        said = f"bytes {first}-{last}/{len(whole) if site.lengths else '*'}"
        self._answer(206, bytes(body), **version, **{"Content-Range": said})

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        if self.site.lengths:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        cut = self.site.next_of(self.site.cuts) if len(body) > 1 else None
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None or not self.site.lengths:
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Not on the tests' standard error."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up before the end is one of the tests."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    handler = type("Handler", (_Handler,), {"site": site})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        site.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
