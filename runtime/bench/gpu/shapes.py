"""Shapes of Llama-like models, as their public configurations give them; weights are random.

The tensors carry Hugging Face's names, so that a real checkpoint of the shape fits as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

BFLOAT16_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder's sizes. `head_norm`: queries and keys are normed a head (Qwen3)."""

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    inner: int
    vocabulary: int
    rope_theta: float
    norm_epsilon: float
    head_norm: bool = False

    @property
    def weight_bytes(self) -> int:
        """All weights in bfloat16."""
        return sum(BFLOAT16_BYTES * rows * columns for _, (rows, columns) in self._sizes())

    @property
    def kv_bytes_per_token(self) -> int:
        """Keys and values of one token over all layers, in bfloat16."""
        return 2 * self.layers * self.kv_heads * self.head_size * BFLOAT16_BYTES

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of every weight, in the order in which a forward pass needs them."""
        for name, (rows, columns) in self._sizes():
            yield name, (rows,) if columns == 1 else (rows, columns)

    def _sizes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        yield "model.embed_tokens.weight", (self.vocabulary, self.hidden)
        for layer in range(self.layers):
            for name, size in self._layer():
                yield f"model.layers.{layer}.{name}.weight", size
        yield "model.norm.weight", (self.hidden, 1)
        yield "lm_head.weight", (self.vocabulary, self.hidden)

    def _layer(self) -> Iterator[tuple[str, tuple[int, int]]]:
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        yield "input_layernorm", (self.hidden, 1)
        yield "self_attn.q_proj", (queries, self.hidden)
        yield "self_attn.k_proj", (keys, self.hidden)
        yield "self_attn.v_proj", (keys, self.hidden)
        yield "self_attn.o_proj", (self.hidden, queries)
        if self.head_norm:
            yield "self_attn.q_norm", (self.head_size, 1)
            yield "self_attn.k_norm", (self.head_size, 1)
        yield "post_attention_layernorm", (self.hidden, 1)
        yield "mlp.gate_proj", (self.inner, self.hidden)
        yield "mlp.up_proj", (self.inner, self.hidden)
        yield "mlp.down_proj", (self.hidden, self.inner)


TINY = Shape("tiny", 256, 4, 8, 4, 32, 704, 2048, 10_000.0, 1e-5)
LLAMA_8B = Shape("llama-3.1-8b", 4096, 32, 32, 8, 128, 14336, 128256, 500_000.0, 1e-5)
QWEN_14B = Shape("qwen3-14b", 5120, 40, 40, 8, 128, 17408, 151936, 1_000_000.0, 1e-6, True)
QWEN_32B = Shape("qwen3-32b", 5120, 64, 64, 8, 128, 25600, 151936, 1_000_000.0, 1e-6, True)
