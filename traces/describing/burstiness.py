"""How uneven arrivals are: gaps, counts per window, and what a keep-alive would still find warm.

Knows times and integer labels; does not know models, tenants or requests.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]

CV_LEAST_ARRIVALS = 30  # the CV of n gaps cannot exceed sqrt(n - 1): fewer say little


def interarrival_cv(arrival_s: Floats) -> float | None:
    """Standard deviation over mean of the gaps; None for fewer than 3 arrivals or no time."""
    gaps = np.diff(arrival_s)
    if len(gaps) < 2 or gaps.sum() <= 0:
        return None
    return float(gaps.std() / gaps.mean())


def weighted_cv(arrival_s: Floats, labels: Labels) -> tuple[float | None, int]:
    """Mean over labels of their own gaps' CV, weighted by arrivals, and how many labels count.

    Only labels with `CV_LEAST_ARRIVALS` count; None where there is none.
    """
    order = np.argsort(labels, kind="stable")
    ends = np.flatnonzero(np.diff(labels[order])) + 1
    weights, values = [], []
    for rows in np.split(order, ends):
        cv = interarrival_cv(arrival_s[rows]) if len(rows) >= CV_LEAST_ARRIVALS else None
        if cv is not None:
            weights.append(len(rows))
            values.append(cv)
    if not values:
        return None, 0
    return float(np.average(values, weights=weights)), len(values)


def window_cvs(arrival_s: Floats, window_s: float) -> tuple[Floats, Floats]:
    """The CV of the gaps inside each window with `CV_LEAST_ARRIVALS`, and the windows' starts, s.

    Apart from the slow ups and downs of the rate, which the CV of the whole trace includes.
    """
    window = np.floor(arrival_s / window_s).astype(np.int64)
    starts, values = [], []
    for rows in np.split(np.arange(len(window)), np.flatnonzero(np.diff(window)) + 1):
        cv = interarrival_cv(arrival_s[rows]) if len(rows) >= CV_LEAST_ARRIVALS else None
        if cv is not None:
            starts.append(float(window[rows[0]]) * window_s)
            values.append(cv)
    return np.array(values, dtype=np.float64), np.array(starts, dtype=np.float64)


def window_counts(arrival_s: Floats, window_s: float) -> tuple[NDArray[np.int64], int]:
    """Arrivals in each non-empty whole window from time 0, and the number of whole windows.

    The rest after the last whole window is left out.
    """
    windows = int(arrival_s[-1] / window_s) if len(arrival_s) else 0
    window = np.floor(arrival_s / window_s).astype(np.int64)
    _, counts = np.unique(window[window < windows], return_counts=True)
    return counts.astype(np.int64), windows


def fano(arrival_s: Floats, window_s: float) -> float | None:
    """Index of dispersion of counts: variance over mean per window; 1 for a Poisson process."""
    counts, windows = window_counts(arrival_s, window_s)
    if windows < 2 or not len(counts):
        return None
    mean = float(counts.sum()) / windows
    variance = float((counts.astype(np.float64) ** 2).sum()) / windows - mean**2
    return variance / mean


def peak_to_mean(arrival_s: Floats, window_s: float) -> float | None:
    """The fullest window's arrivals over those of the mean window."""
    counts, windows = window_counts(arrival_s, window_s)
    if windows < 2 or not len(counts):
        return None
    return float(counts.max()) * windows / float(counts.sum())


def cold_share(arrival_s: Floats, labels: Labels, keep_alive_s: float) -> float | None:
    """Share of arrivals whose label was not used in the `keep_alive_s` before: memory unlimited.

    Gaps count from arrival to arrival, as if service took no time. A first use is cold.
    """
    if not len(labels):
        return None
    order = np.lexsort((arrival_s, labels))
    same = labels[order][1:] == labels[order][:-1]
    warm = same & (np.diff(arrival_s[order]) <= keep_alive_s)
    return 1.0 - float(warm.sum()) / len(labels)
