"""The picture of a counterfactual: drawn whatever the columns hold, the same bytes each time."""

from pathlib import Path

import numpy as np
import pytest

from fleet.streams import Streams
from traces.asked.counterfactual_plot import counterfactual_plot
from traces.record import Floats

NAMES = ("before", "after")


@pytest.mark.parametrize("n", [0, 1, 500, 50_000])
def test_any_number_of_requests_is_drawn(tmp_path: Path, n: int) -> None:
    base: Floats = Streams(1).array("base").exponential(2.0, n)
    other = np.where(np.arange(n) % 7 == 3, np.nan, base * 1.5)
    path = counterfactual_plot(NAMES, (base, other), tmp_path / "plot.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_same_columns_are_the_same_bytes(tmp_path: Path) -> None:
    base: Floats = Streams(1).array("base").exponential(2.0, 100)
    paths = [counterfactual_plot(NAMES, (base, base[::-1]), tmp_path / f"{i}.png") for i in (0, 1)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
