"""Clients' windows and lengths, without any requests."""

import numpy as np
import pytest

from fleet.streams import Streams
from tests.traces.tenants import lengths, windows


def test_a_window_in_which_nobody_was_seen_is_as_the_one_before() -> None:
    seen = windows([[0, 1.0, 0, 0, 3.0, 0], [0, 2.0, 0, 4.0, 0, 0], [5.0] * 6])
    mended, filled = seen.mended()
    assert filled == 1
    # Only where both clients of the source are silent amid others; the ends are as they were.
    assert mended.rate_rps.tolist() == [[0, 1, 1, 0, 3, 0], [0, 2, 2, 4, 0, 0], [5] * 6]
    assert seen.rate_rps[0, 2] == 0


def test_some_clients_are_taken_in_some_windows() -> None:
    some = windows([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).of(np.array([1, 0]), 1, 3)
    assert some.rate_rps.tolist() == [[5, 6], [2, 3]]
    assert [client.source for client in some.clients] == ["small", "big"]
    assert some.sources == ("big", "small")


def test_lengths_have_the_quantiles_of_their_time() -> None:
    table = lengths(1000.0, 0, 21_600)
    rng = Streams(1).array("lengths")
    for at_s, middle in ((100.0, 1000.0), (21_600.0, 2000.0), (1e6, 2000.0)):
        prompt, output = table.draw(rng, np.full(20_000, at_s))
        wanted = np.array([0.5, 0.75, 1.0, 1.25, 1.5]) * middle
        levels = (5, 25, 50, 75, 90)
        assert np.percentile(prompt, levels) == pytest.approx(wanted, rel=0.05)
        assert np.percentile(output, levels) == pytest.approx(wanted / 10, rel=0.05)
        assert prompt.max() <= 2.5 * middle
        assert prompt.min() == pytest.approx(0.5 * middle)
        # Drawn apart: no recording says which output came of which prompt.
        assert abs(np.corrcoef(prompt, output)[0, 1]) < 0.05
