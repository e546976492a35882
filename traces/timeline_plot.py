"""Draws a `Timeline`: a row a card, instances coloured by model, migrations as arrows."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from traces import figure_style as style
from traces import policy_style as look
from traces.timeline import Card, Span, Timeline

MODEL_COLOURS: Final = (
    style.BLUE,
    style.ORANGE,
    style.GREEN,
    style.PURPLE,
    style.VERMILION,
    style.SKY,
    "#F0E442",  # Okabe and Ito's yellow: too pale for a line, good for an area
)
OTHER: Final = style.GREY
#: How much of a colour is left of an idle instance's.
PALE: Final = 0.28
MAX_ARROWS: Final = 60
ROW_INCHES: Final = 0.16
BAR: Final = 0.82


def timeline_figure(timeline: Timeline, name_of: Callable[[int], str]) -> Figure | None:
    """None where no instance was ever started. `name_of` gives a model's name."""
    if not timeline.spans or timeline.ended_at <= 0:
        return None
    figure, (panel,) = style.panels(1, 2.6)
    figure.set_size_inches(figure.get_figwidth(), 1.5 + ROW_INCHES * max(len(timeline.cards), 6))
    colours = _colours(timeline.spans)
    unit_s, unit = look.time_unit(timeline.ended_at)
    row_of = {card: row for row, card in enumerate(timeline.cards)}
    for (kind, model), spans in _grouped(timeline.spans).items():
        boxes = [_box(span, row_of, timeline.lanes, unit_s) for span in spans]
        panel.add_collection(_patches(kind, colours.get(model, OTHER), boxes))
    _draw_arrows(panel, timeline, row_of, unit_s)
    _label_rows(panel, timeline)
    panel.set_xlim(0, timeline.ended_at / unit_s)
    style.label(panel, f"Time ({unit})", "")
    _legend(figure, colours, name_of, bool(timeline.arrows))
    return figure


def _colours(spans: Sequence[Span]) -> dict[int, str]:
    """A colour for each of the models that held cards longest."""
    held: dict[int, float] = defaultdict(float)
    for span in spans:
        if span.kind != "serving":
            held[span.model] += span.until - span.since
    longest = sorted(held, key=lambda model: -held[model])
    known = longest[: len(MODEL_COLOURS)]
    return dict(zip(sorted(known), MODEL_COLOURS, strict=False)) | dict.fromkeys(
        longest[len(MODEL_COLOURS) :], OTHER
    )


def _grouped(spans: Sequence[Span]) -> dict[tuple[str, int], list[Span]]:
    """By kind and model, serving last: it is drawn over idle."""
    groups: dict[tuple[str, int], list[Span]] = defaultdict(list)
    for kind in ("idle", "loading", "serving"):
        for span in spans:
            if span.kind == kind:
                groups[kind, span.model].append(span)
    return groups


def _box(
    span: Span, row_of: dict[Card, int], lanes: dict[Card, int], unit_s: float
) -> list[tuple[float, float]]:
    height = BAR / lanes[span.card]
    top = row_of[span.card] - BAR / 2 + span.lane * height
    height *= 0.94 if lanes[span.card] > 1 else 1.0  # a gap between those that share a card
    left, right = span.since / unit_s, span.until / unit_s
    return [(left, top), (right, top), (right, top + height), (left, top + height)]


def _patches(
    kind: str, colour: str, boxes: Sequence[Sequence[tuple[float, float]]]
) -> PolyCollection:
    if kind == "loading":
        return PolyCollection(
            boxes, facecolors="white", edgecolors=colour, hatch="//////", linewidths=0.5
        )
    face = _pale(colour) if kind == "idle" else colour
    return PolyCollection(boxes, facecolors=[face], edgecolors="none", rasterized=len(boxes) > 2000)


def _pale(colour: str) -> tuple[float, float, float]:
    red, green, blue = (1 - PALE * (1 - part) for part in to_rgb(colour))
    return red, green, blue


def _draw_arrows(panel: Axes, timeline: Timeline, row_of: dict[Card, int], unit_s: float) -> None:
    """Of many migrations, some spread evenly."""
    arrows = timeline.arrows
    if len(arrows) > MAX_ARROWS:
        picks = np.linspace(0, len(arrows) - 1, MAX_ARROWS).astype(int)
        arrows = tuple(arrows[i] for i in picks)
    for arrow in arrows:
        x = arrow.at / unit_s
        rows = [_middle(end, row_of, timeline.lanes) for end in (arrow.source, arrow.target)]
        panel.annotate(
            "",
            xy=(x, rows[1]),
            xytext=(x, rows[0]),
            arrowprops={
                "arrowstyle": "-|>",
                "color": style.BLACK,
                "linewidth": 0.9,
                "shrinkA": 0,
                "shrinkB": 0,
                "connectionstyle": "arc3,rad=0.15",
                "mutation_scale": 8,
            },
        )


def _middle(end: tuple[Card, int], row_of: dict[Card, int], lanes: dict[Card, int]) -> float:
    card, lane = end
    return row_of[card] - BAR / 2 + (lane + 0.5) * BAR / lanes[card]


def _label_rows(panel: Axes, timeline: Timeline) -> None:
    """A name a node, in the middle of its cards, and a line between nodes."""
    rows: dict[int, list[int]] = defaultdict(list)
    for row, (node, _) in enumerate(timeline.cards):
        rows[node].append(row)
    middles = [sum(own) / len(own) for own in rows.values()]
    panel.set_yticks(middles, [f"node {node}" for node in rows], fontsize=style.FONT - 2)
    panel.tick_params(axis="y", length=0)
    panel.set_ylim(len(timeline.cards) - 0.5, -0.5)
    panel.grid(visible=False, axis="y")
    for own in list(rows.values())[1:]:
        panel.axhline(own[0] - 0.5, color="#BBBBBB", linewidth=0.6)
    if timeline.nodes_shown < timeline.nodes:
        text = f"{timeline.nodes_shown} of {timeline.nodes} nodes shown"
        panel.set_title(text, fontsize=style.FONT - 1, loc="right", color=style.GREY)


def _legend(
    figure: Figure, colours: dict[int, str], name_of: Callable[[int], str], moved: bool
) -> None:
    own = [model for model, colour in colours.items() if colour != OTHER]
    handles = [Patch(color=colours[model], label=name_of(model)) for model in own]
    if len(own) < len(colours):
        handles.append(Patch(color=OTHER, label=f"{len(colours) - len(own)} other models"))
    grey = "#777777"
    handles += [
        Patch(facecolor="white", edgecolor=grey, hatch="//////", label="loading"),
        Patch(color=grey, label="serving"),
        Patch(color=_pale(grey), label="idle"),
    ]
    if moved:
        handles.append(Patch(color="none", label="→ migration"))
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=min(len(handles), 6),
        fontsize=style.FONT - 2,
        frameon=False,
        handlelength=1.6,
        columnspacing=1.2,
    )
