"""Pictures that compare policies: latency, start-up, cold starts, attainment, cost, queues.

Knows the runs and what is worth seeing of them; the look is `traces.figure_style`'s. A picture
with nothing to show is None.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from traces import figure_style as style
from traces import policy_style as look
from traces.comparison import Row, Run, by_policy, compare_runs
from traces.curves import Cdf
from traces.record import Floats, RunRecord, Source
from traces.statistics import Interval
from traces.timeline import timeline_of
from traces.timeline_plot import timeline_figure

SOURCES: Final = tuple(source.name.lower() for source in Source)
SOURCE_NAMES: Final = dict(
    zip(SOURCES, ("remote store", "SSD", "other node", "DRAM", "GPU"), strict=True)
)
CURVE_POINTS: Final = 300


#: Keeps an interval readable on a dark bar.
HALO: Final = [withStroke(linewidth=2.6, foreground="white")]


def save_plots(runs: Sequence[Run], directory: Path) -> dict[str, Path]:
    """Every picture these runs can show, as PNG (200 dpi) and SVG; name to PNG path."""
    rows = {row.measure.path: row for row in compare_runs(runs)}
    own_runs = by_policy(runs)
    drawn: dict[str, Callable[[], Figure | None]] = {
        "latency": lambda: latency_cdfs(own_runs),
        "startup": lambda: startup(own_runs),
        "cold_starts": lambda: cold_starts(rows),
        "attainment": lambda: attainment(rows, own_runs),
        "cost": lambda: cost(own_runs),
        "queue": lambda: queues(own_runs),
    }
    for policy, own in own_runs.items():
        record = next((run.record for run in own if run.record is not None), None)
        if record is not None:
            drawn[f"timeline_{policy}"] = partial(_timeline, record)
    paths = {}
    for name, draw in drawn.items():
        figure = draw()
        if figure is not None:
            paths[name] = save_both(figure, directory / f"{_file_name(name)}.png")
    return paths


def _timeline(record: RunRecord) -> Figure | None:
    return timeline_figure(timeline_of(record), record.model_name)


def save_both(figure: Figure, png: Path) -> Path:
    """As PNG and, beside it, SVG; neither carries a date."""
    style.save(figure, png)
    with rc_context({"svg.hashsalt": "hotbed", "svg.fonttype": "none"}):
        figure.savefig(png.with_suffix(".svg"), metadata={"Date": None})
    return png


def latency_cdfs(own_runs: Mapping[str, Sequence[Run]]) -> Figure | None:
    """Share of all arrived requests with a TTFT, TPOT or end-to-end time at or below x.

    Lines are means over seeds, bands from the lowest to the highest seed. A line ends below 1
    where requests never finished.
    """
    if not any(run.curves for own in own_runs.values() for run in own):
        return None
    figure, axes = style.panels(3, 0.95)
    kinds = (("ttft_s", "Time to first token (s)"), ("tpot_s", "Time per output token (s)"))
    for panel, (field, title) in zip(axes, (*kinds, ("e2e_s", "End-to-end time (s)")), strict=True):
        curves = {
            policy: [getattr(run.curves, field) for run in own if run.curves is not None]
            for policy, own in own_runs.items()
        }
        _cdf_panel(panel, curves)
        style.label(panel, title, "Share of arrived requests" if panel is axes[0] else "")
    slo = next(iter(own_runs.values()))[0].summary.objective
    for panel, limit_s in zip(axes, (slo.ttft_s, slo.tpot_s), strict=False):
        panel.axvline(limit_s, color=style.GREY, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
        panel.annotate(
            " SLO",
            (limit_s, 0.0),
            fontsize=style.FONT - 2,
            color=style.GREY,
            va="bottom",
        )
    look.legend_above(figure, look.line_key(list(own_runs)))
    return figure


def _cdf_panel(panel: Axes, curves: Mapping[str, Sequence[Cdf]]) -> None:
    points = [np.array(c.values) for own in curves.values() for c in own if c.values]
    panel.set_ylim(0, 1.02)
    if not points:
        return
    x = np.geomspace(*_log_range(points), CURVE_POINTS)
    panel.set_xscale("log")
    panel.set_xlim(x[0], x[-1])
    panel.xaxis.set_major_formatter(FuncFormatter(_plain))
    panel.xaxis.set_minor_formatter(NullFormatter())
    for i, own in enumerate(curves.values()):
        shares = np.array([_share_at(curve, x) for curve in own if curve.values])
        if len(shares):
            look.band(panel, x, shares, i)


def _plain(x: float, _: int | None) -> str:
    return f"{x:g}"


def _log_range(points: Sequence[Floats]) -> tuple[float, float]:
    """From below the least positive value to above the largest, a decade at least."""
    low = min(float(own[own > 0].min(initial=np.inf)) for own in points)
    low = min(max(low, 1e-4), 1e3) / 1.3
    high = max(low, *(float(own[-1]) for own in points)) * 1.1
    widen = max(1.0, (10 * low / high) ** 0.5)
    return low / widen, high * widen


def _share_at(curve: Cdf, x: Floats) -> Floats:
    values, shares = np.array(curve.values), np.array(curve.shares)
    at = np.interp(x, values, shares, left=0.0)
    return np.where(x < values[0], 0.0, at)


def startup(own_runs: Mapping[str, Sequence[Run]]) -> Figure | None:
    """Load times by source and policy (median, and up to P99), and their mean phases."""
    used = [s for s in SOURCES if any(_loads(run, s) for own in own_runs.values() for run in own)]
    if not used:
        return None
    figure, (times, phases) = style.panels(2, 1.25)
    height = 0.8 / len(own_runs)
    for i, own in enumerate(own_runs.values()):
        for place, source in enumerate(used):
            spreads = [run.summary.cold.by_source.get(source) for run in own]
            known = [spread.load_s for spread in spreads if spread and spread.load_s]
            if known:
                p50, p99 = (float(np.mean([getattr(k, p) for k in known])) for p in ("p50", "p99"))
                y = place - 0.4 + (i + 0.5) * height
                times.barh(y, p50, height * 0.9, color=look.colour(i))
                times.plot([p50, p99], [y, y], color=style.BLACK, linewidth=0.8)
                times.plot([p99], [y], color=style.BLACK, marker="|", markersize=4)
    look.rows(times, [SOURCE_NAMES[name] for name in used])
    style.label(times, "Load time (s): median, line to P99", "")
    _phase_panel(phases, own_runs, used)
    look.legend_above(figure, look.bar_key(list(own_runs)))
    return figure


def _loads(run: Run, source: str) -> int:
    found = run.summary.cold.by_source.get(source)
    return found.loads if found is not None else 0


def _phase_panel(panel: Axes, own_runs: Mapping[str, Sequence[Run]], used: Sequence[str]) -> None:
    """Mean phases by source, over all loads of all policies and seeds."""
    summaries = [run.summary.cold.by_source for own in own_runs.values() for run in own]
    names = list(
        dict.fromkeys(n for s in summaries for found in s.values() for n in found.phase_mean_s)
    )
    left = np.zeros(len(used))
    for i, name in enumerate(names):
        width = np.zeros(len(used))
        for place, source in enumerate(used):
            found = [by[source] for by in summaries if source in by]
            total = sum(f.phase_mean_s.get(name, 0.0) * f.loads for f in found)
            width[place] = total / sum(f.loads for f in found)
        shade = look.phase_colour(i, len(names))
        panel.barh(range(len(used)), width, 0.6, left=left, color=shade, label=name)
        left += width
    look.rows(panel, ["" for _ in used])
    style.label(panel, "Mean start-up phases, all policies (s)", "")
    if names:
        panel.set_xlim(0, left.max() * 1.02 or 1.0)
        panel.legend(
            fontsize=style.FONT - 2,
            frameon=False,
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            handlelength=1.0,
        )


def cold_starts(rows: Mapping[str, Row]) -> Figure | None:
    """Shares of dispatched requests that waited for a load, with intervals."""
    shown = [rows[p] for p in ("cold.ratio", "cold.adapter_ratio") if p in rows]
    shown = [row for row in shown if any(row.comparison.means.values())]
    if not shown:
        return None
    figure, axes = style.panels(len(shown), 1.3)
    titles = ("Cold requests (% of dispatched)", "Adapter-cold requests (% of dispatched)")
    for panel, row, title in zip(axes, shown, titles, strict=False):
        _bars(panel, row.comparison.means, 100.0, names=panel is axes[0])
        panel.set_xlim(left=0)
        style.label(panel, title, "")
    return figure


def attainment(rows: Mapping[str, Row], own_runs: Mapping[str, Sequence[Run]]) -> Figure | None:
    """Share of all arrived requests that met the objective, and goodput."""
    found = rows["objective.attainment"]
    if not any(found.comparison.means.values()):
        return None
    figure, (share, rate) = style.panels(2, 1.3)
    slo = next(iter(own_runs.values()))[0].summary.objective
    _bars(share, found.comparison.means, 100.0)
    share.set_xlim(0, 100)
    share.xaxis.set_major_formatter(PercentFormatter(decimals=0))
    limits = f"TTFT ≤ {slo.ttft_s:g} s, TPOT ≤ {slo.tpot_s:g} s"
    style.label(share, f"Arrived requests within {limits}", "")
    _bars(rate, rows["objective.goodput_requests_per_s"].comparison.means, 1.0, names=False)
    style.label(rate, "Goodput (requests/s within the SLO)", "")
    return figure


def _bars(
    panel: Axes, means: Mapping[str, Interval | None], scale: float, names: bool = True
) -> None:
    """A bar a policy, with its interval."""
    for i, mean in enumerate(means.values()):
        if mean is None:
            continue
        panel.barh(i, mean.estimate * scale, 0.7, color=look.colour(i))
        if mean.low is not None and mean.high is not None:
            ends = [mean.low * scale, mean.high * scale]
            panel.plot(
                ends, [i, i], color=style.BLACK, linewidth=1.1, marker="|", path_effects=HALO
            )
    look.rows(panel, list(means) if names else ["" for _ in means])


def cost(own_runs: Mapping[str, Sequence[Run]]) -> Figure | None:
    """GPU-seconds and money by cause, means over seeds."""
    gpu_s = _by_cause(own_runs, lambda run: run.summary.cost.gpu_s)
    price = _by_cause(own_runs, lambda run: run.summary.cost.price)
    if not any(amount for own in gpu_s.values() for amount in own.values()):
        return None
    priced = any(amount for own in price.values() for amount in own.values())
    figure, axes = style.panels(2 if priced else 1, 1.3)
    unit_s, unit = look.time_unit(max(sum(own.values()) for own in gpu_s.values()))
    scaled = {p: {c: v / unit_s for c, v in own.items()} for p, own in gpu_s.items()}
    causes = _stack(axes[0], scaled)
    style.label(axes[0], f"GPU time held (GPU-{unit})", "")
    if priced:
        _stack(axes[1], price, names=False)
        style.label(axes[1], "Cost of held GPU time ($)", "")
    handles = [Patch(color=look.cause_colour(cause), label=cause) for cause in causes]
    look.legend_above(figure, handles, columns=6)
    return figure


def _by_cause(
    own_runs: Mapping[str, Sequence[Run]], of: Callable[[Run], Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    causes = list(dict.fromkeys(c for own in own_runs.values() for run in own for c in of(run)))
    causes.sort(key=look.by_cause)
    return {
        policy: {c: float(np.mean([of(run).get(c, 0.0) for run in own])) for c in causes}
        for policy, own in own_runs.items()
    }


def _stack(panel: Axes, parts: Mapping[str, Mapping[str, float]], names: bool = True) -> list[str]:
    causes = list(next(iter(parts.values())))
    left = np.zeros(len(parts))
    for cause in causes:
        width = np.array([own[cause] for own in parts.values()])
        panel.barh(range(len(parts)), width, 0.7, left=left, color=look.cause_colour(cause))
        left += width
    look.rows(panel, list(parts) if names else ["" for _ in parts])
    return causes


def queues(own_runs: Mapping[str, Sequence[Run]]) -> Figure | None:
    """Requests waiting over time."""
    curves = {
        policy: [run.curves.queue for run in own if run.curves and run.curves.queue.at_s]
        for policy, own in own_runs.items()
    }
    ends = [curve.at_s[-1] for own in curves.values() for curve in own]
    if not ends:
        return None
    figure, (panel,) = style.panels(1, 2.2)
    x = np.linspace(0, max(ends), CURVE_POINTS)
    unit_s, unit = look.time_unit(max(ends))
    for i, own in enumerate(curves.values()):
        waiting = [np.interp(x, curve.at_s, curve.waiting, right=0.0) for curve in own]
        if waiting:
            look.band(panel, x / unit_s, np.array(waiting), i)
    panel.set_xlim(0, max(ends) / unit_s)
    if panel.get_ylim()[1] > 100:  # a saturated policy would flatten the others
        panel.set_yscale("symlog", linthresh=10)
        panel.yaxis.set_major_formatter(FuncFormatter(_plain))
    panel.set_ylim(bottom=0)
    style.label(panel, f"Time ({unit})", "Requests waiting")
    look.legend_above(figure, look.line_key(list(own_runs)))
    return figure


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)
