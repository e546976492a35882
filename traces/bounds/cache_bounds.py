"""What a run's caches missed, beside what they could have: with foresight, and at the very least.

Loads, placements and routes are taken as they were: only what each cache kept is thought anew, one
cache at a time. Seconds are bytes over the nominal bandwidth below the cache: a miss in DRAM reads
the SSD, one on SSD the network, one in an adapter slot crosses PCIe.
"""

from collections.abc import Callable, Iterable
from math import ceil
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from traces.bounds.accesses import Pool
from traces.bounds.offline_caching import Accesses, belady_hits, least_missed

TIERS: Final = {"dram": "node DRAM", "ssd": "node SSD", "slots": "adapter slots"}
#: A bound on a count is rounded up to the next whole miss; what is this near is that one.
_NEAR: Final = 1e-6


class Missed(msgspec.Struct, frozen=True):
    """Misses, and what they moved."""

    misses: int
    bytes: float
    seconds: float


class Reach(msgspec.Struct, frozen=True):
    """What another schedule would have missed, and how much of what was missed that would have
    saved: `saved_misses_pct` and `saved_bytes_pct`, None where nothing was missed."""

    misses: int
    bytes: float
    seconds: float
    saved_misses_pct: float | None
    saved_bytes_pct: float | None


class CacheGap(msgspec.Struct, frozen=True):
    """The caches of one tier together; `tier` "all" is every tier.

    `belady` is a schedule that exists: the largest size x distance goes first, which is the best
    for equal sizes. `least` is PFOO-L: no schedule at all misses less. The best there is lies
    between them; where `belady` saves less than nothing, the run did better than its rule.
    """

    tier: str
    caches: int
    accesses: int
    happened: Missed
    belady: Reach
    least: Reach


def cache_gaps(pools: Iterable[Pool]) -> tuple[CacheGap, ...]:
    """A row a tier that was accessed, and one for all where there are several."""
    by_tier: dict[str, list[_Worth]] = {}
    for pool in pools:
        if pool.orders:
            by_tier.setdefault(pool.kind, []).append(_worth(pool))
    rows = [_gap(TIERS[kind], by_tier[kind]) for kind in TIERS if kind in by_tier]
    if len(rows) > 1:
        rows.append(_gap("all", [one for some in by_tier.values() for one in some]))
    return tuple(rows)


class _Worth(msgspec.Struct, frozen=True):
    """One cache."""

    accesses: int
    happened: Missed
    belady: Missed
    least: Missed


def _worth(pool: Pool) -> _Worth:
    accesses = pool.in_order()
    costs_bytes = np.array(pool.costs_bytes, np.float64)
    counted = (costs_bytes > 0).astype(np.float64)

    def missed(of: Callable[[NDArray[np.float64]], float]) -> Missed:
        moved_bytes = of(costs_bytes)
        return Missed(ceil(of(counted) - _NEAR), moved_bytes, moved_bytes / pool.bytes_per_s)

    return _Worth(
        accesses=int(counted.sum()),
        happened=missed(_lost(np.array(pool.hits, np.bool_))),
        belady=missed(_lost(belady_hits(accesses))),
        least=missed(_least(accesses)),
    )


def _lost(hits: NDArray[np.bool_]) -> Callable[[NDArray[np.float64]], float]:
    return lambda values: float(values[~hits].sum())


def _least(accesses: Accesses) -> Callable[[NDArray[np.float64]], float]:
    return lambda values: least_missed(accesses, values)


def _gap(tier: str, worths: list[_Worth]) -> CacheGap:
    happened = _sum(one.happened for one in worths)
    return CacheGap(
        tier=tier,
        caches=len(worths),
        accesses=sum(one.accesses for one in worths),
        happened=happened,
        belady=_reach(happened, _sum(one.belady for one in worths)),
        least=_reach(happened, _sum(one.least for one in worths)),
    )


def _sum(some: Iterable[Missed]) -> Missed:
    listed = list(some)
    return Missed(
        sum(one.misses for one in listed),
        sum(one.bytes for one in listed),
        sum(one.seconds for one in listed),
    )


def _reach(happened: Missed, other: Missed) -> Reach:
    return Reach(
        other.misses,
        other.bytes,
        other.seconds,
        _saved_pct(happened.misses, other.misses),
        _saved_pct(happened.bytes, other.bytes),
    )


def _saved_pct(happened: float, other: float) -> float | None:
    return 100.0 * (happened - other) / happened if happened else None
