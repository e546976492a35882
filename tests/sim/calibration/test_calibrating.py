"""From samples to a profile: what was measured is told with its residuals, all else is assumed."""

import dataclasses
import random
from typing import Any

import msgspec
import pytest

from sim.calibration.calibrating import calibrate, of_errors
from sim.calibration.figures import machine_of
from sim.calibration.hops import pace_of
from sim.calibration.predicting import predict_s
from sim.calibration.samples import CalibrationError, Sample
from sim.profiles import Figure, Profile, load_profile
from tests.sim.calibration.made import ABOUT, DRAM, MIB, SSD, samples, task
from tests.sim.test_profiles import unsourced

ATTACH_S = 0.002


def attaches() -> list[Sample]:
    rng = random.Random(2)
    return [
        Sample("attach", f"r{size}", size * MIB, (0.004 + size * MIB / 11e9 + ATTACH_S) * drawn)
        for size in (20, 40, 80, 160)
        for _ in range(7)
        for drawn in [rng.lognormvariate(0, 0.02)]
    ]


@pytest.fixture(scope="module")
def fitted() -> Profile:
    return calibrate(task(*samples(DRAM), *samples(SSD), *attaches()))


def objects(value: Any, path: str = "") -> dict[str, dict[str, Any]]:
    """Every object with a source, by its path."""
    if isinstance(value, list):
        found: dict[str, dict[str, Any]] = {}
        for number, item in enumerate(value):
            found |= objects(item, f"{path}[{number}]")
        return found
    if not isinstance(value, dict):
        return {}
    found = {path: value} if "source" in value else {}
    for key, item in value.items():
        found |= objects(item, f"{path}.{key}")
    return found


def test_loads_that_the_fit_did_not_see_are_predicted(fitted: Profile) -> None:
    record = fitted.calibration
    assert record is not None
    held = [cell for cell in record.cells if cell.held_out]
    seen = [cell for cell in record.cells if not cell.held_out]
    assert {cell.hop for cell in held} == {"dram", "ssd", "attach"}
    assert {cell.concurrent for cell in held} == {1, 3}
    for cells in (held, seen):
        mean, p95 = of_errors([cell.error for cell in cells])
        assert mean < 0.03
        assert p95 < 0.08


def slower(one: Sample, factor: float) -> Sample:
    return Sample(one.hop, one.checkpoint, one.nbytes, one.seconds * factor, one.beside, one.phases)


def test_a_held_out_load_has_no_part_in_the_fit() -> None:
    plain = calibrate(task(*samples(SSD)))
    taken = [slower(one, 5.0) if one.checkpoint == "m80" else one for one in samples(SSD)]
    wild = calibrate(task(*taken))
    assert pace_of(wild, "ssd") == pace_of(plain, "ssd")
    assert wild.calibration is not None
    off = [c for c in wild.calibration.cells if c.checkpoint == "m80" and c.concurrent == 1]
    assert [c.error for c in off] == [pytest.approx(-0.8, abs=0.03)]
    assert any("ssd m80 x1: -80% off" in note for note in wild.calibration.notes)


def test_each_row_is_the_simulators_own_prediction(fitted: Profile) -> None:
    assert fitted.calibration is not None
    for cell in fitted.calibration.cells:
        beside = (cell.nbytes,) * (cell.concurrent - 1)
        assert cell.predicted_s == predict_s(fitted, cell.hop, cell.nbytes, beside)
        assert cell.low_s <= cell.median_s <= cell.high_s


def test_only_what_was_measured_is_not_assumed(fitted: Profile) -> None:
    raw = msgspec.to_builtins(fitted)
    measured = {path for path, value in objects(raw).items() if not value["assumed"]}
    assert measured == {
        ".links.pcie_bytes_per_s",
        ".links.ssd_bytes_per_s",
        ".loads.dram",
        ".loads.ssd",
        ".attach",
    }
    for path in measured:
        source = objects(raw)[path]["source"]
        assert ABOUT.where in source
        assert "2026-11-22" in source
        assert "abc123" in source
    assert "residuals" in raw["loads"]["ssd"]["source"]
    assert fitted.attach.mean_s == pytest.approx(ATTACH_S, rel=0.25)
    del raw["calibration"]
    assert unsourced(raw) == []


def test_what_was_not_measured_is_the_bases_number_and_says_whose(fitted: Profile) -> None:
    base = load_profile("cpu")
    assert fitted.links.remote_bytes_per_s.value == base.links.remote_bytes_per_s.value
    assert "from the profile cpu, not measured here" in fitted.links.remote_bytes_per_s.reason
    assert fitted.engine.mfu.reason.startswith("not measured; from the profile cpu")
    assert fitted.calibration is not None
    assert "not measured, as in cpu and assumed: remote" in fitted.calibration.notes


def test_the_hosts_memory_is_the_measured_ones(fitted: Profile) -> None:
    assert fitted.machine.dram_bytes.value == fitted.machine.gpu_bytes.value == 12 << 30
    assert fitted.machine.dram_bytes.assumed
    gpu = machine_of(load_profile("h100"), dataclasses.replace(ABOUT, on_gpu=True)).machine
    assert (gpu.dram_bytes.value, gpu.dram_bytes.assumed) == (24 << 30, False)
    assert gpu.gpu_bytes == load_profile("h100").machine.gpu_bytes


def test_the_profile_is_one_that_the_simulator_reads(fitted: Profile) -> None:
    raw = msgspec.to_builtins(fitted)
    assert msgspec.convert(raw, Profile) == fitted
    assert fitted.measured is not None
    assert fitted.measured.where == ABOUT.where


def test_the_loaders_chunk_is_what_fills_the_pipeline() -> None:
    asked = task(*samples(SSD, at_once=(1,)))
    small = Figure(value=float(MIB), source="the loader's own")
    chunked = calibrate(dataclasses.replace(asked, chunk_bytes=small))
    plain = calibrate(asked)
    assert chunked.loads.chunk_bytes == small
    # A chunk less to wait for is a constant more: the measured times are the same.
    more_s = pace_of(chunked, "ssd").base_s - pace_of(plain, "ssd").base_s
    assert more_s == pytest.approx(31 * MIB / 2.8e9, rel=0.5)


def test_a_spread_or_constant_that_was_kept_makes_the_hop_assumed() -> None:
    profile = calibrate(task(*samples(SSD, sizes=(600 * MIB,), at_once=(1,), rounds=2)))
    assert profile.loads.ssd is not None
    assert profile.loads.ssd.assumed
    assert "base_s is zero for want of measurements" in profile.loads.ssd.reason
    assert "cv is zero for want of measurements" in profile.loads.ssd.reason


def test_the_same_samples_give_the_same_profile() -> None:
    first, second = (calibrate(task(*samples(DRAM, rounds=3))) for _ in range(2))
    assert first == second


def test_nothing_to_fit_is_said() -> None:
    with pytest.raises(CalibrationError, match="there is no load to fit"):
        calibrate(task())
    taken = list(samples(DRAM, sizes=(MIB,), at_once=(1,)))
    with pytest.raises(CalibrationError, match="hold-out leaves no load to fit"):
        calibrate(task(*taken, hold_out=["m1"]))


def test_errors_are_absolute() -> None:
    mean, p95 = of_errors([-0.1, 0.1, 0.1, -0.3])
    assert mean == pytest.approx(0.15)
    assert p95 == pytest.approx(0.27)
