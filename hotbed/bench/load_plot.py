"""The rates of all loaders as a picture, beside what the machine gives at best."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from runtime.bench.load.figures import HOPS, OURS, figures
from runtime.bench.measurements import Measurements

OUR_COLOUR: Final = "#1b7837"
PEER_COLOUR: Final = "#9aa5b1"
TITLES: Final = {"cold": "cold: from the disk", "warm": "warm: from the page cache"}
INCHES_A_BAR: Final = 0.28


def draw(measured: Measurements, path: Path) -> None:
    """A row of panels a checkpoint, cold and warm: a bar a loader, its least and most, the ceiling.

    Raises OSError, and ValueError for a format that matplotlib has not or for nothing to draw.
    """
    found = figures(measured)
    rows = _rows(found)
    if not rows:
        raise ValueError(f"{path}: there is no cold or warm load to draw")
    bars = max(len(loaders) for panels in rows.values() for loaders in panels.values())
    size = (10.0, len(rows) * (1.0 + INCHES_A_BAR * bars))
    figure = Figure(figsize=size, layout="constrained")
    with mpl.rc_context({"font.size": 8}):
        grid = figure.subplots(len(rows), len(HOPS), squeeze=False)
        for panels, (checkpoint, parts) in zip(grid, rows.items(), strict=True):
            for axes, part in zip(panels, HOPS, strict=True):
                _panel(axes, f"{checkpoint}, {TITLES[part]}", parts.get(part, {}))
        figure.savefig(path, dpi=150)


def _rows(found: Mapping[str, Any]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Loaders' figures by checkpoint and part: base models first, then adapters."""
    rows: dict[str, dict[str, Mapping[str, Any]]] = {}
    for part in HOPS:
        for checkpoint, loaders in found.get(part, {}).get("by_checkpoint", {}).items():
            rows.setdefault(checkpoint, {})[part] = loaders
    for checkpoint, facts in found.get("adapter", {}).items():
        rows[checkpoint] = {part: facts[part] for part in HOPS if facts[part]}
    return {checkpoint: parts for checkpoint, parts in rows.items() if parts}


def _panel(axes: Axes, title: str, loaders: Mapping[str, Any]) -> None:
    ordered = sorted(loaders.items(), key=lambda one: float(one[1]["gb_per_s"]))
    names = [name for name, _ in ordered]
    rates = [facts["gb_per_s"] for _, facts in ordered]
    errors = [
        [facts["gb_per_s"] - facts["least_gb_per_s"] for _, facts in ordered],
        [facts["most_gb_per_s"] - facts["gb_per_s"] for _, facts in ordered],
    ]
    colours = [OUR_COLOUR if name in OURS else PEER_COLOUR for name in names]
    axes.barh(names, rates, xerr=errors, color=colours, error_kw={"lw": 0.8, "capsize": 2})
    ceilings = [
        facts["gb_per_s"] / facts["over_ceiling"]
        for facts in loaders.values()
        if facts.get("over_ceiling")
    ]
    if ceilings:
        ceiling = median(ceilings)
        axes.axvline(ceiling, color="black", lw=0.9, ls="--")
        low = axes.get_xaxis_transform()  # along the rates, and up the panel from 0 to 1
        axes.text(ceiling, 0.01, "ceiling ", ha="right", va="bottom", transform=low)
    axes.set(title=title, xlabel="GB/s")
    axes.spines[["top", "right"]].set_visible(False)
