"""A place elsewhere that files are read from, by its address: http(s), s3, file, memory, and
whatever else fsspec has a package for.

fsspec is imported when an address is opened. What a file holds is not known here.
"""

import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from runtime.store.errors import UnsupportedError
from runtime.store.remote.errors import RemoteError, RemoteMissingError, shown
from runtime.store.remote.retrying import Patience

ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
#: What fsspec's file systems call the version of a file, the surest first.
VERSIONS: Final = ("ETag", "etag", "VersionId", "md5Hash", "LastModified", "mtime", "created")


@dataclass(frozen=True, slots=True)
class RemoteState:
    """What tells one version of a file from another.

    `size_bytes` is None where the server does not say; `version` is empty where it has none.
    `ranged`: pieces can be asked for.
    """

    size_bytes: int | None
    version: str
    ranged: bool


class RemoteFile(Protocol):
    """One file at an address. Reading may be done by several threads at once."""

    url: str
    state: RemoteState

    def read(self, offset_bytes: int, size_bytes: int) -> bytes:
        """Exactly so many bytes. Raises RemoteError, RemoteChangedError where it is another file.

        It tries once: `persistently` tries again.
        """
        ...

    def blocks(self) -> Iterator[bytes]:
        """All of it from the start, in blocks of at most 1 MiB. Raises RemoteError."""
        ...

    def cancel(self) -> None:
        """End every request to its place, from any thread."""
        ...


class Remote(Protocol):
    """The place: a folder or a file, as the address has it."""

    def file(self, name: str = "") -> RemoteFile:
        """A file of the folder, or, without a name, what lies at the address itself.

        Raises RemoteMissingError where there is none, RemoteError where nobody answers.
        """
        ...

    def cancel(self) -> None:
        """End every request, from any thread."""
        ...


def is_address(text: str) -> bool:
    """Whether it names a place elsewhere, rather than a file of this machine by its path."""
    return ADDRESS.match(text) is not None


@contextmanager
def opened(url: str, patience: Patience) -> Iterator[Remote]:
    """The place at an address. Raises UnsupportedError for a scheme without its package."""
    scheme = urlsplit(url).scheme.lower()
    _refuse_missing_packages(url, scheme)
    if scheme in ("http", "https"):
        from runtime.store.remote.http import opened_http

        with opened_http(url, patience) as place:
            yield place
        return
    from runtime.store.remote.filesystems import opened_filesystem

    with opened_filesystem(url, patience) as found:
        yield found


def _refuse_missing_packages(url: str, scheme: str) -> None:
    wanted = {"http": "aiohttp", "https": "aiohttp", "s3": "s3fs", "s3a": "s3fs"}.get(scheme)
    for package in ("fsspec", *([wanted] if wanted else [])):
        if importlib.util.find_spec(package) is None:
            raise UnsupportedError(f"{shown(url)}: {scheme}:// needs {package}: pip install it")


def version_of(info: dict[str, Any]) -> str:
    """From what a file system says of a file; empty where it says nothing of the kind."""
    return next((str(info[key]) for key in VERSIONS if info.get(key)), "")


def refusal(url: str, error: BaseException) -> RemoteError:
    """One line for whatever a file system raised, and whether to try again."""
    if isinstance(error, FileNotFoundError):
        return RemoteMissingError(url, "there is no such file")
    if isinstance(error, PermissionError):
        return RemoteError(url, f"not allowed: {_one_line(error)}")
    if isinstance(error, TimeoutError):
        return RemoteError(url, "no answer in time", again=True)
    return RemoteError(url, f"broke off: {_one_line(error)}", again=True)


def _one_line(error: BaseException) -> str:
    text = re.sub(r"\?[^\s'\"]*", "", " ".join(str(error).split()))  # queries may hold secrets
    return text[:200] or type(error).__name__
