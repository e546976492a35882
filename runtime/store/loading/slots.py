"""An engine's places for LoRA adapters: attaching one is copies into tensors that exist already.

A place holds, for every layer that adapters may change, A of [rank, in] and B of [out, rank] for
the largest rank; a smaller adapter leaves zeros, which add nothing. What a layer computes is
W x + scaling * B (A x): Hu et al., LoRA, arXiv 2106.09685, section 4.1. It knows no engine:
adapters come as tensors under the names that PEFT gives them.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from runtime.store.errors import CorruptError, StoreError, UnsupportedError
from runtime.store.format.huggingface import read_object

PREFIX: Final = "base_model.model."
KINDS: Final = {".lora_A.weight": "A", ".lora_B.weight": "B"}
NOT_HERE: Final = {"use_dora": "DoRA", "lora_bias": "a bias of its own"}


@dataclass(frozen=True, slots=True)
class Layer:
    """A linear layer that adapters may change: it maps `inputs` numbers to `outputs`."""

    name: str
    inputs: int
    outputs: int


@dataclass(frozen=True, slots=True)
class Scaling:
    """What B (A x) is multiplied by. `alphas` has the layers' own, by a pattern of their names."""

    alpha: float
    rank_stabilised: bool = False
    alphas: Mapping[str, float] = field(default_factory=dict)

    def of(self, layer: str, rank: int) -> float:
        """alpha / rank, or alpha / sqrt(rank) where rank-stabilised (arXiv 2312.03732)."""
        alpha = self.alpha
        for pattern, value in self.alphas.items():
            if re.fullmatch(rf"(.*\.)?({pattern})", layer):  # as PEFT matches alpha_pattern
                alpha = value
                break
        return alpha / (math.sqrt(rank) if self.rank_stabilised else rank)


def scaling_of(config: Path) -> Scaling:
    """Of an adapter_config.json. Raises ReadError, CorruptError, UnsupportedError."""
    found = read_object(config)
    for key, what in NOT_HERE.items():
        if found.get(key):
            raise UnsupportedError(f"{config}: {key}: adapters with {what} have no place in a slot")
    alphas = found.get("alpha_pattern") or {}
    if not isinstance(alphas, dict):
        raise CorruptError(config, f"alpha_pattern: {alphas!r}; must be numbers by pattern")
    for pattern in alphas:
        _refuse_pattern(config, pattern)
    return Scaling(
        alpha=_number(config, found, "lora_alpha"),
        rank_stabilised=bool(found.get("use_rslora")),
        alphas={pattern: _number(config, alphas, pattern) for pattern in alphas},
    )


def _number(config: Path, found: Mapping[str, Any], key: str) -> float:
    value = found.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CorruptError(config, f"{key}: {value!r}; must be a number")
    return float(value)


def _refuse_pattern(config: Path, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise CorruptError(config, f"alpha_pattern: {pattern!r}: {error}") from None


class AdapterSlots:
    """`slots` places of rank `rank` for the given layers. One thread at a time.

    `a[layer]` is [slots, rank, inputs], `b[layer]` [slots, outputs, rank], `scalings[slot]` by
    layer a number; a free place is all zeros. The tensors stay the same objects at the same
    addresses, so kernels and CUDA graphs may hold them.
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        *,
        slots: int,
        rank: int,
        dtype: torch.dtype = torch.bfloat16,
        device: str = "cpu",
    ) -> None:
        self.layers = {layer.name: layer for layer in layers}
        self.rank = rank
        self.a = {
            one.name: torch.zeros(slots, rank, one.inputs, dtype=dtype, device=device)
            for one in self.layers.values()
        }
        self.b = {
            one.name: torch.zeros(slots, one.outputs, rank, dtype=dtype, device=device)
            for one in self.layers.values()
        }
        self.scalings: list[dict[str, float]] = [{} for _ in range(slots)]
        self._ranks: list[dict[str, int]] = [{} for _ in range(slots)]  # what is not zeros

    def occupied(self, slot: int) -> bool:
        self._refuse_slot(slot)
        return bool(self._ranks[slot])

    def attach(self, slot: int, adapter: Mapping[str, torch.Tensor], scaling: Scaling) -> None:
        """Put an adapter in a free place; its values are converted to the slots' type.

        The scaling is kept beside, not multiplied in: that would round B once more. Nothing is
        written unless all of it fits. Raises StoreError for a place that is taken, a layer that is
        not there, or a shape that does not fit; UnsupportedError for what is no plain LoRA.
        """
        if self.occupied(slot):
            raise StoreError(f"slot {slot} is occupied: detach it first")
        pairs = _pairs(adapter)
        for name, (a, b) in pairs.items():
            self._refuse(name, a, b)
        targets: list[torch.Tensor] = []
        sources: list[torch.Tensor] = []
        for name, (a, b) in pairs.items():
            targets += [self.a[name][slot, : len(a)], self.b[name][slot, :, : len(a)]]
            sources += [a, b]
        if targets:
            torch._foreach_copy_(targets, sources, non_blocking=True)
        self._ranks[slot] = {name: len(a) for name, (a, _) in pairs.items()}
        self.scalings[slot] = {name: scaling.of(name, len(a)) for name, (a, _) in pairs.items()}

    def detach(self, slot: int) -> None:
        """Make a place zeros again. Raises StoreError where it is free."""
        if not self.occupied(slot):
            raise StoreError(f"slot {slot} is free: nothing to detach")
        used: list[torch.Tensor] = []
        for name, rank in self._ranks[slot].items():
            used += [self.a[name][slot, :rank], self.b[name][slot, :, :rank]]
        torch._foreach_zero_(used)
        self._ranks[slot], self.scalings[slot] = {}, {}

    def added(self, slot: int, layer: str, x: torch.Tensor) -> torch.Tensor:
        """scaling * B (A x) of one layer, for x of [..., inputs]; zeros from a free place."""
        found = (x @ self.a[layer][slot].T) @ self.b[layer][slot].T
        return found * self.scalings[slot].get(layer, 0.0)

    def _refuse_slot(self, slot: int) -> None:
        if not 0 <= slot < len(self._ranks):
            raise StoreError(f"slot {slot}: expected 0 to {len(self._ranks) - 1}")

    def _refuse(self, name: str, a: torch.Tensor, b: torch.Tensor) -> None:
        layer = self.layers.get(name)
        if layer is None:
            raise StoreError(f"layer {name!r}: these slots have none of that name")
        rank = len(a)
        if rank > self.rank:
            raise StoreError(f"layer {name!r}: rank {rank}; these slots have room for {self.rank}")
        fits = a.shape == (rank, layer.inputs) and b.shape == (layer.outputs, rank)
        if not fits:
            raise StoreError(
                f"layer {name!r}: A is {list(a.shape)} and B {list(b.shape)}; expected "
                f"[{rank}, {layer.inputs}] and [{layer.outputs}, {rank}]"
            )


def _pairs(adapter: Mapping[str, torch.Tensor]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """A and B by the layer's name in the base model."""
    halves: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in adapter.items():
        kind = next((one for one in KINDS if name.endswith(one)), None)
        if kind is None or tensor.dim() != 2:
            raise UnsupportedError(
                f"tensor {name!r}: expected lora_A.weight or lora_B.weight of a linear layer"
            )
        layer = name.removesuffix(kind).removeprefix(PREFIX)
        halves.setdefault(layer, {})[KINDS[kind]] = tensor
    for layer, found in halves.items():
        if len(found) != 2:
            (there,) = found
            raise StoreError(f"layer {layer!r}: lora_{there} alone; expected lora_A and lora_B")
    return {layer: (found["A"], found["B"]) for layer, found in halves.items()}
