"""What can go wrong with a checkpoint that lies elsewhere: one line that names the address.

An address is shown without its query and its user, which may hold secrets.
"""

from urllib.parse import urlsplit

from runtime.store.errors import StoreError


class RemoteError(StoreError):
    """What came, or did not come, from an address. `again`: another try may go better."""

    def __init__(self, url: str, what: str, *, again: bool = False) -> None:
        self.url = shown(url)
        self.what = what
        self.again = again
        super().__init__(f"{self.url}: {what}")


class RemoteMissingError(RemoteError):
    """There is nothing at the address."""


class RemoteChangedError(RemoteError):
    """The file at the address is not the one that the fetch began with."""


def shown(url: str) -> str:
    """An address as it may be printed and kept: no user, no password, no query, no fragment."""
    parts = urlsplit(url)
    if not parts.scheme:
        return url
    netloc = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=netloc, query="", fragment="").geturl()
