"""Measuring first: what it needs is said before anything is made."""

import sys
from pathlib import Path

import pytest

from hotbed.calibration.measuring import measure
from sim.calibration.samples import CalibrationError


def test_without_torch_nothing_is_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(CalibrationError, match="measuring needs torch: pip install"):
        measure(tmp_path / "into", tmp_path / "made")
    assert list(tmp_path.iterdir()) == []
