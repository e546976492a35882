"""The picture has a panel for what was measured, and none for what was not."""

from pathlib import Path

import pytest

from hotbed.bench.load_plot import draw
from tests.runtime.bench.load.made import ceiling, load, measured


def test_a_bar_a_loader_and_the_ceiling_are_drawn(tmp_path: Path) -> None:
    path = tmp_path / "loads.svg"
    rows = measured(
        loads=[load(1, "hotbed", 3.0), load(4, "torch", 0.5)],
        ceilings=[ceiling(order, "disk", 4.0) for order in (0, 2, 3, 5)],
    )
    draw(rows, path)
    assert path.read_text().count("<!-- ceiling") == 1
    assert "<!-- torch -->" in path.read_text()


def test_nothing_to_draw_and_unknown_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no cold or warm load to draw"):
        draw(measured(), tmp_path / "loads.png")
    with pytest.raises(ValueError, match="xyz"):
        draw(measured(loads=[load(1, "hotbed", 3.0)]), tmp_path / "loads.xyz")
