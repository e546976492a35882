"""Quantiles and ratios that say None where there is nothing, and never nan."""

from typing import Final

import numpy as np

from fleet.gaps import EDGES_S, counts
from traces.record import Floats
from traces.summary import Quantiles

PERCENTS: Final = (50, 90, 95, 99)


def quantiles(values: Floats) -> Quantiles | None:
    """Of the finite values; None when there is none."""
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    p50, p90, p95, p99 = np.percentile(known, PERCENTS).tolist()
    return Quantiles(len(known), float(known.mean()), p50, p90, p95, p99, float(known.max()))


def of_gaps(packed: int, mean_s: float, longest_s: Floats) -> Quantiles | None:
    """Of a packed histogram (`fleet.gaps`): the geometric middle of the bin of each quantile.

    `mean_s` and the longest gaps are known exactly from elsewhere; no quantile passes the max.
    """
    of_bin = np.array(counts(packed), np.int64)
    n = int(of_bin.sum())
    if not n:
        return None
    edges_s = np.array(EDGES_S)
    step = edges_s[1] / edges_s[0]
    middles_s = np.append(edges_s, edges_s[-1] * step) / np.sqrt(step)
    ranks = np.ceil(np.array(PERCENTS) / 100 * n)
    longest = float(longest_s.max(initial=0.0)) or float(middles_s[of_bin.nonzero()[0][-1]])
    at = np.minimum(middles_s[np.searchsorted(of_bin.cumsum(), ranks)], longest).tolist()
    p50, p90, p95, p99 = at
    return Quantiles(n, mean_s, p50, p90, p95, p99, longest)


def ratio(part: float, whole: float) -> float | None:
    """`part / whole`, None of nothing."""
    return part / whole if whole else None
