"""Where a load's time goes: lines through phases whose truth is known."""

import pytest

from sim.calibration.phases import phase_lines
from sim.calibration.samples import Sample
from tests.sim.calibration.made import MIB, SIZES


def load(nbytes: int, beside: tuple[int, ...] = (), **phases: float) -> Sample:
    return Sample("ssd", "m", nbytes, 1.0, beside, phases)


def test_a_phases_constant_and_time_a_byte_come_out() -> None:
    taken = [load(size, read=0.01 + size / 3e9, copy=size / 12e9, open=0.002) for size in SIZES]
    lines = {line.phase: line for line in phase_lines(taken)}
    assert list(lines) == ["copy", "open", "read"]
    assert lines["read"].base_s == pytest.approx(0.01)
    assert lines["read"].s_per_byte == pytest.approx(1 / 3e9)
    assert lines["copy"].base_s == pytest.approx(0, abs=1e-9)
    assert lines["copy"].cells == len(SIZES)
    assert lines["open"].base_s == pytest.approx(0.002)
    assert lines["open"].s_per_byte == pytest.approx(0, abs=1e-15)


def test_one_size_or_loads_at_once_make_no_line() -> None:
    assert phase_lines([load(MIB, read=0.1)]) == ()
    assert phase_lines([load(MIB, (MIB,), read=0.1), load(2 * MIB, (MIB,), read=0.2)]) == ()


def test_a_phase_that_took_no_time_is_no_trouble() -> None:
    [line] = phase_lines([load(MIB, wait=0.0), load(8 * MIB, wait=0.0)])
    assert line.base_s + 8 * MIB * line.s_per_byte < 1e-8
