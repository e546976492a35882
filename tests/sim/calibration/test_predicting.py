"""Predictions are the simulator's own runs: against closed forms, and with a profile's noise."""

import random
import statistics

import msgspec
import pytest

from sim.calibration.hops import Pace, pace_of, paced
from sim.calibration.predicting import predict_s
from sim.profiles import Profile, Spread, Turns, load_profile
from tests.sim.calibration.made import DRAM, MIB, SIZES, SSD, Hop

CPU = load_profile("cpu")


def known(*hops: Hop) -> Profile:
    profile = CPU
    for hop in hops:
        profile = paced(profile, hop.name, Pace(hop.base_s, hop.alone, hop.link, hop.loss), hop.cv)
    return profile


@pytest.mark.parametrize("hop", [DRAM, SSD], ids=lambda hop: str(hop.name))
@pytest.mark.parametrize("at_once", [1, 2, 3, 4])
def test_equal_loads_take_what_the_closed_form_says(hop: Hop, at_once: int) -> None:
    profile = known(DRAM, SSD)
    for nbytes in SIZES:
        found = predict_s(profile, hop.name, nbytes, (nbytes,) * (at_once - 1))
        assert found == pytest.approx(hop.seconds(nbytes, at_once), rel=1e-9)


def test_a_small_load_leaves_a_large_one_the_link_when_it_ends() -> None:
    profile = known(Hop("dram", 0.0, 10e9, 10e9))
    assert predict_s(profile, "dram", 1e9, (1e9,)) == pytest.approx(0.2)
    assert predict_s(profile, "dram", 1e9, (0.5e9,)) == pytest.approx(0.15)


def test_a_loader_that_takes_turns_makes_no_load_slower_than_the_first() -> None:
    loads = msgspec.structs.replace(CPU.loads, in_turn=Turns(source="made up", value=True))
    profile = msgspec.structs.replace(CPU, loads=loads)
    assert predict_s(profile, "dram", 1e9, (1e9,)) == predict_s(profile, "dram", 1e9)


def test_an_attach_takes_its_constant_and_its_bytes_from_the_pool() -> None:
    profile = msgspec.structs.replace(known(DRAM), attach=Spread(mean_s=0.002, source="made up"))
    apart = predict_s(profile, "dram", 80 * MIB)
    assert predict_s(profile, "attach", 80 * MIB) == pytest.approx(apart + 0.002)


def test_drawn_loads_have_the_fitted_spread() -> None:
    profile, rng = known(Hop("dram", 0.1, 5e9, 20e9, cv=0.1)), random.Random(3)
    drawn = [predict_s(profile, "dram", 1e9, noise=rng) for _ in range(800)]
    assert statistics.fmean(drawn) == pytest.approx(0.3, rel=0.02)
    assert statistics.stdev(drawn) == pytest.approx(0.1 * (0.2**2 + 0.1**2) ** 0.5, rel=0.12)


def test_what_a_profile_says_of_a_hop_reads_back() -> None:
    pace = Pace(0.01, 2e9, 3e9, 0.05)
    assert pace_of(paced(CPU, "remote", pace), "remote") == pace
    nominal = CPU.links.ssd_bytes_per_s.value
    assert pace_of(CPU, "ssd") == Pace(0.0, nominal, nominal)
