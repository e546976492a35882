"""Puts the ceilings beside the rows that they were taken for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from runtime.bench.measurements import (
    CeilingRow,
    Hop,
    LoadRow,
    Measurements,
    What,
    Work,
    WorkRow,
)

BESIDE: Final[dict[Hop, tuple[What, ...]]] = {
    "ssd": ("disk",),
    "page_cache": ("page_cache",),
    "dram": ("memcpy", "pcie"),
    "remote": (),
}
BESIDE_WORK: Final[dict[Work, tuple[What, ...]]] = {
    "attach": ("memcpy", "pcie"),
    "import": ("disk_write",),
    "import_cold": ("disk_write",),
    "pool": (),
}

R = TypeVar("R", LoadRow, WorkRow)


@dataclass(frozen=True, slots=True)
class Paired(Generic[R]):
    """A row and the ceiling beside it in GB/s; None where none was taken."""

    row: R
    ceiling: float | None

    @property
    def gb_per_s(self) -> float:
        return self.row.bytes / self.row.seconds / 1e9

    @property
    def ratio(self) -> float | None:
        return self.gb_per_s / self.ceiling if self.ceiling else None


def paired_loads(measurements: Measurements) -> list[Paired[LoadRow]]:
    """Every load that took any time."""
    return [
        Paired(row, _beside(measurements.ceilings, row.order, BESIDE[row.hop]))
        for row in measurements.loads
        if row.seconds
    ]


def paired_works(measurements: Measurements) -> list[Paired[WorkRow]]:
    return [
        Paired(row, _beside(measurements.ceilings, row.order, BESIDE_WORK[row.what]))
        for row in measurements.works
        if row.seconds
    ]


def _beside(ceilings: Sequence[CeilingRow], order: int, kinds: tuple[What, ...]) -> float | None:
    """The mean rate of the neighbours in the order of time, where they are of one of the kinds."""
    rates = [
        row.bytes / row.seconds / 1e9
        for row in ceilings
        if row.order in (order - 1, order + 1) and row.what in kinds and row.seconds
    ]
    return sum(rates) / len(rates) if rates else None
