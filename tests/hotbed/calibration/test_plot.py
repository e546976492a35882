"""The picture of a fit has a point for every cell, and tells who was held out."""

from pathlib import Path

import numpy as np
import pytest

from hotbed.calibration.plot import drawn, write_plot
from sim.calibration.calibrating import calibrate
from sim.calibration.record import Calibration
from tests.sim.calibration.made import DRAM, SSD, samples, task


@pytest.fixture(scope="module")
def record() -> Calibration:
    found = calibrate(task(*samples(DRAM, rounds=3), *samples(SSD, rounds=3))).calibration
    assert found is not None
    return found


def test_every_cell_has_a_point_and_an_error(record: Calibration) -> None:
    above, below = drawn(record).axes
    labels = above.get_legend_handles_labels()[1]
    assert sorted(labels) == ["dram", "dram, held out", "ssd", "ssd, held out"]
    dots = [line for line in below.lines if line.get_marker() == "o"]
    shown = np.concatenate([np.asarray(line.get_ydata()) for line in dots])
    expected = sorted(100 * cell.error for cell in record.cells)
    assert sorted(shown) == pytest.approx(expected)
    held = sum(cell.held_out for cell in record.cells)
    opened = [line for line in dots if line.get_markerfacecolor() == "none"]
    assert sum(np.asarray(line.get_xdata()).size for line in opened) == held


def test_it_is_written_where_it_is_told(record: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "fit.svg"
    write_plot(record, path)
    assert "<svg" in path.read_text()
