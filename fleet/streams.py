"""Named random streams from one seed: a new consumer does not shift the others."""

import hashlib
import random

import numpy as np


class Streams:
    """`Streams(seed).named("routing")` is the same generator in every process, on every machine."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def named(self, name: str) -> random.Random:
        return random.Random(self._key(name))

    def array(self, name: str) -> np.random.Generator:
        """The same for numpy: columns of draws."""
        return np.random.default_rng(self._key(name))

    def _key(self, name: str) -> int:
        return int.from_bytes(hashlib.sha256(f"{self.seed}/{name}".encode()).digest()[:16], "big")
