"""How long one iteration of an engine takes: data of a profile, checked. Knows no engine state."""

import math

import msgspec


class EnginePace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Coefficients of one iteration's time, seconds, and the two sizes of its scheduler.

    An iteration with n sequences, of which the decoding ones start with `ctx` tokens in the KV
    cache, takes step_s + per_sequence_s * n + per_context_token_s * ctx + per_prefill_token_s *
    prefill tokens, plus adapter_step_s if any of its sequences has an adapter, plus
    adapter_rank_s * the sum of their ranks. The form that is affine in batch and context is
    what decode profiles fit (LLMServingSim's changelog: R2 = 1.0000; Vidur's model: 0.987).

    `max_batched_tokens` is the token budget of an iteration with chunked prefill; None runs
    whole prompts. `prefix_cache_share` of the KV blocks, as far as no sequence needs them, may
    keep prompts that have ended (vLLM's default is all of them); 0 switches prefix caching off.
    Raises `ValueError` where a coefficient is negative or an iteration would take no time.
    """

    step_s: float
    per_sequence_s: float = 0.0
    per_context_token_s: float = 0.0
    per_prefill_token_s: float = 0.0
    adapter_step_s: float = 0.0
    adapter_rank_s: float = 0.0
    block_tokens: int = 16
    max_batched_tokens: int | None = None
    prefix_cache_share: float = 1.0

    def __post_init__(self) -> None:
        for field in self.__struct_fields__[:6]:
            value = getattr(self, field)
            if not 0.0 <= value < math.inf:
                raise ValueError(f"{field} is {value}: it must be finite and at least 0")
        if self.step_s + self.per_sequence_s <= 0.0:
            raise ValueError("step_s and per_sequence_s are both 0: an iteration must take time")
        if self.block_tokens < 1:
            raise ValueError(f"block_tokens is {self.block_tokens}: it must be at least 1")
        if self.max_batched_tokens is not None and self.max_batched_tokens < 1:
            raise ValueError(
                f"max_batched_tokens is {self.max_batched_tokens}: it must be at least 1, or None"
            )
        if not 0.0 <= self.prefix_cache_share <= 1.0:
            raise ValueError(
                f"prefix_cache_share is {self.prefix_cache_share}: it must be from 0 to 1"
            )
