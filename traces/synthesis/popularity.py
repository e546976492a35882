"""Who is asked for: popularity laws, draws from them, and tenants that repeat their last choice.

Knows ranks and shares as arrays; does not know names, times or requests.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ZIPF_SEARCH_LIMIT = 20.0  # beyond this the first rank has everything
ZIPF_SEARCH_STEPS = 60


def zipf_shares(count: int, exponent: float) -> Floats:
    """Share of rank i (from 1) proportional to i^-exponent; shape (count,), sums to 1."""
    weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def power_shares(count: int, alpha: float) -> Floats:
    """S-LoRA's law: rank floor(count * X), X of density alpha x^(alpha-1) (numpy's `power`).

    P(i) = ((i + 1) / count)^alpha - (i / count)^alpha: alpha 1 is uniform and smaller is more
    skewed (Sheng et al., S-LoRA, MLSys 2024, and its benchmark code).
    """
    return np.diff((np.arange(count + 1) / count) ** alpha)


def draw(rng: np.random.Generator, shares: Floats, size: int) -> Ints:
    """`size` ranks (from 0) by `shares`, which need not sum to 1; a zero share is never drawn."""
    cumulative = np.cumsum(shares)
    picks = np.searchsorted(cumulative, rng.random(size) * cumulative[-1], side="right")
    # The product may round up to the whole sum.
    bounded: Ints = np.minimum(picks, np.flatnonzero(shares)[-1])
    return bounded


def zipf_exponent(counts: NDArray[Any]) -> float | None:
    """Maximum-likelihood exponent of a Zipf law over the ranks that occur.

    `counts` are uses per item in any order, zeros ignored. The law is cut at the number K of
    items used: at the maximum, the mean log rank of the uses equals that of the law. None for
    fewer than two items.
    """
    used = np.sort(np.asarray(counts, dtype=np.float64))[::-1]
    used = used[used > 0]
    if len(used) < 2:
        return None
    log_rank = np.log(np.arange(1, len(used) + 1))
    wanted = float(used @ log_rank / used.sum())
    low, high = 0.0, ZIPF_SEARCH_LIMIT
    for _ in range(ZIPF_SEARCH_STEPS):
        middle = (low + high) / 2
        weights = np.exp(-middle * log_rank)
        steeper_wanted = float(weights @ log_rank / weights.sum()) > wanted
        low, high = (middle, high) if steeper_wanted else (low, middle)
    return (low + high) / 2


def top_share(counts: NDArray[Any], items: int) -> float:
    """Share of all uses that the `items` most used have; 0 with no uses."""
    used = np.sort(np.asarray(counts, dtype=np.float64))[::-1]
    total = float(used.sum())
    return float(used[:items].sum()) / total if total else 0.0


def last_free_choice(tenants: NDArray[np.integer[Any]], repeats: NDArray[np.bool_]) -> Ints:
    """For each row, the row whose choice it takes: its own, or its tenant's last free one.

    Rows are in time order. A row with `repeats` takes over what its tenant chose last; a tenant's
    first row is free whatever `repeats` says.
    """
    rows = np.arange(len(tenants))
    order = np.argsort(tenants, kind="stable")
    grouped = tenants[order]
    first = np.ones(len(tenants), dtype=bool)
    first[1:] = grouped[1:] != grouped[:-1]
    free = first | ~repeats[order]
    latest = np.maximum.accumulate(np.where(free, rows, 0))
    source = np.empty_like(rows)
    source[order] = order[latest]
    return source
