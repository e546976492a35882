"""Pictures of a trace: arrivals, popularity, lengths and burstiness, as PNG files.

Knows a workload and what is worth seeing of it; the look is `traces.figure_style`'s.
"""

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from traces import figure_style as style
from traces.describing.burstiness import CV_LEAST_ARRIVALS, Floats, fano, window_cvs
from traces.describing.describe import CV_WINDOW_S
from traces.synthesis.popularity import zipf_exponent, zipf_shares
from traces.workload import US_PER_S, Workload

BINS = 120  # over the span of the trace
CURVE_POINTS = 2000  # a curve has no more, whatever the trace's size
FEW_POINTS = 20  # a shorter curve shows its points
FANO_WINDOWS = 16
NICE_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)


def plot(workload: Workload, directory: Path) -> list[Path]:
    """The figures that this trace has something to show in; the paths of the PNG files.

    A trace of fewer than 3 requests, or with all at one time, has none.
    """
    if len(workload) < 3 or np.ptp(workload.frame["arrival_us"].to_numpy()) == 0:
        return []
    paths = [_arrivals(workload, directory / "arrivals.png")]
    kinds = _kinds(workload)
    if kinds:
        paths.append(_popularity(kinds, directory / "popularity.png"))
    if "prompt_tokens" in workload.frame or "output_tokens" in workload.frame:
        paths.append(_lengths(workload, directory / "lengths.png"))
    if len(workload) >= CV_LEAST_ARRIVALS:
        paths.append(_burstiness(workload, directory / "burstiness.png"))
    return paths


def _arrivals(workload: Workload, path: Path) -> Path:
    figure, (axes,) = style.panels(1, width=1.8)
    arrivals_s, span_s = workload.arrivals_s, workload.duration_s
    bin_s = _bin_width(span_s)
    unit, unit_s = _unit(span_s)
    edges_s = np.arange(int(np.ceil(span_s / bin_s)) + 1) * bin_s
    counts = np.histogram(arrivals_s, edges_s)[0]
    # The last bin is only as long as the trace.
    widths_s = np.minimum(edges_s[1:], max(span_s, edges_s[-2] + 1e-9)) - edges_s[:-1]
    if widths_s[-1] < bin_s / 2:
        edges_s, counts, widths_s = edges_s[:-1], counts[:-1], widths_s[:-1]
    axes.stairs(counts / widths_s, edges_s / unit_s, fill=True, color=style.SKY)
    axes.stairs(counts / widths_s, edges_s / unit_s, color=style.BLUE, linewidth=0.8)
    mean = len(workload) / span_s
    axes.axhline(mean, color=style.VERMILION, linewidth=1.2, label=f"mean {mean:.3g} requests/s")
    axes.set_xlim(0, span_s / unit_s)
    axes.set_ylim(bottom=0)
    style.whole_ticks(axes.xaxis, 12)
    title = f"{len(workload):,} arrivals in bins of {_in_unit(bin_s)}"
    style.label(axes, f"time ({unit})", "arrival rate (requests/s)", title)
    style.legend_above(axes)
    return style.save(figure, path)


Kind: TypeAlias = tuple[str, NDArray[np.int64], str]


def _kinds(workload: Workload) -> list[Kind]:
    """Name, uses from the most used down, and colour of each kind that has two items or more."""
    frame = workload.frame
    names = {"models": frame["model_id"], "adapters": frame["adapter_ids"].explode().dropna()}
    if "tenant_id" in frame:
        names["tenants"] = frame["tenant_id"].dropna()
    colours = (style.BLUE, style.VERMILION, style.GREEN)
    kinds = [
        (name, _counts(uses), colour)
        for (name, uses), colour in zip(names.items(), colours, strict=False)
    ]
    return [kind for kind in kinds if len(kind[1]) > 1]


def _popularity(kinds: list[Kind], path: Path) -> Path:
    figure, all_axes = style.panels(len(kinds))
    for axes, (name, counts, colour) in zip(all_axes, kinds, strict=True):
        _rank_frequency(axes, name, counts, colour)
    return style.save(figure, path)


def _rank_frequency(axes: Axes, name: str, counts: NDArray[np.int64], colour: str) -> None:
    rank, share = np.arange(1, len(counts) + 1), 100 * counts / counts.sum()
    axes.loglog(rank, share, "o", color=colour, markersize=3.5, label=f"{len(counts):,} {name}")
    exponent = zipf_exponent(counts)
    if exponent is not None:
        law = 100 * zipf_shares(len(counts), exponent)
        axes.loglog(rank, law, "--", color=style.BLACK, linewidth=1, label=f"Zipf {exponent:.2f}")
    style.plain_numbers(axes.xaxis)
    style.plain_numbers(axes.yaxis)
    style.label(axes, f"rank of {name} by use", "share of uses (%)")
    style.legend(axes, "lower left")


def _lengths(workload: Workload, path: Path) -> Path:
    figure, (axes,) = style.panels(1, width=1.4)
    drawn = (("prompt", style.BLUE, "-"), ("output", style.VERMILION, "--"))
    for name, colour, line in drawn:
        if f"{name}_tokens" not in workload.frame:
            continue
        column = workload.frame[f"{name}_tokens"].dropna()
        tokens = np.sort(column.to_numpy(dtype=np.float64))
        tokens, below = _thinned(np.maximum(tokens, 1.0), np.arange(1, len(tokens) + 1))
        text = f"{name}: mean {column.mean():,.0f}, median {column.median():,.0f}"
        axes.step(tokens, below, line, where="post", color=colour, linewidth=1.4, label=text)
    axes.set_xscale("log")
    style.plain_numbers(axes.xaxis)
    axes.set_ylim(0, 1.02)
    style.label(axes, "length (tokens)", "share of requests at or below")
    style.legend_above(axes)
    return style.save(figure, path)


def _burstiness(workload: Workload, path: Path) -> Path:
    figure, (gaps, within, windows) = style.panels(3, width=0.95)
    arrivals_s = workload.arrivals_s
    _gap_tail(gaps, np.diff(workload.frame["arrival_us"].to_numpy()))
    _cv_over_time(within, workload)
    _fano_curve(windows, arrivals_s, workload.meta.time_quantum_us / 1e6)
    return style.save(figure, path)


def _gap_tail(axes: Axes, gaps_us: NDArray[np.int64]) -> None:
    """The share of gaps above a length, beside that of a Poisson process of the same rate."""
    lengths_us, times = np.unique(gaps_us[gaps_us > 0], return_counts=True)
    above = times[::-1].cumsum()[::-1] / len(gaps_us)
    values, share = _thinned(lengths_us / US_PER_S, above * len(lengths_us))
    mark = "o" if len(values) < FEW_POINTS else None
    axes.loglog(values, share, marker=mark, color=style.BLUE, markersize=3, label="trace")
    mean = gaps_us.mean() / US_PER_S
    reach = np.geomspace(min(values[0], mean / 100), max(values[-1], 7 * mean), 200)
    poisson = np.exp(-reach / mean)
    shown = poisson >= 0.5 / len(gaps_us)
    axes.loglog(reach[shown], poisson[shown], "--", color=style.BLACK, linewidth=1, label="Poisson")
    style.label(axes, "gap between arrivals (s)", "share of gaps at or above")
    style.legend_above(axes)


def _cv_over_time(axes: Axes, workload: Workload) -> None:
    cvs, starts_s = window_cvs(workload.arrivals_s, CV_WINDOW_S)
    unit, unit_s = _unit(workload.duration_s)
    middle = (starts_s + CV_WINDOW_S / 2) / unit_s
    if not len(cvs):
        text = f"no 10 minutes hold {CV_LEAST_ARRIVALS} requests"
        axes.text(0.5, 0.3, text, transform=axes.transAxes, ha="center", fontsize=style.FONT - 1)
    axes.plot(middle, cvs, "o", color=style.BLUE, markersize=3, label="10-minute window")
    axes.axhline(1.0, color=style.BLACK, linestyle="--", linewidth=1, label="Poisson")
    axes.set_xlim(0, workload.duration_s / unit_s)
    axes.set_ylim(0, max(1.5, 1.15 * float(cvs.max(initial=0.0))))
    style.label(axes, f"time ({unit})", "CV of gaps in the window")
    style.whole_ticks(axes.xaxis, 6)
    style.legend_above(axes)


def _fano_curve(axes: Axes, arrivals_s: Floats, quantum_s: float) -> None:
    mean_gap_s = arrivals_s[-1] / len(arrivals_s)
    shortest = max(mean_gap_s / 2, quantum_s)
    reach = np.geomspace(shortest, max(arrivals_s[-1] / 20, 2 * shortest), FANO_WINDOWS)
    known = [(float(width), fano(arrivals_s, float(width))) for width in reach]
    curve = np.array([(width, value) for width, value in known if value]).reshape(-1, 2)
    marks = {"color": style.BLUE, "markersize": 3, "linewidth": 1.2, "label": "trace"}
    axes.loglog(curve[:, 0], curve[:, 1], "o-", **marks)
    axes.axhline(1.0, color=style.BLACK, linestyle="--", linewidth=1, label="Poisson")
    style.label(axes, "window (s)", "Fano factor of counts")
    style.legend_above(axes)


def _counts(names: "pd.Series[Any]") -> NDArray[np.int64]:
    return np.asarray(names.value_counts(), dtype=np.int64)


def _thinned(values: Floats, ranks: NDArray[Any]) -> tuple[Floats, Floats]:
    """At most CURVE_POINTS of a sorted curve, evenly by rank and denser at both ends."""
    size = len(values)
    even = np.linspace(0, size - 1, CURVE_POINTS // 2)
    ends = np.geomspace(1, size, CURVE_POINTS // 4) - 1
    picks = np.unique(np.concatenate([even, ends, size - 1 - ends]).astype(np.int64))
    return values[picks], np.asarray(ranks, dtype=np.float64)[picks] / size


def _bin_width(span_s: float) -> float:
    for width in NICE_S:
        if span_s / width <= BINS:
            return float(width)
    return float(np.ceil(span_s / BINS / NICE_S[-1]) * NICE_S[-1])


def _in_unit(seconds: float) -> str:
    for unit, size_s in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size_s:
            return f"{seconds / size_s:g} {unit}"
    return f"{seconds:g} s"


def _unit(span_s: float) -> tuple[str, float]:
    for unit, size_s in (("days", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if span_s > 2 * size_s:
            return unit, size_s
    return "s", 1.0
