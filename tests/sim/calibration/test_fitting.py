"""A machine that is known comes out of its measurements, and what they do not tell is not told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.calibration.fitting import HopFit, fit_hop
from sim.calibration.hops import paced
from sim.calibration.predicting import predict_s
from sim.calibration.samples import Sample, cells_of
from sim.profiles import Profile, load_profile
from tests.sim.calibration.made import DRAM, SIZES, SSD, Hop, samples

CPU = load_profile("cpu")
FOUND = frozenset({"alone", "base", "link", "cv"})


def fit(hop: Hop, *taken: Sample, ceiling: float | None = None) -> HopFit:
    return fit_hop(over(hop), hop.name, cells_of(taken), ceiling)


def over(hop: Hop) -> Profile:
    """The profile below: the card's link is DRAM's, which the SSD's bytes cross too."""
    if hop.name == "dram":
        return CPU
    return paced(CPU, "dram", fit_hop(CPU, "dram", cells_of(samples(DRAM))).pace)


@pytest.mark.parametrize("hop", [DRAM, SSD], ids=lambda hop: str(hop.name))
@pytest.mark.parametrize("seed", [1, 2])
def test_a_known_machine_comes_out_of_noisy_loads(hop: Hop, seed: int) -> None:
    found = fit(hop, *samples(hop, seed=seed))
    assert found.fitted == FOUND
    assert found.notes == ()
    assert found.pace.alone_bytes_per_s == pytest.approx(hop.alone, rel=0.03)
    assert found.pace.base_s == pytest.approx(hop.base_s, rel=0.2)
    assert found.pace.link_bytes_per_s == pytest.approx(hop.link, rel=0.06)
    assert found.pace.sharing_loss == pytest.approx(hop.loss, abs=0.03)
    assert found.cv == pytest.approx(hop.cv, rel=0.25)


@pytest.mark.parametrize(
    "hop",
    [
        Hop("dram", 0.0, 10e9, 10e9),
        Hop("dram", 0.05, 10e9, 10e9, loss=0.2),
        Hop("dram", 0.002, 10e9, 40e9),
        Hop("dram", 0.002, 10e9, 15e9, loss=0.0),
    ],
    ids=["no constant", "sharing costs", "sharing is free", "a wide link"],
)
def test_without_noise_every_load_is_met(hop: Hop) -> None:
    found = fit(hop, *samples(hop, rounds=1))
    assert found.pace.alone_bytes_per_s == pytest.approx(hop.alone, rel=1e-3)
    assert found.pace.base_s == pytest.approx(hop.base_s, abs=2e-5)
    for at_once in (2, 3, 4):
        pace = found.pace
        as_found = Hop("dram", pace.base_s, hop.alone, pace.link_bytes_per_s, pace.sharing_loss)
        expected = hop.seconds(SIZES[-1], at_once)
        assert as_found.seconds(SIZES[-1], at_once) == pytest.approx(expected, rel=2e-3)


def test_one_cell_that_went_wrong_does_not_bend_the_rest() -> None:
    taken = list(samples(DRAM, at_once=(1,)))
    wrong = [
        Sample(one.hop, one.checkpoint, one.nbytes, one.seconds * 3) if index else one
        for one in taken
        for index in [one.nbytes == SIZES[3]]
    ]
    found = fit(DRAM, *wrong)
    assert found.pace.alone_bytes_per_s == pytest.approx(DRAM.alone, rel=0.06)


def test_two_at_once_that_get_less_than_one_are_a_loss() -> None:
    narrow = Hop("dram", 0.002, 10e9, 10e9, loss=0.25)
    found = fit(narrow, *samples(narrow, at_once=(1, 2), rounds=1))
    assert found.pace.link_bytes_per_s == pytest.approx(10e9, rel=1e-3)
    assert found.pace.sharing_loss == pytest.approx(0.25, rel=1e-2)


def test_two_at_once_that_get_more_than_one_are_a_wider_link_without_a_loss() -> None:
    wide = Hop("dram", 0.002, 10e9, 18e9, loss=0.25)
    found = fit(wide, *samples(wide, at_once=(1, 2), rounds=1))
    assert found.pace.sharing_loss == 0.0
    assert found.pace.link_bytes_per_s == pytest.approx(18e9 / 1.25, rel=1e-3)


def test_sizes_alike_leave_the_constant_to_the_base_and_say_so() -> None:
    found = fit(DRAM, *samples(DRAM, sizes=SIZES[5:6], at_once=(1,)))
    assert "base" not in found.fitted
    assert found.pace.base_s == 0.0
    assert "dram: sizes within a factor of 2; the constant stays the base's" in found.notes


def test_without_loads_at_once_the_ceiling_stands_for_the_link() -> None:
    alone = list(samples(DRAM, at_once=(1,)))
    with_ceiling = fit(DRAM, *alone, ceiling=13e9)
    assert with_ceiling.pace.link_bytes_per_s == 13e9
    assert "link" in with_ceiling.fitted
    without = fit(DRAM, *alone)
    assert without.pace.link_bytes_per_s == CPU.links.pcie_bytes_per_s.value
    assert "link" not in without.fitted
    assert any("the base's link stands for what they share" in note for note in without.notes)


def test_a_ceiling_below_the_loads_own_rate_is_no_ceiling() -> None:
    found = fit(DRAM, *samples(DRAM, at_once=(1,)), ceiling=5e9)
    assert found.pace.link_bytes_per_s == found.pace.alone_bytes_per_s


def test_two_rounds_leave_the_spread_to_the_base_and_say_so() -> None:
    found = fit(DRAM, *samples(DRAM, at_once=(1,), rounds=2))
    assert found.cv is None
    assert "dram: no cell has three loads; the spread stays the base's" in found.notes


@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    base_s=st.floats(0, 0.2),
    alone=st.floats(2e8, 6e10),
    wider=st.floats(1, 2.5),
    loss=st.floats(0, 0.5),
)
def test_any_machine_of_this_form_is_met(
    base_s: float, alone: float, wider: float, loss: float
) -> None:
    hop = Hop("dram", base_s, alone, alone * wider, loss)
    found = fit(hop, *samples(hop, rounds=1))
    trial = paced(CPU, "dram", found.pace)
    for cell in cells_of(samples(hop, rounds=1)):
        predicted_s = predict_s(trial, "dram", cell.nbytes, cell.beside)
        assert predicted_s == pytest.approx(cell.median_s, rel=0.02), cell.name
