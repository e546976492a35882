"""One request as an engine sees it, and as it moves from engine to engine.

Plain data: it knows neither the engine that runs it nor the clock.
"""

import copy
import math

import msgspec

from sim.prefixes import Block

NAN = math.nan


class Sequence(msgspec.Struct, gc=False, eq=False):
    """What to generate, what is generated, and the gaps between tokens so far.

    `output_tokens` counts every token, also the `generated` ones that a resumed sequence brings.
    `prefilled` tokens of prompt and output have their KV in the engine it is added to. `gaps` is
    a packed histogram (`fleet.gaps`) of all gaps between its tokens up to `last_token_at`,
    wherever they were made. `prefix` names the prompt's whole blocks of `prefix_block_tokens`
    tokens, of which `cached_tokens` were found in the engine that first scheduled it. Times are
    absolute seconds, nan until the thing has happened. An engine owns the object from `add` until
    it hands it back.
    """

    request: int
    prompt_tokens: int
    output_tokens: int
    rank: int = 0  # of its adapter; 0 is no adapter
    generated: int = 0
    prefilled: int = 0
    gaps: int = 0
    longest_gap_s: float = 0.0
    scheduled_at: float = NAN
    first_token_at: float = NAN
    last_token_at: float = NAN
    ended_at: float = NAN
    prefix: tuple[Block, ...] = ()
    prefix_block_tokens: int = 0
    cached_tokens: int = 0
    # The engine's own notes, without meaning outside it.
    finish: int = 0  # iteration count at which it ends; 0 while it does not decode
    blocks: int = 0  # while it is being prefilled or waits with KV
    shared: int = 0  # blocks of its prefix that others can find

    def check(self) -> None:
        """Raises `ValueError` naming the field that makes no sense."""
        if self.prompt_tokens < 1:
            raise ValueError(f"prompt_tokens is {self.prompt_tokens}: it must be at least 1")
        if self.rank < 0:
            raise ValueError(f"rank is {self.rank}: it must be at least 0")
        if not 0 <= self.generated < self.output_tokens:
            raise ValueError(
                f"generated is {self.generated}: "
                f"it must be below output_tokens ({self.output_tokens}) and not negative"
            )
        if not 0 <= self.prefilled < self.prompt_tokens + self.generated:
            raise ValueError(
                f"prefilled is {self.prefilled}: it must leave at least one of the "
                f"{self.prompt_tokens + self.generated} tokens and not be negative"
            )
        if self.prefix and not 1 <= self.prefix_block_tokens <= self.prompt_tokens / len(
            self.prefix
        ):
            raise ValueError(
                f"prefix_block_tokens is {self.prefix_block_tokens}: it must be at least 1, and "
                f"{len(self.prefix)} blocks of it must fit into {self.prompt_tokens} prompt tokens"
            )
        if self.generated and math.isnan(self.first_token_at + self.last_token_at):
            raise ValueError("a resumed sequence needs first_token_at and last_token_at")

    @property
    def decodes(self) -> bool:
        """All but its last token is in the KV cache: the next iteration gives a token."""
        return 0 < self.generated == self.prefilled + 1 - self.prompt_tokens

    def handed_over(self) -> "Sequence":
        """A copy for another engine: same past, no KV there yet."""
        twin = copy.copy(self)
        twin.prefilled = twin.finish = twin.blocks = twin.shared = 0
        return twin
