"""Hashes by name: known answers, pieces like the whole, and a name that nobody has."""

import hashlib

import pytest
import xxhash

from runtime.store.errors import UnsupportedError
from runtime.store.format.hashing import DEFAULT_HASH, HASHES, digest, hasher


def test_the_names_mean_the_hashes_that_bear_them() -> None:
    assert DEFAULT_HASH == "xxh3_128"
    assert digest("xxh3_128", b"hotbed") == xxhash.xxh3_128_hexdigest(b"hotbed")
    assert digest("xxh3_128") == "99aa06d3014798d86001c324468d497f"  # the empty text's, published
    assert digest("blake2b", b"hotbed") == hashlib.blake2b(b"hotbed", digest_size=16).hexdigest()


@pytest.mark.parametrize("name", HASHES)
def test_pieces_have_the_digest_of_the_whole(name: str) -> None:
    streamed = hasher(name)
    for piece in (b"one ", b"", memoryview(b"two")):
        streamed.update(piece)
    assert digest(name, b"one two") == digest(name, b"one ", b"two") == streamed.hexdigest()
    assert len(digest(name)) == 32


def test_an_unknown_hash_is_refused_with_those_that_are_there() -> None:
    with pytest.raises(UnsupportedError, match=r"'md5': here are xxh3_128, blake2b"):
        hasher("md5")
