"""A real web server in this process, for tests that fetch: with ranges, and what goes wrong."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Site:
    """What the server holds and how it behaves; `asked` are the requests it saw."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    versions: bool = True  # an ETag on every answer
    cut_after: int | None = None  # bytes of the next answer, before the connection is dropped
    moved: dict[str, str] = field(default_factory=dict)
    wrong_place: bool = False
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def ranges_asked(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.asked.append((self.path, dict(self.headers.items())))
        path = "/" + self.path.rpartition("/")[2].partition("?")[0]
        if path in site.moved:
            self._answer(302, b"", Location=site.moved[path])
        elif path not in site.files:
            self._answer(404, b"")
        else:
            self._file(site.files[path])

    def _file(self, whole: bytes) -> None:
        site = self.site
        version = {"ETag": f'"{hash(whole)}"'} if site.versions else {}
        wanted = self.headers.get("Range")
        same = self.headers.get("If-Range") in (None, version.get("ETag"))
        if not (site.ranges and wanted and same):
            return self._answer(200, whole, **version)
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        if start >= len(whole):
            return self._answer(416, b"", **{"Content-Range": f"bytes */{len(whole)}"})
        said = 0 if site.wrong_place else start
        place = {"Content-Range": f"bytes {said}-{len(whole) - 1}/{len(whole)}"}
        self._answer(206, whole[start:], **version, **place)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        cut, self.site.cut_after = self.site.cut_after, None
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Not on the tests' standard error."""


class _Server(ThreadingHTTPServer):
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
        server.shutdown()
        server.server_close()
        thread.join()
