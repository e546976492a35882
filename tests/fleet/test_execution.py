"""Plans in hand: what a plan takes at once, what holds a step back, and how it is undone."""

import pytest

from fleet.commands import (
    AttachAdapter,
    Cancel,
    Command,
    DetachAdapter,
    Dispatch,
    Drop,
    Fetch,
    Keep,
    Preempt,
    Sleep,
    StartInstance,
    StopInstance,
    Wake,
)
from fleet.domain import REMOTE, ArtifactId, InstanceId, NodeId, Place, Tier
from fleet.holders import Phase
from fleet.plans import UNNUMBERED, Step, Steps, planned
from tests.machines.driver import HandDriver
from tests.machines.fleets import ADAPTERS, CARD_BYTES, MODELS, model, setup
from tests.machines.plain import Fixed, Preempting, plain

ONE, TWO, PART, BIG_PART, PIPELINE, LORA = range(6)


def begin(driver: HandDriver, *commands: Command) -> None:
    """Let the controller take on a plan of steps that wait for nothing."""
    driver.controller.execution.begin(Steps(tuple(Step(c) for c in commands), driver.now))


def idle(driver: HandDriver, number: int) -> None:
    """An instance of a model that has served one request."""
    driver.arrive(number)
    driver.succeed_only(StartInstance)
    driver.succeed_only(Dispatch)


def test_an_idle_instance_stops_and_its_cards_go_to_whom_they_were_promised() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE], model(7, MODELS[ONE].need))), plain())
    idle(driver, ONE)
    driver.arrive(7)
    driver.arrive(ONE)  # comes too late for the card: it is promised
    commands = driver.succeed_only(StopInstance)
    assert [o.model for o in commands if isinstance(o, StartInstance)] == [7]


def test_a_failed_start_gives_the_promised_cards_to_whoever_waits() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE], model(7, MODELS[ONE].need))), plain())
    idle(driver, ONE)
    driver.arrive(7)
    driver.arrive(ONE)
    driver.succeed_only(StopInstance)
    commands = driver.fail(driver.only(StartInstance))
    assert [o.model for o in commands if isinstance(o, StartInstance)] == [ONE]


def test_an_instance_that_loads_an_adapter_is_not_idle() -> None:
    driver = HandDriver(setup((1,), (MODELS[PART],)), plain(keep_alive=Fixed(0.0)))
    request = driver.arrive(PART, 10)
    driver.succeed_only(StartInstance)
    assert driver.only(AttachAdapter).adapter == 10
    driver.succeed_only(AttachAdapter)
    assert driver.only(Dispatch).request == request
    driver.succeed_only(Dispatch)
    assert driver.only(StopInstance).instance == 0, "it stops once it is idle"


def test_a_stop_waits_for_the_adapter_on_its_way() -> None:
    driver = HandDriver(setup((1,), (MODELS[PART], MODELS[ONE])), plain())
    driver.arrive(PART, 10)
    driver.succeed_only(StartInstance)
    driver.arrive(ONE)  # makes room: nothing runs there yet
    assert not any(isinstance(o, StopInstance) for o in driver.open())
    driver.succeed_only(AttachAdapter)
    assert driver.only(StopInstance).instance == 0


def test_who_waited_for_an_adapter_is_served_elsewhere_after_the_stop() -> None:
    driver = HandDriver(setup((1,), (MODELS[PART], MODELS[ONE])), plain())
    request = driver.arrive(PART, 10)
    driver.succeed_only(StartInstance)
    other = driver.arrive(ONE)
    for kind in (AttachAdapter, StopInstance, StartInstance):
        driver.succeed_only(kind)
    assert driver.only(Dispatch).request == other
    for again in (Dispatch, StopInstance, StartInstance, AttachAdapter):
        driver.succeed_only(again)
    assert driver.only(Dispatch).request == request


def test_a_failed_detach_keeps_the_adapter_and_the_other_rests_before_it_is_tried() -> None:
    driver = HandDriver(setup((1,), (MODELS[PART],)), plain())
    driver.arrive(PART, 10)
    driver.succeed_only(StartInstance)
    driver.succeed_only(AttachAdapter)
    driver.succeed_only(Dispatch)
    driver.arrive(PART, 11)
    driver.fail(driver.only(DetachAdapter))
    instance = driver.controller.state.instances[InstanceId(0)]
    assert list(instance.adapters.entries) == [10]
    assert not driver.open()
    driver.tick()
    assert driver.only(DetachAdapter).adapter == 10


def test_a_stop_is_held_back_until_the_preempted_have_left() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE], model(7, MODELS[ONE].need))), plain(Preempting()))
    request = driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    driver.arrive(7)
    assert not any(isinstance(o, StopInstance) for o in driver.open())
    driver.succeed_only(Preempt)
    assert driver.only(StopInstance).instance == 0
    driver.succeed_only(StopInstance)
    assert driver.only(StartInstance).model == 7
    assert request in driver.controller.state.flights


def test_a_request_that_ends_before_its_preemption_ends_only_once() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE], model(7, MODELS[ONE].need))), plain(Preempting()))
    request = driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    driver.arrive(7)
    driver.succeed_only(Dispatch)
    assert driver.books.ended[request] == 1
    assert driver.only(StopInstance).instance == 0


def test_a_preemption_of_who_has_left_is_not_given() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE], model(7, MODELS[ONE].need))), plain(Preempting()))
    request = driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    driver.abandon(request)
    driver.arrive(7)
    assert not any(isinstance(o, Preempt) for o in driver.open())
    driver.succeed_only(Cancel)
    assert driver.only(StopInstance).instance == 0


def test_a_sleeper_gives_up_its_card_and_wakes_on_it() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],)), plain(keep_alive=Fixed(0.0, 1, 50.0)))
    idle(driver, ONE)
    driver.succeed_only(Sleep)
    assert driver.controller.state.nodes.free_bytes[0] == [CARD_BYTES]
    request = driver.arrive(ONE)
    assert driver.only(Wake).source == Place(NodeId(0), Tier.DRAM)
    driver.succeed_only(Wake)
    assert driver.only(Dispatch).request == request


def test_a_sleep_waits_for_the_last_request_and_takes_no_more() -> None:
    """The end of a turn: what runs is preempted with its KV, then the instance sleeps."""
    driver = HandDriver(setup((1,), (MODELS[ONE],)), plain(keep_alive=Fixed(9.0, 1, 50.0)))
    request = driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    preempt = Preempt(UNNUMBERED, request, Keep.KV)
    sleep = Sleep(UNNUMBERED, InstanceId(0), 1)
    driver.controller.execution.begin(Steps((Step(preempt), Step(sleep, (0,))), driver.now))
    instance = driver.controller.state.instances[InstanceId(0)]
    assert instance.phase is Phase.DRAINING
    for command in driver.controller.orders.out[-1:]:
        driver.books.take(command)
    driver.succeed_only(Preempt)
    assert driver.only(Sleep).instance == 0
    driver.succeed_only(Sleep)
    driver.succeed_only(Wake)
    assert driver.only(Dispatch).request == request


def test_a_sleep_that_waits_for_requests_is_over_when_its_instance_is_lost() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],)), plain(keep_alive=Fixed(9.0, 1, 50.0)))
    driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    begin(driver, Sleep(UNNUMBERED, InstanceId(0), 1))
    assert not any(isinstance(o, Sleep) for o in driver.open())
    driver.lose_instance(InstanceId(0))
    assert len(driver.controller.execution.runner) == 1  # the start that its request needs
    pool = driver.controller.state.pool(NodeId(0), Tier.DRAM)
    assert all(entry.pins <= 1 for entry in pool.entries.values())


def test_a_failed_wake_leaves_it_asleep_without_cards() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],)), plain(keep_alive=Fixed(0.0, 1, 50.0)))
    idle(driver, ONE)
    driver.succeed_only(Sleep)
    driver.arrive(ONE)
    driver.fail(driver.only(Wake))
    assert driver.controller.state.instances[InstanceId(0)].phase is Phase.ASLEEP
    assert driver.controller.state.nodes.free_bytes[0] == [CARD_BYTES]


def test_sleep_without_room_in_memory_is_the_deep_sleep() -> None:
    start = setup((1,), (MODELS[ONE],), dram_bytes=10)
    driver = HandDriver(start, plain(keep_alive=Fixed(0.0, 1, 50.0)))
    idle(driver, ONE)
    assert driver.only(Sleep).level == 2


def test_a_fetch_takes_its_room_at_once_and_drops_what_must_go_first() -> None:
    driver = HandDriver(setup((2,), (MODELS[ONE], model(7, MODELS[ONE].need))), plain())
    idle(driver, ONE)  # leaves a copy of 50 in a memory of 100
    here = Place(NodeId(0), Tier.DRAM)
    begin(driver, Fetch(UNNUMBERED, ArtifactId(7), REMOTE, here))
    pool = driver.controller.state.pool(NodeId(0), Tier.DRAM)
    assert pool.free == 0
    assert not pool.has(ArtifactId(7))


def test_a_copy_that_something_reads_is_not_dropped() -> None:
    models = (MODELS[ONE], model(7, MODELS[ONE].need), model(8, MODELS[ONE].need))
    driver = HandDriver(setup((3,), models, dram_bytes=50), plain(keep_alive=Fixed(0.0)))
    idle(driver, ONE)
    driver.succeed_only(StopInstance)
    driver.arrive(ONE)
    assert driver.only(StartInstance).sources == (Place(NodeId(0), Tier.DRAM),)
    driver.arrive(7)  # would keep a copy in memory, had it room
    assert not any(isinstance(o, Drop) and o.place.tier is Tier.DRAM for o in driver.open())


def start_then_attach(driver: HandDriver) -> None:
    shard = driver.controller.view.nodes.pick(NodeId(0), MODELS[PART].need)
    assert shard is not None
    start = StartInstance(UNNUMBERED, planned(0), MODELS[PART].id, (shard,), (REMOTE,))
    attach = AttachAdapter(UNNUMBERED, planned(0), ADAPTERS[0].id, REMOTE)
    driver.controller.execution.begin(Steps((Step(start), Step(attach, (0,))), driver.now))
    for command in driver.controller.orders.out:
        driver.books.take(command)


def test_a_plan_can_attach_an_adapter_to_the_instance_that_it_starts() -> None:
    driver = HandDriver(setup((1,), (MODELS[PART],)), plain())
    start_then_attach(driver)
    driver.succeed_only(StartInstance)
    driver.succeed_only(AttachAdapter)
    request = driver.arrive(PART, 10)
    assert driver.only(Dispatch).request == request


def test_an_attach_planned_for_an_instance_that_never_came_is_forgotten() -> None:
    driver = HandDriver(setup((1,), (MODELS[PART],)), plain())
    start_then_attach(driver)
    driver.fail(driver.only(StartInstance))
    assert not driver.controller.execution.adapters.under_way
    assert not driver.controller.execution.loadings


def test_a_plan_that_does_not_free_its_cards_is_refused() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE], model(7, MODELS[ONE].need))), plain())
    idle(driver, ONE)
    instance = driver.controller.state.instances[InstanceId(0)]
    start = StartInstance(UNNUMBERED, InstanceId(-1), ArtifactId(7), instance.shards, (REMOTE,))  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="does not free card"):
        begin(driver, start)


def test_a_plan_that_stops_what_is_loading_is_refused() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],)), plain())
    driver.arrive(ONE)
    with pytest.raises(AssertionError, match="which is LOADING"):
        begin(driver, StopInstance(UNNUMBERED, InstanceId(0)))
