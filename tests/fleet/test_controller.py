"""The state machine as a whole: order of time, set-up, timers, artifacts that come and go."""

import pytest

from fleet import events as e
from fleet.commands import Fetch, SetTimer, StartInstance
from fleet.controller import Controller
from fleet.domain import ArtifactId, CommandId, InstanceId, NodeId, Place, Tier
from tests.machines.driver import HandDriver
from tests.machines.fleets import MODELS, adapter, model, node, setup
from tests.machines.plain import FetchAll, plain

ONE, TWO, PART, BIG_PART, PIPELINE, LORA = range(6)


def test_events_out_of_order_are_refused() -> None:
    controller = Controller(setup((1,)), plain())
    controller.handle(e.Progress(5.0, InstanceId(0), 1, 10))
    with pytest.raises(AssertionError, match="time order"):
        controller.handle(e.Progress(4.0, InstanceId(0), 1, 10))


def test_an_event_of_no_known_kind_is_refused() -> None:
    with pytest.raises(KeyError):
        Controller(setup((1,)), plain()).handle(e.Event(0.0))


def test_a_timer_of_somebody_else_is_refused_by_name() -> None:
    controller = Controller(setup((1,)), plain())
    with pytest.raises(ValueError, match="'tea/4' is none of the controller's"):
        controller.handle(e.TimerFired(0.0, CommandId(0), "tea/4"))


def test_a_sample_of_progress_changes_nothing() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],)), plain())
    driver.arrive(ONE)
    assert driver.tell(e.Progress(driver.now, InstanceId(0), 1, 100)) == []


def test_a_model_that_is_added_can_be_served_from_where_it_lies() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],)), plain())
    here = Place(NodeId(0), Tier.SSD)
    driver.add(model(50, MODELS[ONE].need), (here,))
    driver.arrive(50)
    assert driver.only(StartInstance).sources == (here,)


def test_an_adapter_that_is_added_can_be_asked_for() -> None:
    driver = HandDriver(setup((1,), (MODELS[PART],)), plain())
    driver.add(adapter(60, PART))
    request = driver.arrive(PART, 60)
    while driver.open():
        driver.succeed(driver.open()[0])
    assert driver.books.ended[request] == 1


def test_a_node_that_joins_brings_its_copies() -> None:
    driver = HandDriver(setup((1,), (MODELS[TWO],)), plain())
    driver.arrive(TWO)
    driver.join(node(1, 2), ((ArtifactId(TWO), Tier.DRAM),))
    assert driver.only(StartInstance).sources == (Place(NodeId(1), Tier.DRAM),)


def test_a_node_lost_twice_is_lost_once() -> None:
    driver = HandDriver(setup((1, 1), (MODELS[ONE],)), plain())
    driver.arrive(ONE)
    driver.lose_node(NodeId(0))
    assert driver.tell(e.NodeLost(driver.now, NodeId(0))) == []


def test_upkeep_is_asked_once_a_period_from_the_first_event_on() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],)), plain(upkeep=(FetchAll(every_s=5.0),)))
    driver.wait(2.0)
    driver.arrive(ONE)
    first = driver.history[0][1][0]
    assert isinstance(first, SetTimer)
    assert (first.timer, first.at) == ("upkeep/0", 7.0)
    driver.succeed_only(StartInstance)
    driver.tick()
    assert [(t.timer, t.at) for t in driver.books.timers] == [("upkeep/0", 12.0)]


def test_a_prefetched_model_is_loaded_from_memory() -> None:
    driver = HandDriver(setup((2,), (MODELS[ONE], MODELS[PART])), plain(upkeep=(FetchAll(),)))
    driver.arrive(PART)
    driver.tick()
    driver.succeed_only(Fetch)
    driver.arrive(ONE)
    starts = [o for o in driver.open() if isinstance(o, StartInstance) and o.model == ONE]
    assert [o.sources for o in starts] == [(Place(NodeId(0), Tier.DRAM),)]


def test_command_ids_are_dense_over_the_whole_run() -> None:
    driver = HandDriver(setup((2,)), plain())
    for number in (ONE, PART, BIG_PART, ONE):
        driver.arrive(number)
    for _ in range(20):
        if driver.open():
            driver.succeed(driver.open()[0])
    ids = [o.id for _, commands in driver.history for o in commands]
    assert ids == list(range(len(ids)))
