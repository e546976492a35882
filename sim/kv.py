"""KV blocks of the decoding sequences of an engine, counted without visiting any of them.

A sequence with c tokens in the cache holds ceil(c / block_tokens) blocks and takes one more when c
is a multiple of `block_tokens`. All grow by a token an iteration, so a sequence keeps its *phase*,
(iterations - c) mod block_tokens, while it decodes: the sum of the tokens and the number of
sequences at each phase give the blocks held after any number of iterations.
"""

from itertools import chain
from operator import mul


class Phases:
    """How many decoding sequences there are at each phase; knows no sequence."""

    __slots__ = ("block_tokens", "counts")

    def __init__(self, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        self.counts = [0] * block_tokens

    def blocks(self, context: int, iteration: int) -> int:
        """Blocks held by sequences with `context` tokens together, at that iteration count."""
        size = self.block_tokens
        here = iteration % size
        unused = chain(range(size - here, size), range(size - here))  # (phase - iteration) % size
        wasted: int = sum(map(mul, self.counts, unused))
        return (context + wasted) // size

    def due(self, iteration: int) -> int:
        """Blocks that the iteration after `iteration` others takes."""
        return self.counts[iteration % self.block_tokens]

    def lasts(self, free: int, iteration: int, sequences: int) -> int:
        """Iterations, from that count on, until `free` blocks do not suffice; sequences >= 1."""
        cycles, left = divmod(free, sequences)
        steps = cycles * self.block_tokens
        while left >= (need := self.due(iteration + steps)):
            left -= need
            steps += 1
        return steps
