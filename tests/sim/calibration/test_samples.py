"""Cells, their spread, and which of them a fit does not see."""

import math
import random

import pytest

from sim.calibration.samples import CalibrationError, Cell, Sample, cells_of, held_out, spread
from tests.sim.calibration.made import DRAM, MIB, SIZES, SSD, samples


def cell(*seconds: float, nbytes: int = 100, at_once: int = 1, hop: str = "ssd") -> Cell:
    return Cell(hop, f"m{nbytes}", nbytes, (nbytes,) * (at_once - 1), seconds)


def test_samples_that_differ_only_by_chance_are_one_cell() -> None:
    taken = [
        Sample("ssd", "b", 200, 3.0),
        Sample("ssd", "a", 100, 1.0),
        Sample("ssd", "a", 100, 2.0, (50, 70)),
        Sample("ssd", "a", 100, 4.0, (70, 50)),
        Sample("dram", "a", 100, 0.5),
        Sample("ssd", "a", 100, 2.0),
    ]
    found = cells_of(taken)
    assert [c.name for c in found] == ["dram a x1", "ssd a x1", "ssd b x1", "ssd a x3"]
    assert [c.seconds for c in found] == [(0.5,), (1.0, 2.0), (3.0,), (2.0, 4.0)]


def test_a_cells_median_and_quartiles_are_those_of_its_seconds() -> None:
    one = cell(5.0, 1.0, 2.0, 4.0, 3.0)
    assert one.median_s == 3.0
    assert one.quartiles_s == (2.0, 4.0)


@pytest.mark.parametrize("cv", [0.02, 0.1, 0.3])
def test_the_spread_of_few_loads_in_many_cells_is_that_of_their_law(cv: float) -> None:
    rng, sigma = random.Random(7), math.sqrt(math.log1p(cv * cv))
    cells = [
        cell(*(nbytes * rng.lognormvariate(0, sigma) for _ in range(5)), nbytes=nbytes)
        for nbytes in range(1, 400)
    ]
    assert spread(cells) == pytest.approx(cv, rel=0.12)


def test_one_wild_load_does_not_widen_the_spread() -> None:
    calm = [cell(1.0, 1.01, 0.99, 1.02, 0.98, nbytes=n) for n in range(1, 5)]
    wild = [*calm[1:], cell(1.0, 1.01, 0.99, 1.02, 40.0, nbytes=1)]
    assert spread(wild) == pytest.approx(spread(calm), rel=0.2)


def test_two_loads_say_nothing_of_a_spread() -> None:
    assert spread([cell(1.0, 2.0), cell(1.0)]) is None


def test_by_rule_the_second_of_three_sizes_and_three_at_once_are_held_out() -> None:
    held = held_out(cells_of(samples(SSD, rounds=1)))
    alone = [c.nbytes // MIB for c in held if c.concurrent == 1]
    assert sorted(alone) == [80, 1400]
    assert {c.concurrent for c in held} == {1, 3}
    assert SIZES[0] // MIB not in alone
    assert SIZES[-1] // MIB not in alone


def test_nothing_is_held_out_of_two_sizes_or_of_two_at_once_alone() -> None:
    cells = cells_of(samples(DRAM, sizes=SIZES[:2], at_once=(1, 2), rounds=1))
    assert len(cells) == 4
    assert held_out(cells) == frozenset()


def test_what_is_named_is_held_out_and_nothing_else() -> None:
    cells = cells_of([*samples(SSD, rounds=1), *samples(DRAM, rounds=1)])
    held = held_out(cells, ["m24", "x4"])
    assert {c.name for c in held if c.concurrent == 1} == {"ssd m24 x1", "dram m24 x1"}
    assert {c.concurrent for c in held} == {1, 4}
    with pytest.raises(CalibrationError, match=r"hold-out is 'm25'; allowed are m1400, .*x1, x2"):
        held_out(cells, ["m25"])


@pytest.mark.parametrize(
    ("hop", "nbytes", "seconds", "beside", "message"),
    [
        ("page_cache", 1, 1.0, (), "hop is 'page_cache'; allowed are dram, ssd, remote, attach"),
        ("ssd", 0, 1.0, (), "a: a load of no bytes says nothing"),
        ("ssd", 1, 1.0, (1, 0), "a: a load of no bytes says nothing"),
        ("ssd", 1, 0.0, (), "a: seconds is 0.0; it must be above 0 and finite"),
        ("ssd", 1, math.nan, (), "a: seconds is nan; it must be above 0 and finite"),
    ],
)
def test_a_sample_that_cannot_be_is_refused(
    hop: str, nbytes: int, seconds: float, beside: tuple[int, ...], message: str
) -> None:
    with pytest.raises(CalibrationError, match=message):
        Sample(hop, "a", nbytes, seconds, beside)
