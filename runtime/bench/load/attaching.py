"""Attaching an adapter of the pool to a slot of an engine, as work of a measured process.

The engine's slots are there long before, and have been used: their memory is faulted in.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Final

import torch

from runtime.bench.load.fingerprints import difference
from runtime.bench.load.manifests import Fingerprint
from runtime.bench.load.store_tasks import StoreTask
from runtime.bench.load.words import Asked, Lap
from runtime.store.loading.slots import AdapterSlots, Layer, Scaling

SLOT_RANK: Final = 64  # engines keep room for their largest adapter
SLOT: Final = 0
PREFIX: Final = "base_model.model."
A, B = ".lora_A.weight", ".lora_B.weight"


class Attach(StoreTask):
    """Views of the pool, and their copy into one slot of all layers."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._slots: AdapterSlots | None = None
        self._threads = torch.get_num_threads()
        self._rank = asked.rank or 1
        self._scaling = Scaling(alpha=2.0 * self._rank)

    def prepare(self) -> None:
        super().prepare()
        torch.set_num_threads(1)  # hundreds of small copies: to meet costs more than it saves
        self.fetch()
        self.attach(self.path, copy=False)
        tensors = self.results.pop()
        rank = max(SLOT_RANK, self._rank)
        self._slots = AdapterSlots(_layers(tensors), slots=1, rank=rank, device=self.asked.device)
        self._slots.attach(SLOT, tensors, self._scaling)
        self._slots.detach(SLOT)

    def run(self) -> list[Lap]:
        assert self._slots is not None
        lap = self.attach(self.path, copy=False)
        begin = time.perf_counter()
        self._slots.attach(SLOT, self.results[-1], self._scaling)
        if self.asked.device != "cpu":
            torch.cuda.synchronize(self.asked.device)
        return [Lap(phases={**lap.phases, "slot": time.perf_counter() - begin})]

    def wrong(self, expected: Mapping[str, Fingerprint]) -> str | None:
        """What lies in the slot."""
        assert self._slots is not None
        found = {}
        for layer in self._slots.layers:
            found[f"{PREFIX}{layer}{A}"] = self._slots.a[layer][SLOT, : self._rank]
            found[f"{PREFIX}{layer}{B}"] = self._slots.b[layer][SLOT, :, : self._rank]
        return difference(found, expected)

    def close(self) -> None:
        self._slots = None
        torch.set_num_threads(self._threads)
        super().close()


def _layers(adapter: Mapping[str, torch.Tensor]) -> Iterator[Layer]:
    for name, tensor in adapter.items():
        if name.endswith(A):
            layer = name.removesuffix(A)
            outputs = adapter[layer + B].shape[0]
            yield Layer(layer.removeprefix(PREFIX), tensor.shape[1], outputs)
