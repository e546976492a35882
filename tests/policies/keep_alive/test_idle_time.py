"""How long idle instances stay."""

from dataclasses import replace

import pytest

from fleet.commands import SetTimer, Sleep, StopInstance
from fleet.domain import Tier
from fleet.events import TimerFired
from fleet.holders import Instance
from fleet.policy import KeepAlive, Rest
from policies.keep_alive.idle_time import FixedKeepAlive, KeepForever, LoadTimeKeepAlive
from policies.retention.recency import KeepNothing
from tests.policies.bench import Bench, model, node, still
from tests.policies.duels import gains, loses
from tests.policies.keep_alive.idling import (
    EVERY_12_S,
    EVERY_15_MIN,
    EVERY_90_S,
    after,
    asked_at,
    bill,
    gpu_s,
    kept,
    mean_ttft_s,
)


def idle(keep_alive: KeepAlive, resident: tuple[tuple[int, int, Tier], ...] = ()) -> Bench:
    policy = replace(still(), keep_alive=keep_alive, retention=KeepNothing())
    bench = Bench([node(0)], [model(0)], resident=resident, policy=policy)
    return bench


def rest(keep_alive: KeepAlive, bench: Bench) -> Rest | None:
    instance = bench.run(0, 0)
    assert instance is not None
    return keep_alive.rest(instance, bench.view)


def test_fixed_by_hand_a_fixed_time_then_it_stops() -> None:
    assert rest(FixedKeepAlive(30.0), idle(KeepForever())) == Rest(30.0)


def test_forever_by_hand_nothing_ends_it() -> None:
    assert rest(KeepForever(), idle(KeepForever())) is None


def test_load_time_by_hand_kept_for_as_long_as_loading_it_again_would_take() -> None:
    """1 s start-up and 80 bytes from the remote store, or from memory."""
    assert rest(LoadTimeKeepAlive(), idle(KeepForever())) == Rest(9.0)
    assert rest(LoadTimeKeepAlive(0.5), idle(KeepForever())) == Rest(4.5)
    bench = Bench([node(0)], [model(0)], resident=[(0, 0, Tier.DRAM)])
    assert rest(LoadTimeKeepAlive(), bench) == Rest(2.0)


def fire(bench: Bench, instance: Instance, at: float) -> list[object]:
    number = bench.controller.orders.number()
    return list(bench.controller.handle(TimerFired(at, number, f"idle/{instance.id}")))


def test_it_sleeps_first_and_stops_after_that() -> None:
    bench = idle(FixedKeepAlive(10.0, sleep_level=2, asleep_s=50.0))
    instance = bench.run(0, 0)
    assert instance is not None
    sleep = fire(bench, instance, 10.0)
    assert [type(c) for c in sleep] == [Sleep]
    timers = [c for c in bench.answer(sleep[0]) if isinstance(c, SetTimer)]  # type: ignore[arg-type]
    assert [t.at for t in timers] == [60.0]
    assert [type(c) for c in fire(bench, instance, 60.0)] == [StopInstance]


@pytest.mark.parametrize("keep_alive", [FixedKeepAlive(0.0), LoadTimeKeepAlive(0.0)])
def test_nothing_is_kept_for_no_time(keep_alive: KeepAlive) -> None:
    bench = Bench([node(0)], [model(0)])
    instance = bench.run(0, 0)
    assert instance is not None
    assert keep_alive.rest(instance, bench.view) == Rest(0.0)


FIXED, LOAD_TIME, FOREVER = (
    kept(FixedKeepAlive(60.0)),
    kept(LoadTimeKeepAlive()),
    kept(KeepForever()),
)
OFTEN, SELDOM = asked_at(after(*EVERY_12_S)), asked_at(after(*EVERY_15_MIN))


def test_fixed_gains_where_requests_come_within_the_minute() -> None:
    """A model of 13 GB loads from DRAM in 0.6 s, so `load_time` has stopped it each time."""
    gains(OFTEN, FIXED, LOAD_TIME, mean_ttft_s, by=2.0)


def test_fixed_loses_where_they_come_each_quarter_of_an_hour() -> None:
    """It idles a minute each time and is cold all the same."""
    loses(SELDOM, FIXED, LOAD_TIME, bill, by=2.0)


def test_load_time_gains_the_idle_minute() -> None:
    gains(SELDOM, LOAD_TIME, FIXED, gpu_s, by=5.0)


def test_load_time_loses_where_requests_come_within_the_minute() -> None:
    loses(OFTEN, LOAD_TIME, FIXED, mean_ttft_s, by=2.0)


def test_forever_gains_the_cold_starts_after_the_first() -> None:
    gains(asked_at(after(*EVERY_90_S)), FOREVER, FIXED, mean_ttft_s, by=2.0)


def test_forever_loses_the_cards_for_as_long_as_nobody_comes() -> None:
    loses(SELDOM, FOREVER, FIXED, gpu_s, by=5.0)
