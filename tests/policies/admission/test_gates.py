"""Who is let in, and what those hear who are not."""

from math import isclose

from fleet.domain import ArtifactId, ModelId, Request, RequestId
from fleet.policy import Refuse
from policies.admission.gates import AdmitAll, BoundedHold, Gate
from tests.policies.bench import Bench, model, node
from tests.policies.duels import gains, loses
from tests.policies.own import NoLongPrompts
from tests.policies.warm import Row, not_served, poisson, replicas, warm


def request(number: int = 0, prompt: int = 10) -> Request:
    return Request(RequestId(999), ModelId(ArtifactId(number)), None, 0.0, prompt, 100)


def waiting(requests: int, nodes: int = 1) -> Bench:
    bench = Bench([node(n) for n in range(nodes)], [model(0, slots=2), model(1)])
    for _ in range(requests):
        bench.ask(0)
    return bench


def test_admit_all_by_hand_lets_everybody_in() -> None:
    assert AdmitAll().admit(request(), waiting(50).view) is None


def test_bounded_hold_by_hand_refuses_from_its_bound_on_and_says_when_to_come_back() -> None:
    """3 queued * 128 tokens * 0.1 s, over the 2 slots of the one instance that is to come."""
    hold = BoundedHold(most_held=3)
    assert hold.admit(request(), waiting(2).view) is None
    refusal = hold.admit(request(), waiting(3).view)
    assert refusal is not None
    assert refusal.reason == "queue_full"
    assert refusal.retry_after_s is not None
    assert isclose(refusal.retry_after_s, 3 * 128 * 0.1 / 2)


def test_each_model_has_a_hold_of_its_own() -> None:
    assert BoundedHold(3).admit(request(1), waiting(3).view) is None


def test_instances_that_are_there_shorten_the_hint() -> None:
    bench = Bench([node(0, 2, kind="fast"), node(1)], [model(0, slots=2)])
    bench.run(0, 0)
    bench.run(0, 0)
    for _ in range(4):
        bench.ask(0)
    refusal = BoundedHold(4).admit(request(), bench.view)
    assert refusal is not None
    assert refusal.retry_after_s is not None
    assert isclose(refusal.retry_after_s, 4 * 128 * 0.05 / (2 * 2))


def test_without_nodes_nobody_can_say_when() -> None:
    assert BoundedHold(0).admit(request(), waiting(0, nodes=0).view) == Refuse("queue_full", None)


def test_gate_by_hand_gives_the_first_refusal() -> None:
    gate = Gate((BoundedHold(2), NoLongPrompts(100)))
    full, empty = waiting(2).view, waiting(0).view
    assert gate.admit(request(), empty) is None
    assert gate.admit(request(prompt=200), empty) == Refuse("too_long")
    refusal = gate.admit(request(prompt=200), full)
    assert refusal is not None
    assert refusal.reason == "queue_full"


TOO_MANY: list[Row] = [(at, 100, {}) for at in poisson(10.0, 300)]
HOLD = replicas(1, admission=BoundedHold(16))


def test_bounded_hold_gains_for_who_is_let_in() -> None:
    """Twice what one instance can serve: without a bound everybody waits for all before."""
    gains(warm(TOO_MANY, 1), HOLD, replicas(1), lambda p: p.p99_ttft_s, by=2.0)


def test_bounded_hold_loses_where_all_could_have_waited() -> None:
    """The load ends after half a minute, and a longer queue would have been served after it."""
    loses(warm(TOO_MANY, 1), HOLD, replicas(1), not_served, by=2.0)


def test_gate_gains_by_the_admissions_that_it_asks() -> None:
    gate = replicas(1, admission=Gate((AdmitAll(), BoundedHold(16))))
    gains(warm(TOO_MANY, 1), gate, replicas(1), lambda p: p.p99_ttft_s, by=2.0)


def test_gate_loses_by_the_admissions_that_it_asks() -> None:
    gate = replicas(1, admission=Gate((AdmitAll(), BoundedHold(16))))
    loses(warm(TOO_MANY, 1), gate, replicas(1), not_served, by=2.0)
