"""The attach constant: what is left of measured attaches beside the simulated move of bytes."""

import random

import pytest

from sim.calibration.attaching import fit_attach
from sim.calibration.predicting import predict_s
from sim.calibration.samples import Sample, cells_of
from sim.profiles import load_profile
from tests.sim.calibration.made import DRAM, MIB
from tests.sim.calibration.test_predicting import known

SIZES = (10 * MIB, 40 * MIB, 160 * MIB)


def attaches(constant_s: float, cv: float = 0.0) -> list[Sample]:
    rng, profile = random.Random(5), known(DRAM)
    return [
        Sample("attach", f"r{size // MIB}", size, moved_s + constant_s * rng.gauss(1, cv))
        for size in SIZES
        for moved_s in [predict_s(profile, "dram", size)]
        for _ in range(12)
    ]


def test_the_constant_and_its_spread_come_out() -> None:
    found = fit_attach(known(DRAM), cells_of(attaches(0.003, cv=0.1)))
    assert found.mean_s == pytest.approx(0.003, rel=0.05)
    assert found.cv == pytest.approx(0.1, rel=0.4)
    assert found.notes == ()


def test_the_bases_own_constant_is_not_counted_twice() -> None:
    assert load_profile("h100").attach.mean_s > 0
    profile = load_profile("h100")
    taken = [
        Sample("attach", "r", size, predict_s(profile, "dram", size) + 0.007) for size in SIZES
    ]
    assert fit_attach(profile, cells_of(taken)).mean_s == pytest.approx(0.007)


def test_attaches_faster_than_the_move_of_their_bytes_have_no_constant_and_a_note() -> None:
    found = fit_attach(known(DRAM), cells_of(attaches(-0.003)))
    assert (found.mean_s, found.cv) == (0.0, 0.0)
    assert "no slower than the simulated move" in found.notes[0]
