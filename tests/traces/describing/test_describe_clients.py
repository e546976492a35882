"""The figures of a table of clients, and that the tables show them."""

import math

import pytest
from rich.console import Console

from tests.traces.tenants import windows
from traces.describing.describe_clients import describe_clients, render_clients
from traces.synthesis.renewal import weibull_cv


def test_the_figures_of_three_clients() -> None:
    seen = describe_clients(windows([[3.0, 0, 1.0], [1.0, 0, 1.0], [2.0, 2.0, 2.0]], shape=0.25))
    assert (seen.span_s, seen.window_s, seen.weibull_share) == (1800.0, 600, 0.0)
    big, small = seen.sources
    assert (big.source, big.clients, big.silent_windows) == ("big", 2, 1)
    # 4 and 2 requests a second; the silent window says nothing.
    assert big.rate_p50_rps == 3.0
    assert big.peak_to_mean == pytest.approx(4 / 3)
    assert big.top1_share == pytest.approx(4 / 6)
    assert (big.cv_p50, small.cv_p50) == (2.0, 2.0)
    assert (small.rate_p5_rps, small.zipf, small.top10_share) == (2.0, None, 1.0)


def test_a_weibull_window_has_the_cv_of_its_law() -> None:
    # Gamma(5) / Gamma(3)^2 - 1 = 24 / 4 - 1.
    assert weibull_cv(0.5) == pytest.approx(math.sqrt(5))
    assert weibull_cv(1.0) == pytest.approx(1.0)
    assert weibull_cv(0.001) < math.inf
    seen = describe_clients(windows([[1.0], [1.0]], weibull=True, shape=0.5))
    assert seen.weibull_share == 1.0
    assert seen.sources[0].cv_p95 == pytest.approx(math.sqrt(5))


def test_the_tables_show_them() -> None:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(render_clients(describe_clients(windows([[3.0, 0, 1.0], [2.0, 2.0, 2.0]]))))
    text = captured.get()
    for word in ("clients", "big", "small", "30 min in windows of 10 min", "100.0 %", "made"):
        assert word in text


def test_clients_that_never_ask_are_described_as_none() -> None:
    seen = describe_clients(windows([[0.0], [0.0]])).sources[0]
    assert (seen.peak_to_mean, seen.cv_p50, seen.silent_windows) == (0.0, None, 0)
