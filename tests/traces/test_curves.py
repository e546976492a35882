"""The points that are kept of a run."""

import numpy as np

from tests.traces.runs import request, two_request_story
from tests.traces.small_cloud import SmallCloud
from traces.curves import cdf, curves_of
from traces.metrics import ttft_s


def test_what_never_finished_keeps_a_curve_below_one() -> None:
    curves = curves_of(two_request_story().arrive(request(2, 8.0)).record())
    assert curves.ttft_s.values == (0.5, 4.5)
    assert curves.ttft_s.shares == (1 / 3, 2 / 3)


def test_a_curve_of_many_values_keeps_its_ends_and_tail() -> None:
    values = np.linspace(1.0, 100_000.0, 100_000)
    curve = cdf(values, len(values))
    assert len(curve.values) < 310
    assert (curve.values[0], curve.values[-1], curve.shares[-1]) == (1.0, 100_000.0, 1.0)
    assert max(np.diff(curve.shares)) < 0.006
    assert sum(value > 99_900 for value in curve.values) > 20


def test_points_lie_on_the_empirical_distribution() -> None:
    record = SmallCloud().run(300, 1.0, seed=3)
    curve = curves_of(record).ttft_s
    sample = ttft_s(record.requests)
    for value, share in zip(curve.values, curve.shares, strict=True):
        assert (sample < value).mean() < share <= (sample <= value).mean()


def test_an_empty_run_has_empty_curves() -> None:
    assert cdf(np.array([np.nan]), 1).values == ()
