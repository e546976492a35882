"""The fewest loads that could have served requests when they were, against trying everything.

A card has 48 GiB, which is what a shard of these tests holds; a load takes 2 s.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise, product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import structs

from fleet.domain import NodeId, Shard
from tests.traces.runs import Story, finish, model, node, ready, request, send, start
from traces.bounds.fewest_loads import FewestLoads, fewest_loads
from traces.collector import record_of
from traces.record import RunRecord

#: Model, begin and end of a request.
Served = tuple[int, int, int]
LOAD_S = 2


def record(served: Sequence[Served], cards: int) -> RunRecord:
    """Every request on an instance of its own, ready when it begins.

    The instances would not all fit; only when requests ran counts, and what a model needs.
    """
    card = (Shard(NodeId(0), (0,), 48 << 30),)
    steps: list[tuple[int, int, Story]] = []
    for number, (base, begin, end) in enumerate(served):
        begun = structs.replace(start(number, number, base=base), shards=card)
        arrived = request(number, float(begin - LOAD_S), base)
        steps.append((begin - LOAD_S, number, Story().arrive(arrived, begun)))
        is_ready = ready(float(begin), number, number, float(LOAD_S))
        steps.append((begin, number, Story().tell(is_ready, send(100 + number, number, number))))
        ended = finish(number, number, float(begin), float(begin), float(end), 2)
        steps.append((end, number, Story().tell(ended)))
    pairs = [pair for *_, told in sorted(steps, key=lambda step: step[:2]) for pair in told.pairs]
    return record_of(pairs, [node(0, gpus=cards)], [model(0), model(1), model(2)])


def bound(served: Sequence[Served], cards: int = 1) -> FewestLoads:
    return fewest_loads(record(served, cards), dict.fromkeys(range(3), float(LOAD_S)))


def stretches(served: Sequence[Served], base: int) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for _, begin, end in sorted(one for one in served if one[0] == base):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def fewest(served: Sequence[Served], cards: int) -> int | None:
    """Every gap bridged or loaded in, the load at every second it could begin; None: no way."""
    busy = [span for base in range(3) for span in stretches(served, base)]
    gaps = []
    for base in range(3):
        spans = stretches(served, base)
        gaps += [(a[1], b[0]) for a, b in pairwise(spans)]
    ways = [list(ways_through(gap)) for gap in gaps]
    models = len({base for base, *_ in served})
    found = [
        models + sum(way != gap for way, gap in zip(chosen, gaps, strict=True))
        for chosen in product(*ways)
        if most_held([*busy, *chosen]) <= cards
    ]
    return min(found, default=None)


def ways_through(gap: tuple[int, int]) -> Iterator[tuple[int, int]]:
    yield gap
    begin, end = gap
    if end - begin > LOAD_S:
        yield from ((at, at + LOAD_S) for at in range(begin, end - LOAD_S + 1))


def most_held(spans: list[tuple[int, int]]) -> int:
    return max(sum(begin <= at < end for begin, end in spans) for at in range(40))


@settings(max_examples=200, deadline=None)
@given(
    cards=st.integers(1, 2),
    served=st.lists(
        st.tuples(st.integers(0, 2), st.integers(2, 20), st.integers(1, 4)), min_size=1, max_size=6
    ),
)
def test_no_way_to_keep_models_needs_fewer_loads(
    cards: int, served: list[tuple[int, int, int]]
) -> None:
    spans = [(base, begin, begin + length) for base, begin, length in served]
    optimum = fewest(spans, cards)
    assume(optimum is not None)
    assert optimum is not None
    assert bound(spans, cards).least_loads <= optimum


def test_two_models_that_alternate_on_one_card_are_loaded_each_time() -> None:
    """Four gaps of 7 s; from the first to the last the card has 10 s beside the requests.

    Four loads take 8 of them, and bridging a gap instead takes 5 more: 2 / 5 of one fits.
    """
    turns = [(turn % 2, 3 + 5 * turn, 6 + 5 * turn) for turn in range(6)]
    found = bound(turns, cards=1)
    assert (found.models, found.gaps, found.loads) == (2, 4, 6)
    assert found.least_loads == fewest(turns, 1) == 6
    assert found.least_load_s == pytest.approx(2 * LOAD_S + (4 - 2 / 5) * LOAD_S)
    assert bound(turns, cards=2).least_loads == 2


def test_a_gap_too_short_for_a_load_was_bridged() -> None:
    assert bound([(0, 2, 4), (0, 5, 8)]).least_loads == 1
    found = bound([(0, 2, 4), (1, 2, 4), (0, 6, 8)], cards=2)
    assert (found.gaps, found.unbridged) == (1, 0)


def test_requests_that_overlap_leave_no_gap() -> None:
    found = bound([(0, 2, 6), (0, 3, 4), (0, 6, 9)])
    assert (found.gaps, found.least_loads, found.loads) == (0, 1, 3)


def test_a_request_that_was_dispatched_again_counts_at_its_two_ends_only() -> None:
    whole = record([(0, 2, 20), (1, 8, 12)], cards=1)
    again = whole.requests.dispatched_at.copy()
    again[0] = 15.0  # its instance was lost in between
    whole.requests.dispatched_at[:] = again
    found = fewest_loads(whole, dict.fromkeys(range(3), float(LOAD_S)))
    assert (found.gaps, found.unbridged, found.least_loads) == (1, 1, 3)


def test_nothing_served_needs_nothing() -> None:
    found = fewest_loads(record_of([], [node(0)], [model(0)]), {})
    assert (found.models, found.least_loads, found.load_s, found.least_load_s) == (0, 0, 0, 0)
