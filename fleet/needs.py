"""Models that want an instance and could not get one: kept in order, never scanned."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from fleet.domain import ModelId, ModelSpec, Share

Size: TypeAlias = tuple[Share, int]


@dataclass(frozen=True, slots=True)
class Need:
    """One instance more for a model. `since` is when its oldest waiting request was queued."""

    model: ModelSpec
    queued: int
    since: float

    @property
    def share(self) -> Share:
        return self.model.need

    @property
    def size(self) -> Size:
        """Needs of one size fit where another of that size fits."""
        return self.model.need, self.model.stages


class Needs:
    """Unmet needs, oldest first, with those of a size that found no room set aside in a round."""

    __slots__ = ("_full", "_heap", "_open", "_sizes", "_tried")

    def __init__(self) -> None:
        self._open: dict[ModelId, Need] = {}
        self._heap: list[tuple[float, ModelId]] = []
        self._sizes: dict[Size, int] = {}
        self._full: set[Size] = set()
        self._tried: list[Need] = []

    def __len__(self) -> int:
        return len(self._open) + len(self._tried)

    def __contains__(self, model: ModelId) -> bool:
        return model in self._open or any(n.model.id == model for n in self._tried)

    def __iter__(self) -> Iterator[Need]:
        """Those still to be tried in this round, in no order that matters."""
        full = self._full
        return (need for need in self._open.values() if need.size not in full)

    def add(self, need: Need) -> None:
        if need.model.id in self._open:
            return
        self._open[need.model.id] = need
        self._sizes[need.size] = self._sizes.get(need.size, 0) + 1
        heapq.heappush(self._heap, (need.since, need.model.id))

    def remove(self, model: ModelId) -> None:
        need = self._open.pop(model, None)
        if need is not None:
            self._forget(need)

    def oldest(self) -> Need | None:
        """The open need that has waited longest; None once every size has found no room."""
        if len(self._full) >= len(self._sizes):
            return None
        heap = self._heap
        while heap:
            since, model = heap[0]
            need = self._open.get(model)
            if need is not None and need.since == since:
                if need.size not in self._full:
                    return need
                self.tried(need)
            else:
                heapq.heappop(heap)
        return None

    def tried(self, need: Need) -> None:
        """It could not be met; not again in this round."""
        del self._open[need.model.id]
        self._tried.append(need)

    def full(self, need: Need) -> None:
        """Nor can any other of its size."""
        self._full.add(need.size)
        self.tried(need)

    def restore(self) -> None:
        """End of the round."""
        for need in self._tried:
            self._open[need.model.id] = need
        # Rebuilt, not pushed: a need that was skipped still has its entry.
        if self._tried:
            self._heap = [(need.since, model) for model, need in self._open.items()]
            heapq.heapify(self._heap)
        self._tried.clear()
        self._full.clear()

    def _forget(self, need: Need) -> None:
        self._sizes[need.size] -= 1
        if not self._sizes[need.size]:
            del self._sizes[need.size]
