"""What drivers report about instances and nodes: answers, failures and losses."""

from fleet import events as e
from fleet.commands import (
    DetachAdapter,
    Dispatch,
    Drop,
    Migrate,
    Sleep,
    StartInstance,
    StopInstance,
)
from fleet.domain import InstanceId, NodeId, Tier
from fleet.holders import Phase
from tests.machines.driver import HandDriver
from tests.machines.fleets import MODELS, setup
from tests.machines.plain import Fixed, Shuffle, plain

ONE, TWO, PART, BIG_PART, PIPELINE, LORA = range(6)


def test_a_failed_load_returns_its_cards_and_is_tried_again_after_a_rest() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],)), plain())
    driver.arrive(ONE)
    assert driver.fail(driver.only(StartInstance)) == [driver.books.timers[0]]
    assert driver.controller.state.nodes.free_gpus[0] == 1
    driver.tick()
    assert driver.only(StartInstance).instance == 1


def test_loads_that_go_on_failing_rest_longer_each_time() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],)), plain())
    driver.arrive(ONE)
    rests = []
    for _ in range(4):
        driver.fail(driver.only(StartInstance))
        rests.append(driver.books.timers[-1].at - driver.now)
        driver.tick()
    assert rests == [1.0, 2.0, 4.0, 8.0]


def test_a_load_that_succeeds_forgets_the_failures_before_it() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],)), plain())
    driver.arrive(ONE)
    for _ in range(3):
        driver.fail(driver.only(StartInstance))
        driver.tick()
    driver.succeed_only(StartInstance)
    driver.lose_instance(driver.only(Dispatch).instance)
    driver.fail(driver.only(StartInstance))
    assert driver.books.timers[-1].at == driver.now + 1.0


def test_a_lost_instance_gives_its_requests_back_in_their_order() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],)), plain())
    first, second = driver.arrive(ONE), driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    driver.lose_instance(InstanceId(0))
    commands = driver.succeed_only(StartInstance)
    assert [o.request for o in commands if isinstance(o, Dispatch)] == [first, second]


def test_the_late_report_of_a_lost_attempt_is_ignored() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],)), plain())
    request = driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    old = driver.only(Dispatch)
    driver.lose_instance(InstanceId(0))
    driver.succeed_only(StartInstance)
    late = driver.late(old)
    assert late is not None
    assert driver.tell(late) == []
    assert request in driver.controller.state.flights


def test_a_plan_dies_with_its_node_and_no_command_goes_there_any_more() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE], MODELS[BIG_PART])), plain())
    driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    driver.succeed_only(Dispatch)
    driver.arrive(BIG_PART)
    assert driver.only(StopInstance).instance == 0, "the idle instance makes room"
    driver.lose_node(NodeId(0))
    assert not driver.open()


def test_a_load_that_waits_for_a_drop_dies_with_its_node() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE], MODELS[BIG_PART]), dram_bytes=50), plain())
    driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    driver.succeed_only(Dispatch)
    driver.arrive(BIG_PART)
    driver.succeed_only(StopInstance)
    assert driver.only(Drop).place.tier is Tier.DRAM
    driver.lose_node(NodeId(0))
    assert not driver.open()


def test_a_pipeline_with_both_stages_on_one_node_can_be_lost() -> None:
    driver = HandDriver(setup((2,), (MODELS[PIPELINE],)), plain())
    driver.arrive(PIPELINE)
    assert len({shard.node for shard in driver.only(StartInstance).shards}) == 1
    driver.lose_node(NodeId(0))
    assert not driver.controller.state.instances


def test_losing_one_stage_of_a_pipeline_loses_it_and_frees_the_other_card() -> None:
    driver = HandDriver(setup((1, 1), (MODELS[PIPELINE],)), plain())
    driver.arrive(PIPELINE)
    driver.succeed_only(StartInstance)
    driver.lose_node(NodeId(0))
    assert list(driver.controller.state.nodes.free_gpus) == [0, 1]
    assert driver.controller.state.waiting == 1


def about_to_sleep() -> HandDriver:
    """Instance 0 is to sleep on a copy in memory, for which another must be dropped first."""
    models = (MODELS[ONE], MODELS[TWO])
    driver = HandDriver(setup((3,), models), plain(keep_alive=Fixed(5.0, level=1, asleep_s=50.0)))
    driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    driver.arrive(TWO)  # its copy drops the other's from memory
    driver.succeed_only(Drop)
    driver.succeed_only(StartInstance)
    for dispatch in driver.open():
        driver.succeed(dispatch)
    driver.tick()
    assert driver.only(Drop).artifact == TWO
    return driver


def test_a_sleeper_lost_on_its_way_leaves_no_copy_behind() -> None:
    driver = about_to_sleep()
    driver.succeed_only(Drop)
    assert driver.only(Sleep).level == 1
    driver.lose_instance(InstanceId(0))
    assert not driver.controller.state.pool(NodeId(0), Tier.DRAM).entries


def test_an_instance_lost_before_it_may_sleep_is_not_told_to() -> None:
    driver = about_to_sleep()
    assert driver.controller.state.instances[InstanceId(0)].phase is Phase.DRAINING
    driver.lose_instance(InstanceId(0))
    driver.succeed_only(Drop)
    assert not any(isinstance(o, Sleep) for o in driver.open())


def test_who_waits_for_an_adapter_gets_it_elsewhere_when_its_instance_is_lost() -> None:
    driver = HandDriver(setup((1,), (MODELS[PART],)), plain())
    driver.arrive(PART, 10)
    driver.succeed_only(StartInstance)
    driver.succeed(driver.open()[0])
    driver.succeed_only(Dispatch)
    second = driver.arrive(PART, 11)
    assert driver.only(DetachAdapter).adapter == 10
    driver.lose_instance(InstanceId(0))
    driver.succeed_only(StartInstance)
    driver.succeed(driver.open()[0])
    assert driver.only(Dispatch).request == second


def test_a_slot_that_a_migration_frees_serves_who_waits() -> None:
    driver = HandDriver(setup((1, 1), (MODELS[ONE],)), plain(upkeep=(Shuffle(),)))
    for _ in range(3):
        driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    driver.succeed_only(StartInstance)
    driver.tick()
    waiting = driver.arrive(ONE)
    commands = driver.succeed_only(Migrate)
    assert [o.request for o in commands if isinstance(o, Dispatch)] == [waiting]


def test_a_slot_that_a_failed_migration_gives_back_serves_who_waits() -> None:
    driver = HandDriver(setup((1, 1), (MODELS[ONE],)), plain(upkeep=(Shuffle(),)))
    for _ in range(3):
        driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    driver.succeed_only(StartInstance)
    driver.tick()
    waiting = driver.arrive(ONE)
    commands = driver.fail(driver.only(Migrate))
    assert [o.request for o in commands if isinstance(o, Dispatch)] == [waiting]


def test_an_answer_to_nothing_changes_nothing() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],)), plain())
    driver.arrive(ONE)
    start = driver.only(StartInstance)
    driver.succeed(start)
    assert driver.tell(e.InstanceReady(driver.now, start.id, start.instance, 2.0)) == []
    assert driver.tell(e.CommandFailed(driver.now, start.id, "late")) == []
