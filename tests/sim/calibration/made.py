"""Measurements of a machine that is known: a closed form with seeded noise, no simulator in it."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sim.calibration.calibrating import Task
from sim.calibration.figures import About
from sim.calibration.samples import Sample
from sim.profiles import load_profile

MIB = 2**20
CHUNK_BYTES = 32 * MIB  # of the profile cpu
SIZES = tuple(size * MIB for size in (24, 80, 200, 620, 1400, 2400, 4096))
ABOUT = About(
    "Ampere One, 2 cores, a disk", "2026-11-22T10:00:00Z", "hotbed", "abc123", 24 << 30, False
)


@dataclass(frozen=True)
class Hop:
    """Seconds of n equal loads: base + each one's bytes at the least of two rates, and the filling
    of the pipeline where bytes cross two links."""

    name: str
    base_s: float
    alone: float
    link: float
    loss: float = 0.0
    links: int = 1
    cv: float = 0.0

    def seconds(self, nbytes: int, at_once: int) -> float:
        shared = self.link / (1 + self.loss * (at_once - 1)) / at_once
        moved = nbytes + (self.links - 1) * min(CHUNK_BYTES, nbytes)
        return self.base_s + moved / min(self.alone, shared)


DRAM = Hop("dram", base_s=0.004, alone=11e9, link=14e9, loss=0.05, cv=0.04)
SSD = Hop("ssd", base_s=0.015, alone=2.8e9, link=3.1e9, loss=0.02, links=2, cv=0.06)


def samples(
    hop: Hop,
    *,
    sizes: Sequence[int] = SIZES,
    at_once: Sequence[int] = (1, 2, 3, 4),
    rounds: int = 9,
    seed: int = 1,
) -> Iterator[Sample]:
    """Several at once only of two sizes, as a benchmark would have it."""
    rng = random.Random(f"{seed} {hop.name}")
    for _ in range(rounds):
        for nbytes in sizes:
            for count in at_once:
                if count > 1 and nbytes not in (sizes[-3:-1] if len(sizes) > 2 else sizes):
                    continue
                for _ in range(count):
                    seconds = hop.seconds(nbytes, count) * rng.lognormvariate(0, hop.cv)
                    beside = (nbytes,) * (count - 1)
                    phases = {"read": 0.9 * hop.seconds(nbytes, 1)}
                    yield Sample(hop.name, f"m{nbytes // MIB}", nbytes, seconds, beside, phases)


def task(*taken: Sample, hold_out: Sequence[str] = (), **changes: float) -> Task:
    """On top of the profile cpu; `changes` are ceilings by hop."""
    return Task(
        base=load_profile("cpu"),
        base_name="cpu",
        samples=taken,
        about=ABOUT,
        measurements="loads.json",
        sha256="0" * 64,
        machine={"cpu": "Ampere One"},
        loader="hotbed",
        device="cpu",
        ceilings_bytes_per_s=changes,
        hold_out=hold_out,
    )
