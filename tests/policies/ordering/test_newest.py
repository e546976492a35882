"""The newest first, but only where the queue cannot be kept short."""

from math import isclose

from fleet import events as e
from fleet.domain import TenantId
from fleet.holders import Flight
from fleet.lanes import Lanes
from policies.ordering.newest import Flow, NewestFirst
from tests.policies.duels import Setting, gains, loses
from tests.policies.routing.sent import asked, send
from tests.policies.routing.test_load import Fleet
from tests.policies.warm import WARM_AT, Row, missed, poisson, replicas, warm


def order(policy: NewestFirst, fleet: Fleet, arrived_at: list[float], now: float) -> list[float]:
    """When those arrived who are served one after another at `now`; a tenant each."""
    lanes = Lanes()
    for tenant, at in enumerate(arrived_at):
        fleet.bench.at(at)
        lanes.push(Flight(asked(fleet, tenant=TenantId(tenant))))
    fleet.bench.at(now)
    out: list[float] = []
    while (lane := policy.next(lanes, fleet.bench.view)) is not None:
        out.append(lanes.pop(lane).request.arrived_at)
    return out


def test_newest_first_by_hand_turns_round_when_more_come_than_are_sent() -> None:
    """Twelve come in the first second, two are sent: 3.6 and 0.6. By second 10 all heads from
    before 4.5 are late (6 s less half a second): 9 and 5 first, then 2 and 1."""
    fleet, policy = Fleet(1), NewestFirst()
    for _ in range(12):
        policy.observe(e.RequestArrived(0.0, asked(fleet)), fleet.bench.view)
    for _ in range(2):
        send(fleet, 0, [policy])
    assert order(policy, fleet, [1.0, 2.0, 5.0, 9.0], 6.0) == [1.0, 2.0, 5.0, 9.0], "none is late"
    assert order(policy, fleet, [1.0, 2.0, 5.0, 9.0], 10.0) == [9.0, 5.0, 2.0, 1.0]


def test_who_keeps_up_serves_in_order_however_late_it_is() -> None:
    fleet, policy = Fleet(1), NewestFirst()
    for _ in range(3):
        send(fleet, 0, [policy])
    assert order(policy, fleet, [1.0, 5.0, 9.0], 20.0) == [1.0, 5.0, 9.0]


def test_a_flow_fades_by_three_tenths_a_window() -> None:
    flow = Flow()
    flow.ends_at, flow.came = 1.0, 10
    flow.roll(1.0, 1.0)
    assert flow.came_mean == 3.0
    flow.roll(3.5, 1.0)
    assert isclose(flow.came_mean, 3.0 * 0.7 * 0.7)
    flow.roll(1000.0, 1.0)
    assert flow.came_mean < 1e-3
    assert flow.ends_at > 1000.0


def crowd() -> Setting:
    """A fifth more than can be served, each from another tenant, due within six seconds."""
    rows: list[Row] = [
        (at, 100, {"tenant": i, "deadline_at": WARM_AT + at + 6.0})
        for i, at in enumerate(poisson(6.0, 300))
    ]
    return warm(rows, 1)


STACK = replicas(1, ordering=NewestFirst())


def test_newest_first_gains_where_a_queue_would_make_all_late() -> None:
    setting = crowd()
    gains(setting, STACK, replicas(1), missed(setting), by=1.5)


def test_newest_first_loses_for_who_is_late_already() -> None:
    """They wait for the end of the crowd: the worst wait is longer."""
    loses(crowd(), STACK, replicas(1), lambda p: p.p99_ttft_s, by=1.2)
