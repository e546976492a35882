"""A Llama-like decoder over loaded tensors: what a bare machine needs to time prefill and decode.

Plain torch, one kernel launch an operation, no graph capture: its host overhead is a first bound
on that of an engine. It computes what transformers' LlamaForCausalLM and Qwen3ForCausalLM do
(rotary embeddings without length scaling). It knows no checkpoint, scheduler or clock.
"""

from collections.abc import Mapping

import torch
from torch.nn.functional import embedding, linear, rms_norm, scaled_dot_product_attention, silu

from runtime.bench.gpu.shapes import Shape


class Decoder:
    """A model and the keys and values of `sequences` sequences of at most `max_tokens` tokens."""

    def __init__(
        self,
        shape: Shape,
        weights: Mapping[str, torch.Tensor],
        *,
        sequences: int,
        max_tokens: int,
    ) -> None:
        self._shape = shape
        self._weights = weights
        like = weights["model.norm.weight"]
        size = (shape.layers, sequences, shape.kv_heads, max_tokens, shape.head_size)
        self._keys = like.new_zeros(size)
        self._values = like.new_zeros(size)
        self._cosine, self._sine = _rotations(shape, max_tokens, like)

    @torch.inference_mode()
    def forward(self, tokens: torch.Tensor, position: int) -> torch.Tensor:
        """Logits (sequences, vocabulary) after `tokens` (sequences, n), which begin at `position`.

        Several tokens at once (prefill) must begin at 0: the mask is causal or absent.
        """
        assert position == 0 or tokens.shape[1] == 1, "prefill begins at 0, decode takes one token"
        hidden = embedding(tokens, self._weights["model.embed_tokens.weight"])
        for layer in range(self._shape.layers):
            normed = self._norm(hidden, f"model.layers.{layer}.input_layernorm")
            hidden = hidden + self._attend(normed, layer, position)
            normed = self._norm(hidden, f"model.layers.{layer}.post_attention_layernorm")
            hidden = hidden + self._feed_forward(normed, layer)
        last = self._norm(hidden[:, -1], "model.norm")
        return linear(last, self._weights["lm_head.weight"])

    def _attend(self, hidden: torch.Tensor, layer: int, position: int) -> torch.Tensor:
        name = f"model.layers.{layer}.self_attn"
        sequences, count, _ = hidden.shape
        queries = self._heads(hidden, f"{name}.q_proj", f"{name}.q_norm")
        keys = self._heads(hidden, f"{name}.k_proj", f"{name}.k_norm")
        end = position + count
        past = (layer, slice(0, sequences), slice(None), slice(0, end))
        here = (layer, slice(0, sequences), slice(None), slice(position, end))
        self._keys[here] = self._rotated(keys, position)
        self._values[here] = self._heads(hidden, f"{name}.v_proj")
        mixed = scaled_dot_product_attention(
            self._rotated(queries, position),
            self._keys[past],
            self._values[past],
            is_causal=count > 1,
            enable_gqa=True,
        )
        return self._linear(mixed.transpose(1, 2).reshape(sequences, count, -1), f"{name}.o_proj")

    def _heads(self, hidden: torch.Tensor, name: str, norm: str = "") -> torch.Tensor:
        """(sequences, n, hidden) to (sequences, heads, n, head size)."""
        split = self._linear(hidden, name).view(*hidden.shape[:-1], -1, self._shape.head_size)
        if norm and self._shape.head_norm:
            split = self._norm(split, norm)
        return split.transpose(1, 2)

    def _feed_forward(self, hidden: torch.Tensor, layer: int) -> torch.Tensor:
        name = f"model.layers.{layer}.mlp"
        gate = silu(self._linear(hidden, f"{name}.gate_proj"))
        return self._linear(gate * self._linear(hidden, f"{name}.up_proj"), f"{name}.down_proj")

    def _linear(self, hidden: torch.Tensor, name: str) -> torch.Tensor:
        projected: torch.Tensor = linear(hidden, self._weights[f"{name}.weight"])
        return projected

    def _norm(self, hidden: torch.Tensor, name: str) -> torch.Tensor:
        weight = self._weights[f"{name}.weight"]
        return rms_norm(hidden, weight.shape, weight, self._shape.norm_epsilon)

    def _rotated(self, heads: torch.Tensor, position: int) -> torch.Tensor:
        """Rotary position embedding, halves rotated together (as transformers lays heads out)."""
        end = position + heads.shape[2]
        first, second = heads.chunk(2, dim=-1)
        turned = torch.cat((-second, first), dim=-1)
        return heads * self._cosine[position:end] + turned * self._sine[position:end]


def _rotations(
    shape: Shape, max_tokens: int, like: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines, each (max_tokens, head size), in the weights' type and place."""
    steps = torch.arange(0, shape.head_size, 2, dtype=torch.float32, device=like.device)
    speeds = shape.rope_theta ** (-steps / shape.head_size)
    places = torch.arange(max_tokens, dtype=torch.float32, device=like.device)
    angles = torch.outer(places, speeds).repeat(1, 2)
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)
