"""The simulated driver keeps the driver contract, whatever its controller and its world do."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings

from fleet import commands as c
from fleet import events as e
from fleet.domain import REMOTE, AdapterId, ArtifactId, CommandId, InstanceId, Tier
from sim.faults import FaultRates
from tests.conformance.contract import Contract
from tests.machines.simulated import LONGEST_S, Scenario, play
from tests.machines.test_fault_scenarios import scenarios
from tests.sim.by_hand import FIRST, REQUEST, SECOND, Hand, place, shard
from tests.sim.worlds import adapter, arrival, model, node, setup, world

SSD, DRAM = Tier.SSD, Tier.DRAM
WEIGHTS, LORA = ArtifactId(0), AdapterId(ArtifactId(7))


def hand(faults: FaultRates = FaultRates()) -> Hand:  # noqa: B008 - frozen
    """Two instances of a model on two nodes, ready by 5.0; a request that nobody has dispatched."""
    one = model(0, adapters=2, kv_bytes_per_token=1)
    start = setup([node(0), node(1)], [one], [adapter(7), adapter(8)], [(0, place(0, SSD))])
    return Hand(start, world(faults, kv_blocks=100))


def ready(play: Hand) -> None:
    play.start(0.0, FIRST, shards=(shard(0),))
    play.start(0.0, SECOND, shards=(shard(1),))


Give = Callable[[Hand], CommandId]

#: A command of every kind on a healthy fleet at 20.0, and what answers it.
ANSWERED: dict[str, tuple[Give, type[e.Event]]] = {
    "dispatch": (lambda p: p.dispatch(20.0), e.RequestFinished),
    "start": (lambda p: p.start(20.0, InstanceId(9), shards=(shard(0, 1),)), e.InstanceReady),
    "stop": (lambda p: p.give(20.0, c.StopInstance, FIRST), e.InstanceStopped),
    "sleep": (lambda p: p.give(20.0, c.Sleep, FIRST, 1), e.Slept),
    "attach": (lambda p: p.attach(20.0, 7), e.AdapterAttached),
    "fetch": (
        lambda p: p.give(20.0, c.Fetch, WEIGHTS, place(0, SSD), place(1, DRAM)),
        e.Fetched,
    ),
    "drop": (lambda p: p.give(20.0, c.Drop, WEIGHTS, place(0, SSD)), e.Dropped),
    "timer": (lambda p: p.give(20.0, c.SetTimer, "later", 30.0), e.TimerFired),
}


@pytest.mark.parametrize("what", ANSWERED)
def test_a_command_that_goes_well_is_answered_once(what: str) -> None:
    give, kind = ANSWERED[what]
    play = hand()
    ready(play)
    order = give(play)
    play.play(100.0, [arrival(0, 1.0)])
    assert type(play.answer(order)) is kind


def test_wake_detach_migrate_preempt_and_cancel_are_answered_once() -> None:
    play = hand()
    ready(play)
    play.attach(6.0, 7)
    detach = play.give(10.0, c.DetachAdapter, FIRST, LORA)
    play.give(12.0, c.Sleep, FIRST, 1)
    wake = play.give(15.0, c.Wake, FIRST, place(0, DRAM))
    dispatch = play.dispatch(20.0, 0)
    migrate = play.give(22.0, c.Migrate, REQUEST, FIRST, SECOND, c.By.TOKENS)
    play.give(40.0, c.Preempt, REQUEST, c.Keep.TOKENS)
    again = play.dispatch(41.0, 0, SECOND)
    play.give(45.0, c.Cancel, REQUEST, "enough")
    play.play(100.0, [arrival(0, 1.0, 400)])
    answers = [type(play.answer(order)) for order in (detach, wake, dispatch, migrate, again)]
    assert answers == [e.AdapterDetached, e.Awake, e.Preempted, e.Migrated, e.RequestFailed]


FAILING = FaultRates(load_failure_probability=1.0, fetch_failure_probability=1.0)


@pytest.mark.parametrize("what", ["start", "wake", "attach", "fetch"])
def test_a_load_that_fails_is_answered_once_by_its_failure(what: str) -> None:
    play = hand()
    ready(play)
    play.give(10.0, c.Sleep, SECOND, 2)
    play.at(19.0, lambda: setattr(play.cluster.faults, "rates", FAILING))
    wake: Give = lambda p: p.give(20.0, c.Wake, SECOND, REMOTE)  # noqa: E731
    order = {**{k: give for k, (give, _) in ANSWERED.items()}, "wake": wake}[what](play)
    play.play(100.0)
    assert isinstance(play.answer(order), e.CommandFailed)


def test_a_stop_while_loading_is_answered_and_the_start_is_not() -> None:
    play = hand()
    start = play.start(0.0)
    stop = play.give(2.0, c.StopInstance, FIRST)
    play.play(100.0)
    assert play.answer(start) is None
    assert isinstance(play.answer(stop), e.InstanceStopped)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(scenarios())
def test_the_contract_holds_under_any_policy_and_any_faults(scenario: Scenario) -> None:
    contract = Contract()
    driver, _ = play(scenario, every=1000)
    for event, commands in driver.history:
        contract.hear(event, commands)
    assert contract.owed_for(LONGEST_S) == []
