"""Rows for tests of what is worked out from rows."""

from collections.abc import Sequence
from dataclasses import replace

from runtime.bench.measurements import (
    CeilingRow,
    Hop,
    LoadRow,
    Machine,
    Measurements,
    What,
    Work,
    WorkRow,
)

GB = 10**9
MACHINE = Machine(
    cpu="a cpu",
    cores=2,
    memory_bytes=8 << 30,
    kernel="6.1",
    disk="ext4 on /dev/vda",
    huge_pages="enabled madvise",
    gpu=None,
    python="3.11.7",
    torch="2.13.0",
    commit="abc",
    date="2026-01-01T00:00:00+00:00",
)
LOAD = LoadRow(
    order=0,
    round=1,
    loader="hotbed",
    checkpoint="base",
    kind="base",
    rank=None,
    tensors=3,
    bytes=4 * GB,
    hop="ssd",
    device="cpu",
    concurrent=1,
    seconds=2.0,
    cpu_s=0.5,
    phases={},
    foreign_cores=0.1,
    cached_before=0.0,
    identical=True,
)
WORK = WorkRow(
    order=0, round=1, what="import", checkpoint="base", rank=None, bytes=GB, seconds=1.0, cpu_s=0.1
)


def ceiling(order: int, what: What, gb_per_s: float) -> CeilingRow:
    return CeilingRow(order, 1, what, GB, 1 / gb_per_s)


def load(order: int, loader: str, gb_per_s: float, hop: Hop = "ssd") -> LoadRow:
    return replace(LOAD, order=order, loader=loader, hop=hop, seconds=4 / gb_per_s)


def work(order: int, what: Work, gb_per_s: float) -> WorkRow:
    return replace(WORK, order=order, what=what, seconds=1 / gb_per_s)


def measured(
    *,
    loads: Sequence[LoadRow] = (),
    ceilings: Sequence[CeilingRow] = (),
    works: Sequence[WorkRow] = (),
) -> Measurements:
    return Measurements(
        MACHINE, 0, tuple(ceilings), tuple(loads), tuple(works), {"runai": "absent"}
    )
