"""A run as spans on cards: which instance loaded, served or idled where and when.

Numbers only; `traces.timeline_plot` draws them. A large fleet is shown by some of its nodes.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from traces.record import Floats, Load, MoveEnd, RunRecord

MAX_CARDS: Final = 40
#: Servings closer than this share of the run are drawn as one.
RESOLUTION: Final = 1 / 1000

Card = tuple[int, int]  # node, card


class Span(NamedTuple):
    """`kind` is "loading", "serving" or "idle"; `lane` is its part of a shared card."""

    card: Card
    lane: int
    kind: str
    model: int
    since: float
    until: float


class Arrow(NamedTuple):
    """A request that moved between two cards that are shown."""

    source: tuple[Card, int]
    target: tuple[Card, int]
    at: float


class Timeline(NamedTuple):
    cards: tuple[Card, ...]
    lanes: dict[Card, int]
    spans: tuple[Span, ...]
    arrows: tuple[Arrow, ...]
    ended_at: float
    nodes_shown: int
    nodes: int


class _Stay(NamedTuple):
    """One load of an instance on one card."""

    load: Load
    card: Card
    since: float
    until: float


def timeline_of(record: RunRecord, max_cards: int = MAX_CARDS) -> Timeline:
    """Spans on every card of the nodes shown: all, or some spread evenly over those in use."""
    nodes = _nodes_shown(record, max_cards)
    cards = tuple((node, gpu) for node in nodes for gpu in range(record.nodes[node].gpus))
    stays = sorted(_stays(record, set(nodes)), key=lambda stay: (stay.card, stay.since))
    lanes, lane_of = _lanes(stays)
    busy = _busy(record, {stay.load.instance for stay in stays})
    spans: list[Span] = []
    for stay, lane in zip(stays, lane_of, strict=True):
        spans.extend(_spans(stay, lane, busy.get(stay.load.instance), record.ended_at))
    arrows = _arrows(record, stays, lane_of)
    return Timeline(
        cards, lanes, tuple(spans), arrows, record.ended_at, len(nodes), len(record.nodes)
    )


def _nodes_shown(record: RunRecord, max_cards: int) -> list[int]:
    used = {shard.node for load in record.loads for shard in load.shards}
    nodes = sorted(record.nodes)
    if sum(record.nodes[node].gpus for node in nodes) <= max_cards:
        return nodes
    pool = sorted(used & set(nodes)) or nodes
    most = max(1, max_cards // max(record.nodes[node].gpus for node in pool))
    step = max(1.0, len(pool) / most)
    return [pool[int(i * step)] for i in range(min(most, len(pool)))]


def _stays(record: RunRecord, nodes: set[int]) -> Iterable[_Stay]:
    for load in record.loads:
        until = load.ended_at if load.ended_at is not None else record.ended_at
        for shard in load.shards:
            if shard.node in nodes:
                for gpu in shard.gpus:
                    yield _Stay(load, (shard.node, gpu), load.started_at, until)


def _lanes(stays: list[_Stay]) -> tuple[dict[Card, int], list[int]]:
    """The first lane that is free, for each stay; and how many lanes each card needs."""
    ends: dict[Card, list[float]] = defaultdict(list)
    lane_of = []
    for stay in stays:
        free = ends[stay.card]
        lane = next((i for i, end in enumerate(free) if end <= stay.since), len(free))
        if lane == len(free):
            free.append(stay.until)
        free[lane] = stay.until
        lane_of.append(lane)
    return {card: len(free) for card, free in ends.items()}, lane_of


def _busy(record: RunRecord, instances: set[int]) -> dict[int, Floats]:
    """For each instance, the merged times in which it had a request, shape (k, 2)."""
    requests = record.requests
    since = np.where(requests.finished, requests.scheduled_at, requests.dispatched_at)
    until = np.where(np.isnan(requests.ended_at), record.ended_at, requests.ended_at)
    still = requests.dispatched & (requests.migrations == 0) & np.isfinite(since)
    shown = still & np.isin(requests.instance, list(instances))
    stints = np.stack([requests.instance[shown], since[shown], until[shown]], axis=1)
    moved = [row for row in _moved_stints(record, since, until) if row[0] in instances]
    rows = np.concatenate([stints, np.array(moved, np.float64).reshape(-1, 3)])
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    owners, starts = np.unique(rows[:, 0], return_index=True)
    parts = np.split(rows[:, 1:], starts[1:]) if len(owners) else []
    near = record.ended_at * RESOLUTION
    return {int(owner): _merged(part, near) for owner, part in zip(owners, parts, strict=True)}


def _moved_stints(
    record: RunRecord, since: Floats, until: Floats
) -> Iterable[tuple[float, float, float]]:
    """Instance, since, until of each leg of the requests that migrated."""
    row_of = (
        {int(id_): row for row, id_ in enumerate(record.requests.id)} if len(record.moves) else {}
    )
    legs: dict[int, list[tuple[float, int, int]]] = defaultdict(list)
    for move in record.moves[record.moves["outcome"] == MoveEnd.MOVED]:
        row = row_of.get(int(move["request"]))
        if row is not None:
            legs[row].append((float(move["done_at"]), int(move["source"]), int(move["target"])))
    for row, moves in legs.items():
        at = float(since[row])
        for done_at, source, _ in moves:
            yield source, at, done_at
            at = done_at
        yield moves[-1][2], at, float(until[row])


def _merged(stints: Floats, near: float) -> Floats:
    """Stints in order of their start, joined where they overlap or lie `near` each other."""
    ends = np.maximum.accumulate(stints[:, 1])
    breaks = np.flatnonzero(stints[1:, 0] > ends[:-1] + near)
    first = np.concatenate([[0], breaks + 1])
    last = np.concatenate([breaks, [len(stints) - 1]])
    return np.stack([stints[first, 0], ends[last]], axis=1)


def _spans(stay: _Stay, lane: int, busy: Floats | None, ended_at: float) -> Iterable[Span]:
    load = stay.load
    ready_at = load.ready_at if load.ready_at is not None else stay.until
    yield Span(stay.card, lane, "loading", load.model, stay.since, ready_at)
    if ready_at >= stay.until:
        return
    yield Span(stay.card, lane, "idle", load.model, ready_at, stay.until)
    for since, until in busy if busy is not None else ():
        begin, end = max(float(since), ready_at), min(float(until), stay.until)
        if begin < end:
            yield Span(stay.card, lane, "serving", load.model, begin, end)


def _arrows(record: RunRecord, stays: list[_Stay], lane_of: list[int]) -> tuple[Arrow, ...]:
    at: dict[int, tuple[Card, int]] = {}
    for stay, lane in zip(stays, lane_of, strict=True):
        at.setdefault(stay.load.instance, (stay.card, lane))
    done = record.moves[record.moves["outcome"] == MoveEnd.MOVED]
    ends = ((at.get(int(m["source"])), at.get(int(m["target"])), float(m["done_at"])) for m in done)
    return tuple(
        Arrow(source, target, when)
        for source, target, when in ends
        if source is not None and target is not None and source != target
    )
