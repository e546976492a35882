"""Who can still be served in time, and who has to go when the fleet is full."""

from math import isclose

import msgspec
import numpy as np

from fleet.domain import Tier
from fleet.policy import Refuse
from policies.admission.feasible import ProbabilisticShed, SloFeasible
from tests.policies.admission.test_gates import request
from tests.policies.bench import Bench, model, node
from tests.policies.duels import Played, gains, loses
from tests.policies.routing.sent import asked, send
from tests.policies.routing.test_load import Fleet
from tests.policies.warm import WARM_AT, Row, missed, not_served, poisson, replicas, warm


def refusals(policy: ProbabilisticShed, fleet: Fleet, priority: int, times: int = 400) -> int:
    asks = (policy.admit(asked(fleet, priority=priority), fleet.bench.view) for _ in range(times))
    return sum(refusal is not None for refusal in asks)


# Shedding


def test_probabilistic_shed_by_hand_counts_the_fuller_of_queue_and_kv_cache() -> None:
    """50 tokens fit. 10 of them are in use on the first instance, 0.2 / 0.8 = 0.25, none on the
    second: 0.125, and 300 * 0.125 ** 5 = 0.0092. With 20 more on the second: (0.25 + 0.5) / 2,
    and 300 * 0.375 ** 5 = 2.2: all."""
    fleet, policy = Fleet(2, weight_bytes=30, kv_bytes_per_token=1), ProbabilisticShed()
    send(fleet, 0, [], prompt_tokens=10)
    number = fleet.instances[0].model.id
    assert isclose(policy._saturation(number, fleet.bench.view), 0.125)
    assert refusals(policy, fleet, -1) <= 12  # 3.7 are expected
    assert refusals(policy, fleet, 0) == 0
    send(fleet, 1, [], prompt_tokens=20)
    assert isclose(policy._saturation(number, fleet.bench.view), 0.375)
    assert refusals(policy, fleet, -1) == 400
    assert refusals(policy, fleet, 0) == 0


def test_a_queue_saturates_too_and_an_empty_fleet_does_not() -> None:
    """Two wait for one full instance: 2 / 5 = 0.4 is more than its KV cache says."""
    fleet, policy = Fleet(1).load(0, 4), ProbabilisticShed()
    number = fleet.instances[0].model.id
    assert policy._saturation(number, fleet.bench.view) == 0.0
    for _ in range(2):
        fleet.bench.ask(0)
    assert isclose(policy._saturation(number, fleet.bench.view), 0.4)
    assert refusals(policy, Fleet(0), -1) == 0


def even_numbers_are_batch() -> list[Row]:
    return [(at, 100, {"priority": -(i % 2)}) for i, at in enumerate(poisson(10.0, 300))]


def p99_of_the_urgent(played: Played) -> float:
    requests = played.record.requests
    mine = requests.finished & (requests.id % 2 == 1)
    return float(np.percentile((requests.first_token_at - requests.arrived_at)[mine], 99))


def test_probabilistic_shed_gains_for_who_is_left() -> None:
    """Twice what one instance can serve, half of it of negative priority."""
    shed = replicas(1, admission=ProbabilisticShed())
    gains(warm(even_numbers_are_batch(), 1), shed, replicas(1), p99_of_the_urgent, by=2.0)


def test_probabilistic_shed_loses_where_all_could_have_waited() -> None:
    """Nobody is in a hurry and the load ends: what was turned away would have been served."""
    shed = replicas(1, admission=ProbabilisticShed())
    loses(warm(even_numbers_are_batch(), 1), shed, replicas(1), not_served, by=2.0)


# Deadlines


def due(bench: Bench, in_s: float, prompt: int = 10) -> Refuse | None:
    """Asked for model 0."""
    at = bench.state.now + in_s
    wish = msgspec.structs.replace(request(0, prompt), deadline_at=at)
    return SloFeasible().admit(wish, bench.view)


def test_slo_feasible_by_hand_takes_the_sooner_of_queueing_and_loading() -> None:
    """One card, 0.01 s a prompt token, 0.1 s a new one, 128 of them. Ready and free: 10 * 0.01 s.
    Full (2 slots) with 2 in the queue: 0.1 + 3 * (0.1 + 12.8) / 2 = 19.45 s. A second card, the
    model on its SSD: 1 + 80 / 40 + 0.1 = 3.1 s."""
    bench = Bench([node(0)], [model(0, slots=2)])
    bench.run(0, 0)
    assert due(bench, 0.11) is None
    assert due(bench, 0.09) is not None
    full = Bench([node(0)], [model(0, slots=2)])
    full.run(0, 0, requests=2)
    for _ in range(2):
        full.ask(0)
    assert due(full, 19.5) is None
    refusal = due(full, 19.0)
    assert refusal is not None
    assert refusal.reason == "deadline"
    assert refusal.retry_after_s is not None
    assert isclose(refusal.retry_after_s, 0.45)
    roomy = Bench([node(0), node(1)], [model(0, slots=2)], resident=[(0, 1, Tier.SSD)])
    roomy.run(0, 0, requests=2)
    for _ in range(2):
        roomy.ask(0)
    assert due(roomy, 3.2) is None
    assert due(roomy, 3.0) is not None


def test_without_any_room_nobody_can_say_when() -> None:
    bench = Bench([node(0)], [model(0), model(1)])
    bench.run(1, 0, requests=2)
    assert due(bench, 1e6) == Refuse("deadline", None)
    idle = Bench([node(0)], [model(0), model(1)])
    idle.run(1, 0)
    assert due(idle, 10.0) is None, "1 + 80 / 10 + 0.1 s on the cards of one that idles"


def test_without_a_deadline_everybody_is_let_in() -> None:
    assert SloFeasible().admit(request(), Bench([], [model(0)]).view) is None


def test_slo_feasible_gains_where_more_comes_than_can_be_served() -> None:
    """With everybody let in, the queue grows beyond five seconds and all that follow are late."""
    rows: list[Row] = [(at, 100, {"deadline_at": WARM_AT + at + 5.0}) for at in poisson(24.0, 500)]
    setting = warm(rows, 4)
    gains(setting, replicas(4, admission=SloFeasible()), replicas(4), missed(setting), by=1.5)


def test_slo_feasible_loses_where_outputs_become_shorter() -> None:
    """It expects of a burst of short answers what long ones took: half of it is turned away, all
    of which would have been in time."""
    before: list[Row] = [(i * 0.5, 600, {}) for i in range(40)]
    burst: list[Row] = [
        (80.0 + i * 0.001, 5, {"deadline_at": WARM_AT + 83.0, "prompt_tokens": 50})
        for i in range(128)
    ]
    setting = warm([*before, *burst], 4)
    loses(setting, replicas(4, admission=SloFeasible()), replicas(4), missed(setting), by=2.0)
