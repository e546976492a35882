"""The bisection, on attainment curves whose crossing is known."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traces.grids.capacity import Capacity, Probe, Search, bracket, capacity_of, next_load, shown

#: Attainment of a seed at a load.
Curve = Callable[[float, int], float]


def probed(curve: Curve, search: Search, seeds: int = 6, saturates_at: float = 1e9) -> list[Probe]:
    probes: list[Probe] = []
    while (load := next_load(probes, search)) is not None:
        shares = tuple(min(1.0, max(0.0, curve(load, seed))) for seed in range(seeds))
        saturated = seeds if load >= saturates_at else 0
        words = "the queue grew by 3.1 requests/s to the end" if saturated else ""
        probes.append(Probe(load, shares, saturated, words))
        assert len(probes) < 60, "the search ends"
    return probes


def falling(capacity: float, spread: float = 0.0) -> Curve:
    """Falls through 99 % at `capacity`, of seed s at capacity * (1 + spread * (s - 2.5))."""

    def share(load: float, seed: int) -> float:
        return 0.99 - 0.2 * math.log(load / (capacity * (1 + spread * (seed - 2.5))))

    return share


def found(curve: Curve, search: Search | None = None, **more: float) -> Capacity:
    search = search or Search()
    return capacity_of(probed(curve, search, **more), search, 2.0)  # type: ignore[arg-type]


@given(st.floats(0.05, 40.0), st.floats(0.01, 0.3))
@settings(max_examples=60)
def test_the_bracket_holds_the_crossing_and_is_as_narrow_as_asked(
    capacity: float, tolerance: float
) -> None:
    search = Search(tolerance=tolerance)
    low, high = bracket(probed(falling(capacity), search, seeds=1), search.target)
    assert low is not None
    assert high is not None
    assert low <= capacity * 1.001
    assert high >= capacity * 0.999
    assert high <= low * (1 + tolerance) * 1.001


def test_the_answer_is_the_crossing_with_an_interval_and_its_rate() -> None:
    answer = found(falling(3.0, spread=0.02))
    assert answer.load is not None
    assert answer.load.estimate == pytest.approx(3.0, rel=0.02)
    assert answer.load.low is not None
    assert answer.load.high is not None
    assert 2.8 < answer.load.low < answer.load.estimate < answer.load.high < 3.2
    assert answer.rate_rps == pytest.approx(2.0 * answer.load.estimate)
    assert list(answer.by_seed) == sorted(answer.by_seed)
    assert answer.by_seed[0] == pytest.approx(3.0 * 0.95, rel=0.03)
    assert shown(answer) == "2.99 [2.88, 3.11]"
    assert not answer.remarks


def test_few_seeds_have_no_interval_and_no_probe_is_sure() -> None:
    answer = found(falling(3.0), seeds=3)
    assert answer.load is not None
    assert answer.load.low is None
    assert not any(probe.sure(0.99) for probe in answer.probes)


def test_seeds_that_agree_make_a_probe_sure() -> None:
    assert Probe(1.0, (0.999,) * 6, 0).sure(0.99)
    assert Probe(1.0, (0.9,) * 6, 0).sure(0.99)
    assert not Probe(1.0, (1.0, 1.0, 1.0, 0.9, 1.0, 1.0), 0).sure(0.99)


def test_what_is_never_met_or_always_is_said_in_words() -> None:
    never = found(lambda load, seed: 0.5)
    assert never.load is None
    assert never.rate_rps is None
    assert shown(never) == "missed even at 0.01562, the least that was tried: 50.0 % met it"
    always = found(lambda load, seed: 1.0)
    assert shown(always) == "not reached: 99 % are met up to 64, the most that was tried"
    assert always.bracket == (64.0, None)


def test_a_load_that_never_settles_is_missed_even_where_the_objective_is_met() -> None:
    answer = found(lambda load, seed: 0.995, saturates_at=4.0)
    assert answer.load is not None
    assert answer.load.estimate <= 4.0
    assert answer.bracket[1] is not None
    assert answer.bracket[1] >= 4.0
    assert any("the queue never settled: the queue grew by 3.1" in r for r in answer.remarks)


def test_a_curve_that_rises_again_is_reported() -> None:
    def dented(load: float, seed: int) -> float:
        return 0.9 + 0.001 * seed if 1.2 < load < 1.7 else falling(1.9)(load, seed)

    search = Search(first=2.0)
    probes = [*probed(dented, search), Probe(1.8, (1.0,) * 6, 0)]
    answer = capacity_of(probes, search, None)
    assert answer.bracket[0] is not None
    assert answer.bracket[0] < 1.2
    assert any("it is met again at 1.8" in remark for remark in answer.remarks)
    assert any("points more meet it at 1.8" in remark for remark in answer.remarks)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"target": 0.0}, "target is 0.0; it must be a share"),
        ({"tolerance": 1.0}, "tolerance is 1.0; it must be"),
        ({"first": 100.0}, "first is 100; it must lie between"),
    ],
)
def test_a_search_that_cannot_be_is_refused(wrong: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Search(**wrong)
