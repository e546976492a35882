"""Holt's forecast and what is kept by it: by hand and in the simulator."""

from math import log

import pytest

from fleet.domain import AdapterId, ArtifactId, ModelId, Request, RequestId
from fleet.events import RequestArrived
from fleet.policy import Rest
from policies.keep_alive.forecast import FORGOTTEN, ForecastKeepAlive, Trend
from policies.keep_alive.idle_time import FixedKeepAlive
from tests.policies.bench import Bench, model, node
from tests.policies.duels import gains, loses
from tests.policies.keep_alive.idling import (
    BURSTS,
    EVERY_15_MIN,
    after,
    asked_at,
    bill,
    kept,
    mean_ttft_s,
)


def test_level_and_trend_by_hand() -> None:
    """3, then 1 arrival: level 0.3 * 1 + 0.7 * 3 = 2.4, trend 0.1 * (2.4 - 3) = -0.06."""
    trend = Trend(0.0)
    for _ in range(3):
        trend.arrived()
    trend.close(70.0, 60.0, 0.3, 0.1)
    assert (trend.level, trend.trend, trend.opened_at) == (3.0, 0.0, 60.0)
    trend.arrived()
    trend.close(125.0, 60.0, 0.3, 0.1)
    assert (trend.level, trend.trend) == pytest.approx((2.4, -0.06))
    assert trend.forecast() == pytest.approx(2.34)
    for _ in range(5):
        trend.arrived()
    assert trend.forecast() == 5.0  # as many have come in this window already


def test_after_long_silence_nothing_is_left() -> None:
    trend = Trend(0.0)
    trend.arrived()
    trend.close(60.0 * (FORGOTTEN + 2), 60.0, 0.3, 0.1)
    assert trend.forecast() == 0.0
    assert trend.opened_at == 60.0 * (FORGOTTEN + 2)


def asked(policy: ForecastKeepAlive, bench: Bench, requests: int) -> None:
    for _ in range(requests):
        request = Request(RequestId(0), ModelId(ArtifactId(0)), None, 0.0, 10, 10)
        policy.observe(RequestArrived(bench.state.now, request), bench.view)


def test_forecast_by_hand_until_the_rate_has_fallen_to_where_it_no_longer_pays() -> None:
    """A load takes 2 s from DRAM. A card costs 1 a second, waiting 1: r* = ln(1 + 1) / 2 a second,
    20.8 in a minute. 60 have come: ln(60 / 20.8) / -ln(0.7) windows of a minute."""
    policy = ForecastKeepAlive(penalty_per_s=1.0, price_per_gpu_h=3600.0)
    bench = Bench([node(0)], [model(0)])
    instance = bench.run(0, 0)
    assert instance is not None
    least = log(2.0) / 2.0
    assert policy.least_rate(instance, bench.view) == pytest.approx(least)
    asked(policy, bench, 20)
    assert policy.rest(instance, bench.view) == Rest(0.0)
    asked(policy, bench, 40)
    rest = policy.rest(instance, bench.view)
    assert rest is not None
    assert rest.after_s == pytest.approx(60.0 * log(1.0 / least) / -log(0.7))


def test_it_watches_models_not_adapters() -> None:
    policy, bench = ForecastKeepAlive(), Bench([node(0)], [model(0)])
    lora = AdapterId(ArtifactId(20))
    request = Request(RequestId(0), ModelId(ArtifactId(0)), lora, 0.0, 10, 10)
    policy.observe(RequestArrived(0.0, request), bench.view)
    assert list(policy._trends) == [0]


FIXED, OURS = kept(FixedKeepAlive(60.0)), kept(ForecastKeepAlive())


def test_forecast_gains_where_requests_come_each_quarter_of_an_hour() -> None:
    """One in fifteen minutes never pays for an idle card, so it stops at once."""
    gains(asked_at(after(*EVERY_15_MIN)), OURS, FIXED, bill, by=2.0)


def test_forecast_loses_where_bursts_are_over_before_it_believes_them() -> None:
    """Six requests in half a minute, then silence: a window knows of them when they are over."""
    loses(asked_at(after(*BURSTS)), OURS, FIXED, mean_ttft_s, by=2.0)
