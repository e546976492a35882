"""Hashes by the name that an index gives: how a chunk, a tensor or a whole checkpoint is known.

xxh3_128 (xxhash) is what is written: some 20 GB/s a core, and it lets other threads run meanwhile.
Where that library is missing, blake2b of the standard library stands in, at about a tenth of it.
Neither is meant to stop a forger: they find what a disk or a network got wrong.
"""

import hashlib
from collections.abc import Callable
from typing import Final, Protocol

from runtime.store.errors import UnsupportedError

try:
    import xxhash
except ImportError:  # a bare machine: what was written with xxh3_128 cannot be checked there
    _XXH3 = None
else:
    _XXH3 = xxhash.xxh3_128

DIGEST_BYTES: Final = 16


class Hasher(Protocol):
    """A digest in the making."""

    def update(self, data: memoryview | bytes, /) -> object: ...

    def hexdigest(self) -> str: ...


def _blake2b() -> Hasher:
    return hashlib.blake2b(digest_size=DIGEST_BYTES)


HASHES: Final[dict[str, Callable[[], Hasher]]] = {
    **({} if _XXH3 is None else {"xxh3_128": _XXH3}),
    "blake2b": _blake2b,
}
"""What this machine can compute, the one to write with first."""

DEFAULT_HASH: Final = next(iter(HASHES))


def hasher(name: str) -> Hasher:
    """An empty digest. Raises UnsupportedError for a hash that this machine does not have."""
    try:
        return HASHES[name]()
    except KeyError:
        known = ", ".join(HASHES)
        hint = " (install xxhash)" if name == "xxh3_128" else ""
        raise UnsupportedError(f"hash {name!r}: here are {known}{hint}") from None


def digest(name: str, *data: memoryview | bytes) -> str:
    """The digest of the pieces one after another, as 32 hexadecimal digits."""
    found = hasher(name)
    for piece in data:
        found.update(piece)
    return found.hexdigest()
