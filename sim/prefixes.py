"""Blocks of prompts that an engine still has, by what they say: automatic prefix caching.

As vLLM v1 does it (docs/design/prefix_caching.md there): a block can be found from the moment it is
scheduled, also while its prompt runs; when the last sequence that refers to it ends, it stays in
what nobody uses, in LRU order, a prompt's last block going first. What that may hold is its
owner's to say, in tokens, before each look: nothing here knows sequences, iterations or the clock.

Where it departs from vLLM: sequences that run at once each hold KV blocks of their own also for
what they share, and only prompts' blocks are known, not those of outputs.
"""

from typing import TypeAlias

#: A block's id; with an adapter's beside it, because an adapter changes what the KV cache says.
Block: TypeAlias = int | tuple[int, int]


class Prefixes:
    """`idle_tokens` lie in blocks that no sequence refers to; never above `most_idle_tokens`."""

    __slots__ = ("_idle", "_used", "idle_tokens", "most_idle_tokens")

    def __init__(self, most_idle_tokens: int) -> None:
        self.most_idle_tokens = most_idle_tokens
        self.idle_tokens = 0
        self._idle: dict[Block, int] = {}  # to its tokens, least recently used first
        self._used: dict[Block, int] = {}  # to how many sequences refer to it

    def __len__(self) -> int:
        """Blocks that can be found."""
        return len(self._idle) + len(self._used)

    @property
    def idle(self) -> list[Block]:
        """Blocks that no sequence refers to, least recently used first."""
        return list(self._idle)

    def leading(self, prefix: tuple[Block, ...], most: int) -> int:
        """How many of a prompt's first blocks are here, at most so many."""
        idle, used = self._idle, self._used
        found = 0
        while found < most and (prefix[found] in used or prefix[found] in idle):
            found += 1
        return found

    def use(self, blocks: tuple[Block, ...]) -> None:
        """A sequence refers to these, found or to be computed."""
        idle, used = self._idle, self._used
        for block in blocks:
            used[block] = used.get(block, 0) + 1
            self.idle_tokens -= idle.pop(block, 0)

    def leave(self, blocks: tuple[Block, ...], block_tokens: int) -> None:
        """A sequence refers to these no more."""
        idle, used = self._idle, self._used
        for block in reversed(blocks):
            users = used.pop(block) - 1
            if users:
                used[block] = users
            else:
                idle[block] = block_tokens
                self.idle_tokens += block_tokens
        self.trim(self.most_idle_tokens)

    def trim(self, tokens: int) -> None:
        """Forgets least recently used blocks until the idle ones hold at most so many tokens."""
        idle = self._idle
        while self.idle_tokens > tokens:
            self.idle_tokens -= idle.pop(next(iter(idle)))
