"""How much work an exact choice takes: counted in visited states, not in time."""

from math import inf, isclose

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.domain import NodeId, Tier, Whole
from policies.room.clearing import Fixed, Leave, clearable
from policies.room.migration import movable
from policies.room.stopping import EvictIdle
from policies.room.targets import Targets
from policies.room.victims import Search, at_least_s
from tests.policies.bench import Bench, model, node, part
from tests.policies.crowds import NEWCOMER, crowds
from tests.policies.every_way import least_cost_s

HERE = NodeId(0)
SIZES = [20, 30, 50, 70, 110, 130, 170, 190]


def crowded(
    need: int,
    cards: list[int],
    sizes: list[int],
    queue_s: float,
    resident: list[tuple[int, int, Tier]] | None = None,
) -> Search:
    """Eight busy one-card victims on a node; targets with so many cards and ever longer queues."""
    crowd = [model(i, slots=1, weight_bytes=size) for i, size in enumerate(sizes)]
    nodes = [node(0, 8), *(node(i, n) for i, n in enumerate(cards, 1))]
    bench = Bench(nodes, [*crowd, model(NEWCOMER, Whole(need))], resident=resident or [])
    for spec in crowd:
        bench.run(spec.id, 0, 1, prompt=10 + 7 * spec.id)
    for i in range(len(cards)):
        bench.state.nodes.loading_until[i + 1] = queue_s * i
    return begun(bench)


def begun(bench: Bench) -> Search:
    spec, view = bench.need(NEWCOMER).model, bench.view
    victims = [v for v in clearable(HERE, spec, view) if movable(v)]
    parts = any(v.model.need == part(30) for v in victims)
    targets = Targets(HERE, len(victims), view, parts)
    alone_s = {v.id: min(w.cost_s for w in targets.of(v, ())) for v in victims}
    victims.sort(key=lambda v: (alone_s[v.id], v.id))
    return Search(view.node(HERE), spec.need, victims, alone_s, targets)


@pytest.mark.parametrize("need", [2, 4, 8])
@pytest.mark.parametrize("cards", [[1] * 8, [8] * 8, [2] * 4, [4, 4], [8]])
@pytest.mark.parametrize("queue_s", [0.0, 1.0])
@pytest.mark.parametrize("sizes", [[80] * 8, SIZES])
def test_eight_victims_and_eight_targets_take_few_visits(
    need: int, cards: list[int], queue_s: float, sizes: list[int]
) -> None:
    """Without bounds there are 8! = 40,320 ways and more."""
    search = crowded(need, cards, sizes, queue_s)
    assert search.run([0] * 8) is not None
    assert search.visits <= 60


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(2, 8), st.integers(1, 2), st.floats(0.0, 2.0), st.randoms(use_true_random=False))
def test_copies_scattered_over_tiers_stay_within_the_limit(
    need: int, cards: int, queue_s: float, random: object
) -> None:
    tiers = [Tier.SSD, Tier.DRAM]
    resident = [
        (i, j, random.choice(tiers))  # type: ignore[attr-defined]
        for i in range(8)
        for j in range(1, 9)
        if random.random() < 0.7  # type: ignore[attr-defined]
    ]
    search = crowded(need, [cards] * 8, SIZES, queue_s, resident)
    assert search.run([0] * 8) is not None
    assert search.visits < search.most_visits


def test_a_search_that_runs_out_of_visits_still_frees_enough() -> None:
    search = crowded(8, [1] * 8, SIZES, 1.0)
    search.most_visits = 1
    found = search.run([0] * 8)
    assert found is not None
    assert len(found) == 8


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(crowds())
def test_the_bound_on_cards_never_passes_the_least_cost(bench: Bench) -> None:
    spec, view = bench.need(NEWCOMER).model, bench.view
    idle = [v for v in clearable(HERE, spec, view) if not v.load]
    costs = {v.id: 1.0 + v.id for v in idle}
    free = view.nodes.free_bytes[HERE]
    bound_s = at_least_s(view.node(HERE), spec.need, free, idle, costs)
    ways = Fixed({v.id: Leave(costs[v.id]) for v in idle})
    search = Search(view.node(HERE), spec.need, idle, costs, ways)
    found = search.run(free)
    assert (found is None) == (bound_s == inf)
    assert bound_s <= search.best_s + 1e-9


def test_one_large_victim_is_taken_where_it_is_cheaper_than_several_small_ones() -> None:
    specs = [model(0, Whole(2)), model(1), model(2), model(NEWCOMER, Whole(2))]
    bench = Bench([node(0, 4)], specs)
    for number in range(3):
        bench.run(number, 0)
    wide, *narrow = clearable(HERE, specs[-1], bench.view)
    for costs, expected in [((3.0, 1.0, 1.0), narrow), ((1.5, 1.0, 1.0), [wide])]:
        ways = {v.id: Leave(cost) for v, cost in zip([wide, *narrow], costs, strict=True)}
        alone_s = {i: way.cost_s for i, way in ways.items()}
        search = Search(bench.view.node(HERE), Whole(2), [*narrow, wide], alone_s, Fixed(ways))
        assert [v for v, _ in search.run([0] * 4) or []] == expected


def test_all_shares_of_the_cheapest_card_go_for_a_model_that_wants_it_whole() -> None:
    specs = [model(i, part(40), weight_bytes=w) for i, w in enumerate([10, 10, 90, 10])]
    bench = Bench([node(0, 2)], [*specs, model(NEWCOMER)])
    for number in range(4):
        bench.run(number, 0)
    bench.finish(bench.ask(2))  # asked for lately, so dear to lose; it waits: nothing starts here
    clearing = EvictIdle().make(HERE, bench.need(NEWCOMER).model, bench.view)
    assert clearing is not None
    assert clearing.free_bytes == (80, 0)
    least_s = least_cost_s(HERE, bench.need(NEWCOMER).model, bench.view, migrating=False)
    assert isclose(clearing.cost_s, least_s)
