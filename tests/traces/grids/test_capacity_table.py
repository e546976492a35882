"""Capacities as a table, in words and as a picture."""

import numpy as np
from rich.console import Console

from tests.traces.grids.test_capacity import falling, found
from traces.grids.capacity_plot import capacity_figure
from traces.grids.capacity_table import capacity_table, in_words, ordered

FOUND = {
    "never": found(lambda load, seed: 0.5, saturates_at=1.0),
    "low": found(falling(1.0, spread=0.01)),
    "high": found(falling(3.0, spread=0.01)),
    "always": found(lambda load, seed: 1.0),
}


def test_the_largest_comes_first_and_who_has_none_says_why() -> None:
    assert ordered(FOUND) == ["always", "high", "low", "never"]
    screen = Console(width=140, no_color=True)
    with screen.capture() as captured:
        screen.print(capacity_table(FOUND, 0.99, "TTFT <= 5 s"))
    text = captured.get()
    assert "the largest load at which 99 % have TTFT <= 5 s" in text
    assert "not reached" in text
    assert "missed even at" in text


def test_real_differences_between_capacities_are_said() -> None:
    said = in_words(FOUND, 6)
    assert "high is best at" in said[0]
    assert "for real against the other" in said[0]
    assert any("high (" in sentence and "is higher than low" in sentence for sentence in said)
    assert in_words(FOUND, 3)[-1] == "3 seeds are too few for intervals (5 are needed)."


def test_the_picture_has_a_bar_a_capacity_and_hollow_probes_past_saturation() -> None:
    figure = capacity_figure(FOUND, 0.99, "TTFT <= 5 s")
    probes, loads = figure.axes
    assert len(loads.patches) == 2
    words = " ".join(text.get_text() for text in loads.texts)
    assert "missed even at" in words
    assert "not reached" in words
    hollow = [line for line in probes.lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 1
    assert np.size(probes.lines[0].get_xdata()) == 1
