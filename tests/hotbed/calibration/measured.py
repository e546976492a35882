"""Files of measurements, as the benchmark writes them, of the machine that `made` knows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from runtime.bench.measurements import (
    CeilingRow,
    LoadRow,
    Machine,
    Measurements,
    WorkRow,
    to_text,
)
from sim.calibration.samples import Sample
from tests.sim.calibration.made import DRAM, MIB, SSD, samples

MACHINE = Machine(
    cpu="Ampere One",
    cores=2,
    memory_bytes=24 << 30,
    kernel="Linux 6.18",
    disk="ext4 on a virtual disk",
    huge_pages="on demand",
    gpu=None,
    python="3.11.7",
    torch="2.13.0",
    commit="abc123",
    date="2026-11-22T10:00:00Z",
)


def load(order: int, one: Sample, **changes: Any) -> LoadRow:
    row = LoadRow(
        order=order,
        round=1,
        loader="hotbed",
        checkpoint=one.checkpoint,
        kind="base",
        rank=None,
        tensors=3,
        bytes=one.nbytes,
        hop=one.hop,  # type: ignore[arg-type]
        device="cpu",
        concurrent=1 + len(one.beside),
        seconds=one.seconds,
        cpu_s=0.1,
        phases=dict(one.phases),
        foreign_cores=0.0,
        cached_before=0.0,
        identical=True,
    )
    return replace(row, **changes)


def rows(*taken: Sample) -> tuple[LoadRow, ...]:
    """Loads at once follow each other and have one order."""
    found: list[LoadRow] = []
    order, left = -1, 0
    for one in taken:
        if not left:
            order, left = order + 1, 1 + len(one.beside)
        left -= 1
        found.append(load(order, one))
    return tuple(found)


def measurements(*loads: LoadRow) -> Measurements:
    """Of all hops, if no loads are given."""
    loads = loads or rows(*samples(DRAM, rounds=5), *samples(SSD, rounds=5))
    order = loads[-1].order + 1
    works = [
        WorkRow(order, 1, "attach", f"r{size}", 16, size * MIB, 0.006 + size * MIB / 11e9, 0.0)
        for size in (20, 40, 80)
        for _ in range(3)
    ]
    ceiling = CeilingRow(order, 1, "memcpy", 1 << 30, 0.1)
    return Measurements(MACHINE, 0, (ceiling,), loads, tuple(works), {})


def written(folder: Path, *loads: LoadRow) -> Path:
    path = folder / "loads.json"
    path.write_text(to_text(measurements(*loads)))
    return path
