"""Windows of idle times: by hand, as instances rest by them, and in the simulator."""

from dataclasses import fields, replace
from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.commands import StopInstance
from fleet.domain import ArtifactId, CommandId, InstanceId, ModelId, RequestId
from fleet.events import RequestFinished
from fleet.policy import Rest
from policies.catalog import build
from policies.keep_alive.histogram import History, HybridHistogram, IdleTimes, Window
from policies.keep_alive.idle_time import FixedKeepAlive
from policies.upkeep.prewarm import Prewarm
from tests.policies.bench import Bench, model, node, still
from tests.policies.duels import gains, loses
from tests.policies.keep_alive.idling import (
    EVERY_90_S,
    MIXED,
    after,
    asked_at,
    bill,
    end,
    gpu_s,
    kept,
    mean_ttft_s,
)

MODEL = ModelId(ArtifactId(0))


def after_times(policy: HybridHistogram, *idle_s: float) -> Window:
    """The window after these idle times."""
    history = policy._histories[MODEL] = History(240)
    for each_s in idle_s:
        history.add(each_s, policy.bin_s, policy.forecast_weight)
    return policy.window(MODEL)


def test_hybrid_histogram_by_hand_the_window_is_between_two_percentiles() -> None:
    """100 times: 5 of two minutes, 94 of five, 1 of nine. P5 is in the bin [120, 180), P99 in
    [300, 360): from 0.9 * 120 s to 1.1 * 360 s."""
    policy = HybridHistogram()
    window = after_times(policy, *[130.0] * 5, *[310.0] * 94, 550.0)
    assert window == pytest.approx((108.0, 396.0 - 108.0))
    assert after_times(policy, *[10.0] * 20) == pytest.approx((0.0, 66.0))


def test_a_histogram_that_is_flat_says_nothing() -> None:
    policy = HybridHistogram()
    assert after_times(policy) == (0.0, 14400.0)
    assert after_times(policy, *(60.0 * i + 1.0 for i in range(240))) == (0.0, 14400.0)
    assert policy.window(ModelId(ArtifactId(7))) == (0.0, 14400.0)


def test_times_beyond_the_histogram_are_forecast() -> None:
    """Smoothed with weight 0.3: 20000, 0.7 * 20000 + 0.3 * 30000 = 23000, then 16400 after 1000."""
    window = after_times(HybridHistogram(), 20000.0, 30000.0, 1000.0)
    assert window == pytest.approx((0.85 * 16400.0, 0.30 * 16400.0))


def test_the_released_code_takes_the_histogram_where_times_vary_little() -> None:
    """Variance / mean in bins of a minute: 0 for equal times; for 60 and 6000 s, (2970^2 / 3030) /
    60 = 48.5. The paper's test finds both of these representative."""
    code, paper = HybridHistogram(variant="code"), HybridHistogram()
    steady, wild = [600.0] * 10, [60.0, 6000.0] * 5
    assert after_times(code, *steady) == pytest.approx((540.0, 186.0))
    assert after_times(paper, *steady) == pytest.approx((540.0, 186.0))
    assert after_times(code, *wild) == (0.0, 7200.0)
    assert after_times(paper, *wild).keep_s < 7200.0
    assert after_times(code) == (0.0, 7200.0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0, 20000.0), min_size=1, max_size=60))
def test_sums_that_are_kept_are_those_of_the_bins(idle_s: list[float]) -> None:
    history = History(240)
    for each_s in idle_s:
        history.add(each_s, 60.0, 0.3)
    mean = sum(history.bins) / 240
    deviation = sqrt(sum((n - mean) ** 2 for n in history.bins) / 240)
    assert history.cv() == pytest.approx(deviation / mean if mean else 0.0, abs=1e-6)
    mean_s = sum(idle_s) / len(idle_s)
    variance = sum((x - mean_s) ** 2 for x in idle_s) / len(idle_s)
    expected = variance / mean_s / 60.0 if mean_s else 0.0
    assert history.dispersion(60.0) == pytest.approx(expected, rel=1e-6, abs=1e-4)
    assert sum(history.bins) + history.beyond == history.seen == len(idle_s)


def resting() -> tuple[Bench, HybridHistogram]:
    policy = HybridHistogram()
    bench = Bench([node(0, 2)], [model(0)], policy=replace(still(), keep_alive=policy))
    bench.run(0, 0)
    return bench, policy


def test_only_the_time_from_the_last_end_to_the_next_arrival_is_idle() -> None:
    bench, policy = resting()
    bench.at(10.0).ask(0)
    bench.at(20.0).ask(0)  # the first still runs
    end(bench.at(30.0), 0)
    end(bench.at(50.0), 1)
    assert policy.idle_since(MODEL) == 50.0
    bench.at(350.0).ask(0)  # 300 s later
    assert policy.idle_since(MODEL) is None
    bench.at(351.0).ask(0)
    history = policy._histories[MODEL]
    assert (history.seen, history.bins[5]) == (1, 1)


def test_an_instance_stops_at_once_if_there_is_time_to_load_before_the_window() -> None:
    bench, policy = resting()
    for at in (0.0, 300.0):
        bench.at(at).ask(0)
        commands = end(bench.at(at + 10.0), int(at > 0.0))
    # The one idle time, 290 s, is in the bin [240, 300): the window opens after 216 s.
    assert [type(c) for c in commands] == [StopInstance]
    assert policy.window(MODEL) == pytest.approx((216.0, 330.0 - 216.0))


def test_one_that_was_started_for_the_window_stays_until_it_closes() -> None:
    bench, policy = resting()
    for number, at in enumerate((0.0, 300.0)):
        bench.at(at).ask(0)
        end(bench.at(at + 10.0), number)
    bench.at(500.0)
    started = bench.run(0, 0)
    assert started is not None
    rest = policy.rest(started, bench.at(530.0).view)
    assert rest is not None
    assert rest.after_s == pytest.approx(310.0 + 330.0 - 530.0)
    assert policy.rest(started, bench.at(2000.0).view) == Rest(0.0)


def test_an_answer_of_an_earlier_attempt_ends_nothing() -> None:
    bench, policy = resting()
    bench.at(10.0).ask(0)
    flight = bench.state.flights[RequestId(0)]
    flight.command = CommandId(flight.command + 1)
    earlier, now = CommandId(0), 20.0
    late = RequestFinished(
        now,
        earlier,
        RequestId(0),
        InstanceId(0),
        now,
        now,
        now,
        tokens=1,
        gaps=0,
        longest_gap_s=0.0,
    )
    policy.observe(late, bench.at(20.0).view)
    assert policy.idle_since(MODEL) is None


def test_the_recipe_watches_with_both_halves_alike() -> None:
    policy = build({"recipe": "hybrid_histogram", "variant": "code"})
    (prewarm,) = policy.upkeep
    assert isinstance(policy.keep_alive, HybridHistogram)
    assert isinstance(prewarm, Prewarm)
    halves = [
        {f.name: getattr(h, f.name) for f in fields(IdleTimes)}
        for h in (policy.keep_alive, prewarm)
    ]
    assert halves[0] == halves[1]
    assert halves[0]["variant"] == "code"


FIXED = kept(FixedKeepAlive(60.0))
OURS = kept(HybridHistogram(), Prewarm())


def test_hybrid_histogram_gains_where_requests_come_at_regular_times() -> None:
    """Every 90 s: it waits from 54 s to 132 s, and a minute is always too short."""
    gains(asked_at(after(*EVERY_90_S)), OURS, FIXED, mean_ttft_s, by=2.0)
    gains(asked_at(after(*EVERY_90_S)), OURS, FIXED, bill, by=1.2)


def test_hybrid_histogram_loses_where_a_few_long_times_stretch_the_window() -> None:
    """From a minute to an hour and a half: it keeps a card through nearly all of it."""
    loses(asked_at(after(*MIXED)), OURS, FIXED, gpu_s, by=5.0)
    loses(asked_at(after(*MIXED)), OURS, FIXED, bill, by=5.0)
