"""The report of a comparison: one HTML file that needs nothing else, and its data beside it.

Pictures are embedded, styles are inline, no host is asked for anything. Knows what was run only
as far as `Study` says.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec
import numpy as np

from traces.comparison import MEASURES, Row, Run, by_policy, compare_runs, order_agreement
from traces.details import DETAILS, Detail
from traces.figure_style import DPI
from traces.findings import caveats, headline, standings
from traces.numerals import number
from traces.plots import save_plots
from traces.statistics import LEVEL, RESAMPLES, Interval
from traces.summary import value_of
from traces.tables import bounds_shown

CSS_DPI: Final = 96
CAPTIONS: Final = {
    "latency": "Latency of all arrived requests; what never finished keeps a curve below 1. "
    "Lines are means over seeds, bands their range.",
    "startup": "Start-up time of instances by where their weights were, and its phases.",
    "cold_starts": "Requests that waited for a model (left) or an adapter (right) to load, "
    "with 95 % intervals.",
    "attainment": "Share of all arrived requests within the objective, and the rate of those, "
    "with 95 % intervals.",
    "cost": "GPU time held and its price, by cause; means over seeds.",
    "queue": "Requests waiting for their first batch. Where the queue passes 100 the scale is "
    "logarithmic above 10.",
}


class Study(msgspec.Struct, frozen=True):
    """What was run. `parameters` are all that were resolved, nested as the scenario is.

    `synthetic_fields` names what in the trace was made up, and how.
    """

    title: str
    scenario: str
    trace: str
    command: str
    parameters: Mapping[str, Any] = {}
    synthetic_fields: Sequence[str] = ()
    notes: Sequence[str] = ()


class Results(msgspec.Struct, frozen=True):
    """What `results.json` holds: enough to make every number of the report again."""

    study: Study
    rows: Sequence[Row]
    runs: Sequence[Run]


def write_report(out_dir: Path, study: Study, runs: Sequence[Run]) -> Path:
    """Writes report.html, results.json and plots/ into `out_dir`; returns the report's path.

    Raises ValueError where the policies share no seed.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    rows = compare_runs(runs)
    plots = save_plots(runs, out_dir / "plots")
    bare = [msgspec.structs.replace(run, record=None) for run in runs]
    results = msgspec.json.encode(Results(study, rows, bare))
    (out_dir / "results.json").write_bytes(msgspec.json.format(results, indent=1))
    path = out_dir / "report.html"
    path.write_text(html(study, runs, rows, plots), encoding="utf-8")
    return path


def html(study: Study, runs: Sequence[Run], rows: Sequence[Row], plots: Mapping[str, Path]) -> str:
    """The report's text; pictures are read from `plots` and embedded."""
    own_runs = by_policy(runs)
    main = [row for row in rows if row.measure in MEASURES]
    extra = [row for row in rows if row.measure not in MEASURES]
    seeds = [run.seed for run in next(iter(own_runs.values()))]
    return template("report.html.j2").render(
        study=study,
        policies=list(own_runs),
        seeds=seeds,
        arrived=[run.summary.requests.arrived for run in next(iter(own_runs.values()))],
        objective=runs[0].summary.objective,
        tables=[_table(main, own_runs), _table(extra, own_runs)],
        findings=[_finding(row, runs) for row in main],
        headlines=[text for text in map(headline, main) if text],
        pairs=len(own_runs) * (len(own_runs) - 1) // 2,
        level=round(LEVEL * 100),
        resamples=f"{RESAMPLES:,}",
        comparing=[(CAPTIONS[name], embedded(plots[name])) for name in CAPTIONS if name in plots],
        timelines=_timelines(plots),
        details=_details(own_runs),
        saturation=_saturation(own_runs),
        caveats=caveats(runs),
        parameters=list(flat(study.parameters)),
    )


def template(name: str) -> jinja2.Template:
    """One of the templates beside this module; everything put into it is escaped."""
    beside = jinja2.FunctionLoader(lambda file: files("traces").joinpath(file).read_text("utf-8"))
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, loader=beside
    )
    return environment.get_template(name)


def _heading(row: Row) -> str:
    return f"{row.measure.label} ({row.measure.unit})" if row.measure.unit else row.measure.label


def _table(
    rows: Sequence[Row], policies: Iterable[str]
) -> tuple[list[str], list[tuple[str, list[tuple[str, str, bool]]]]]:
    """Headings, and for each policy its name and cells."""
    lines = [(policy, [_cell(row, policy) for row in rows]) for policy in policies]
    return [_heading(row) for row in rows], lines


def _cell(row: Row, policy: str) -> tuple[str, str, bool]:
    """Mean, bounds, and whether it is the best of its column."""
    mean: Interval | None = row.comparison.means[policy]
    if mean is None:
        return "-", "", False
    scale = 100.0 if row.measure.percent else 1.0
    return number(mean.estimate * scale), bounds_shown(mean, scale), policy == row.best


def _finding(row: Row, runs: Sequence[Run]) -> tuple[str, list[str], str]:
    """A measure, its sentences, and how far its seeds agree on the order."""
    tau = order_agreement(row, runs)
    agreement = "" if tau is None else f"{tau:.2f}"
    return _heading(row), standings(row), agreement


def embedded(png: Path) -> tuple[str, int]:
    """As a data address, and its width in CSS pixels at the size it was drawn for."""
    data = png.read_bytes()
    pixels = int.from_bytes(data[16:20], "big")  # the header chunk begins with the width
    source = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    return source, round(pixels * CSS_DPI / DPI)


def _timelines(plots: Mapping[str, Path]) -> list[tuple[str, tuple[str, int]]]:
    return [
        (name.removeprefix("timeline_"), embedded(path))
        for name, path in plots.items()
        if name.startswith("timeline_")
    ]


def _details(
    own_runs: Mapping[str, Sequence[Run]],
) -> list[tuple[str, list[tuple[Detail, list[str]]]]]:
    """The table of everything by group, without lines that no policy measured or that are all 0."""
    groups: dict[str, list[tuple[Detail, list[str]]]] = {}
    for detail in DETAILS:
        cells = [_mean_shown(detail, own) for own in own_runs.values()]
        if set(cells) - {"-", "0"} or detail.group == "Requests":
            groups.setdefault(detail.group, []).append((detail, cells))
    return list(groups.items())


def _mean_shown(detail: Detail, own: Sequence[Run]) -> str:
    """Over the seeds that measured it."""
    values = [value_of(run.summary, detail.path) for run in own]
    known = [value for value in values if value is not None]
    return number(float(np.mean(known)) * detail.scale) if known else "-"


def _saturation(own_runs: Mapping[str, Sequence[Run]]) -> list[tuple[str, int, int, str]]:
    """Policy, saturated seeds, seeds, and the first seed in words."""
    return [
        (
            policy,
            sum(run.summary.saturation.saturated for run in own),
            len(own),
            own[0].summary.saturation.in_words,
        )
        for policy, own in own_runs.items()
    ]


def flat(parameters: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested parameters as dotted names."""
    lines: list[tuple[str, str]] = []
    for name, value in parameters.items():
        if isinstance(value, Mapping) and value:
            lines.extend(flat(value, f"{prefix}{name}."))
        else:
            lines.append((f"{prefix}{name}", str(value)))
    return lines
