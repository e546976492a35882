"""The frontier of cost and latency, worked out by hand."""

from tests.traces.gridded import Level, grid
from traces.grids.contest import contests_of
from traces.grids.grid import PRICE, TTFT_P99
from traces.grids.pareto import Front, front_of

LEVELS = {
    "cheap": Level(ttft_s=20.0, price=1.0),
    "fast": Level(ttft_s=5.0, price=3.0),
    "between": Level(ttft_s=10.0, price=2.0),
    "beaten": Level(ttft_s=11.0, price=2.5),
    "worst": Level(ttft_s=30.0, price=4.0),
}


def front(levels: dict[str, Level], seeds: int = 6) -> Front:
    runs = grid(levels, seeds=seeds)
    (cost,), (latency,) = contests_of(runs, PRICE), contests_of(runs, TTFT_P99)
    return front_of(cost, latency)


def test_the_frontier_is_by_rising_cost_and_the_others_are_dominated_by_the_fastest() -> None:
    found = front(LEVELS)
    assert found.best == ("cheap", "between", "fast")
    assert found.dominated == {"beaten": "between", "worst": "fast"}
    assert found.surely == found.dominated


def test_what_may_be_chance_is_not_sure() -> None:
    found = front(LEVELS, seeds=1)
    assert set(found.dominated) == {"beaten", "worst"}
    assert found.surely == {}


def test_who_never_settled_is_no_spot() -> None:
    found = front(LEVELS | {"hopeless": Level(ttft_s=1.0, price=0.1, saturates_at=1.0)})
    assert "hopeless" not in [spot.policy for spot in found.spots]
    assert "queue grew" in found.unsettled["hopeless"]
    assert found.best == ("cheap", "between", "fast")


def test_some_saturated_seeds_are_marked() -> None:
    found = front({"a": Level(saturates_at=1.0, seeds=2), "b": Level()})
    assert found.partly == {"a"}


def test_the_same_cost_and_latency_dominate_nobody() -> None:
    (spot,) = front({"a": Level()}).spots
    assert not spot.dominates(spot)
