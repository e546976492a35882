"""What is loaded: base models and adapters in Llama's shapes, with random weights.

Names, shapes and configurations only; files are written by `making.py`. All weights are bfloat16.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Final

from runtime.bench.gpu.shapes import BFLOAT16_BYTES, LLAMA_8B, Shape
from runtime.bench.measurements import Kind
from runtime.store.errors import StoreError

Sizes = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A base model (`rank` is None), whose output weights are tied to its embedding, or an adapter
    of the rank on every linear layer of `shape`.
    """

    name: str
    shape: Shape
    rank: int | None = None

    @property
    def kind(self) -> Kind:
        return "base" if self.rank is None else "adapter"

    @property
    def weight_bytes(self) -> int:
        return sum(BFLOAT16_BYTES * prod(size) for _, size in self.tensors())

    def tensors(self) -> Iterator[Sizes]:
        """Name and shape of every tensor, in the order of the files."""
        return _base(self.shape) if self.rank is None else _adapter(self.shape, self.rank)

    def configuration(self) -> dict[str, object]:
        """What config.json, or adapter_config.json, says of it."""
        return _config(self.shape) if self.rank is None else _adapter_config(self.rank)


def _base(shape: Shape) -> Iterator[Sizes]:
    return ((name, size) for name, size in shape.tensors() if name != "lm_head.weight")


def _adapter(shape: Shape, rank: int) -> Iterator[Sizes]:
    """PEFT's names, as `PeftModel.save_pretrained` writes them."""
    for name, size in shape.tensors():
        if ".layers." not in name or len(size) == 1:
            continue
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        yield f"{stem}.lora_A.weight", (rank, size[1])
        yield f"{stem}.lora_B.weight", (size[0], rank)


def _config(shape: Shape) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_size,
        "intermediate_size": shape.inner,
        "vocab_size": shape.vocabulary,
        "rms_norm_eps": shape.norm_epsilon,
        "rope_theta": shape.rope_theta,
        "tie_word_embeddings": True,
    }


def _adapter_config(rank: int) -> dict[str, object]:
    linear = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": list(linear),
    }


#: By what they weigh. "2.4g" has the shapes of Llama 3.2 1B, the others some layers of their kin.
BASES: Final = {
    name: Checkpoint(f"llama-{name}", shape)
    for name, shape in {
        "5m": Shape("llama-5m", 256, 4, 8, 4, 32, 704, 2048, 1e4, 1e-5),
        "64m": Shape("llama-64m", 512, 5, 8, 4, 64, 1408, 32000, 1e4, 1e-5),
        "1g": Shape("llama-1g", 1024, 24, 16, 8, 64, 4096, 128256, 5e5, 1e-5),
        "2.4g": Shape("llama-2.4g", 2048, 16, 32, 8, 64, 8192, 128256, 5e5, 1e-5),
        "4g": Shape("llama-4g", 3072, 17, 24, 8, 128, 8192, 128256, 5e5, 1e-5),
    }.items()
}


def base(size: str) -> Checkpoint:
    """Raises StoreError for a size that there is not."""
    if size not in BASES:
        raise StoreError(f"--size {size!r}: expected one of {', '.join(BASES)}")
    return BASES[size]


def adapter(rank: int, shape: Shape = LLAMA_8B) -> Checkpoint:
    if rank < 1:
        raise StoreError(f"--rank {rank}: expected a rank from 1")
    return Checkpoint(f"{shape.name}-lora-r{rank}", shape, rank)
