"""A file over HTTP, whole or not at all: resumed where it broke off, checked, then put in place.

What has come so far lies in `NAME.part`, and beside it, in `NAME.part.version`, what the server
calls this version of the file: it is asked to go on only with the same one. Proxies are those of
the environment (https_proxy, http_proxy, no_proxy). It knows no trace.
"""

import hashlib
import http.client
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from traces.schema import TraceError

BLOCK_BYTES: Final = 1 << 18
TIMEOUT_S: Final = 30.0
AGAIN: Final = "fetch it again, and it goes on from there"
#: What a connection raises that breaks off.
BROKEN: Final = (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError)
#: Told how many bytes have come and how many there are to be, if that is known.
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be fetched, and what is known of it beforehand."""

    url: str
    size_bytes: int | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise TraceError(f"URL {self.url!r} is not allowed: expected http:// or https://")


def download(wanted: Wanted, target: Path, progress: Progress) -> str:
    """The file in its place, and its SHA-256.

    Raises TraceError in one line: nobody there, another size or checksum than wanted, or a
    connection that broke; only then the part that has come is kept for the next time.
    """
    part = _Part(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _receive(wanted, part, progress)
        found = _checked(wanted, part)
        os.replace(part.path, target)
        part.version_path.unlink(missing_ok=True)
    except (TraceError, urllib.error.URLError, *BROKEN) as error:
        raise _refusal(wanted.url, error) from None
    except OSError as error:
        raise TraceError(f"{target}: cannot be written: {error.strerror or error}") from None
    return found


def sha256_of(path: Path) -> str:
    """Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class _Part:
    """What has come of a file so far, and which version of it that is."""

    target: Path

    @property
    def path(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def version_path(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part.version")

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def version(self) -> str:
        """Empty where the server said none: then nothing can be resumed."""
        return self.version_path.read_text() if self.version_path.is_file() else ""

    def begin(self, version: str) -> None:
        self.path.write_bytes(b"")
        self.version_path.write_text(version)

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self.version_path.unlink(missing_ok=True)


def _receive(wanted: Wanted, part: _Part, progress: Progress) -> None:
    """The rest of the file, or all of it where the server would not go on."""
    have = part.size_bytes if part.version else 0
    headers = {"User-Agent": "hotbed", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": part.version}
    request = urllib.request.Request(wanted.url, headers=headers)
    try:
        # An opener of its own: the shared one keeps the proxies of its first use.
        answer = urllib.request.build_opener().open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
            raise
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return  # nothing was missing but the check
        part.drop()
        return _receive(wanted, part, progress)
    with answer:
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0
            part.begin(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.drop()
            raise TraceError("the server went on at another place than asked: fetch it again")
        _append(answer, part, have, progress)


def _append(answer: Any, part: _Part, have: int, progress: Progress) -> None:
    length = answer.headers.get("Content-Length")
    total = have + int(length) if length is not None and length.isdecimal() else None
    with part.path.open("ab") as file:
        while True:
            block = answer.read(BLOCK_BYTES)
            if not block:
                break
            file.write(block)
            have += len(block)
            progress(have, total)
    if total is not None and have < total:
        raise TraceError(f"broke off after {have:,} of {total:,} bytes: {AGAIN}")


def _checked(wanted: Wanted, part: _Part) -> str:
    """The SHA-256; a file that is not the wanted one is not kept."""
    size = part.size_bytes
    if wanted.size_bytes is not None and size != wanted.size_bytes:
        part.drop()
        raise TraceError(f"{size:,} bytes came: expected {wanted.size_bytes:,}; not kept")
    found = sha256_of(part.path)
    if wanted.sha256 is not None and found != wanted.sha256:
        part.drop()
        raise TraceError(
            f"SHA-256 {found} is not that of the file: expected {wanted.sha256}; not kept"
        )
    return found


def _refusal(url: str, error: Exception) -> TraceError:
    if isinstance(error, TraceError):
        return TraceError(f"{url}: {error}")
    if isinstance(error, urllib.error.HTTPError):
        return TraceError(f"{url}: the server says {error.code} {error.reason}")
    if isinstance(error, http.client.HTTPException | TimeoutError):
        return TraceError(
            f"{url}: broke off ({error!r}): fetch it again, and it goes on from there"
        )
    reason = getattr(error, "reason", error)
    return TraceError(
        f"{url}: cannot be reached ({reason}): is this machine online? A proxy is taken from "
        "https_proxy or http_proxy"
    )
