"""More instances when they are needed and there is room; fewer once they have rested enough."""

import pytest

from fleet.commands import Dispatch, StartInstance, StopInstance
from fleet.domain import InstanceId, ModelId, NodeId
from fleet.limits import Limits
from fleet.orders import PolicyLoopError
from fleet.policy import Policy
from fleet.view import View
from tests.machines.driver import HandDriver
from tests.machines.fleets import MODELS, model, node, setup
from tests.machines.plain import Fixed, plain

ONE, TWO, PART, BIG_PART, PIPELINE, LORA = range(6)


def served(keep_alive_s: float) -> HandDriver:
    """An instance that has served one request and is idle at 0 s."""
    driver = HandDriver(setup((1,), (MODELS[ONE],)), plain(keep_alive=Fixed(keep_alive_s)))
    driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    driver.succeed_only(Dispatch)
    return driver


def test_an_idle_instance_stops_when_its_time_is_over_and_not_before() -> None:
    driver = served(10.0)
    assert not driver.open()
    driver.tick()
    assert driver.now == 10.0
    assert driver.only(StopInstance).instance == 0


def test_a_request_in_between_starts_the_idle_time_again() -> None:
    driver = served(10.0)
    driver.wait(6.0)
    driver.arrive(ONE)
    driver.wait(1.0)
    driver.succeed_only(Dispatch)
    driver.tick()
    assert driver.now == 10.0
    assert not driver.open(), "the timer of the first rest stops nothing"
    driver.tick()
    assert driver.now == 17.0
    assert driver.only(StopInstance).instance == 0


def test_an_instance_that_is_busy_when_its_timer_fires_is_left_alone() -> None:
    driver = served(10.0)
    driver.wait(9.0)
    driver.arrive(ONE)
    driver.tick()
    assert [type(o) for o in driver.open()] == [Dispatch]
    driver.succeed_only(Dispatch)
    driver.tick()
    assert driver.now == 20.0
    assert driver.only(StopInstance).instance == 0


def test_no_keep_alive_stops_at_once_and_for_ever_sets_no_timer() -> None:
    assert served(0.0).only(StopInstance).instance == 0
    driver = served(float("inf"))
    assert not driver.open()
    assert not driver.books.timers


def test_one_timer_is_enough_for_many_requests() -> None:
    driver = served(10.0)
    for _ in range(20):
        driver.wait(0.1)
        driver.arrive(ONE)
        driver.succeed_only(Dispatch)
    assert len(driver.books.timers) == 1


def test_a_need_without_room_is_met_when_a_node_joins() -> None:
    driver = HandDriver(setup((1,), (MODELS[TWO],)), plain())
    driver.arrive(TWO)
    assert not driver.open()
    driver.join(node(1, 2))
    assert driver.only(StartInstance).shards[0].node == 1


def test_freed_cards_go_to_the_need_that_has_waited_longest() -> None:
    models = (model(0, MODELS[ONE].need), model(1, MODELS[ONE].need), model(2, MODELS[ONE].need))
    driver = HandDriver(setup((1,), models), plain())
    driver.arrive(0)
    driver.succeed_only(StartInstance)
    for number in (2, 1):
        driver.wait(1.0)
        driver.arrive(number)
    driver.succeed_only(Dispatch)
    driver.succeed_only(StopInstance)
    assert driver.only(StartInstance).model == 2


def test_a_small_need_is_met_beside_a_large_one_that_does_not_fit() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE], MODELS[TWO])), plain())
    driver.arrive(TWO)
    driver.arrive(ONE)
    assert driver.only(StartInstance).model == ONE


def test_a_need_is_forgotten_with_its_last_request() -> None:
    driver = HandDriver(setup((1,), (MODELS[TWO],)), plain())
    driver.abandon(driver.arrive(TWO))
    driver.join(node(1, 2))
    assert not driver.open()


def test_a_lost_instance_is_replaced_while_requests_wait() -> None:
    driver = HandDriver(setup((1, 1), (MODELS[ONE],)), plain())
    driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    driver.lose_node(NodeId(0))
    assert driver.only(StartInstance).shards[0].node == 1


class EverMore:
    def wanted(self, model: ModelId, view: View) -> int:
        return len(view.ready(model)) + view.starting(model) + 1


def test_a_policy_that_asks_for_ever_more_is_stopped_by_name_of_the_limit() -> None:
    policy = plain()
    greedy = Policy(
        policy.admission,
        policy.ordering,
        policy.arbitration,
        policy.routing,
        EverMore(),
        policy.placement,
        policy.room,
        policy.retention,
        policy.keep_alive,
    )
    start = setup((4, 4, 4), (MODELS[BIG_PART],), Limits(max_answers=5))
    driver = HandDriver(start, greedy)
    with pytest.raises(PolicyLoopError, match=r"limits\.max_answers"):
        driver.arrive(BIG_PART)


def test_a_removed_model_stops_what_is_idle_and_lets_what_runs_end() -> None:
    driver = HandDriver(setup((2,), (MODELS[BIG_PART],)), plain())
    for _ in range(2):
        driver.arrive(BIG_PART)
    driver.succeed_only(StartInstance)
    driver.succeed_only(StartInstance)
    driver.succeed(driver.open()[0])
    driver.remove(BIG_PART)
    assert driver.only(StopInstance).instance == 0
    driver.succeed_only(Dispatch)
    stopping = [o.instance for o in driver.open() if isinstance(o, StopInstance)]
    assert stopping == [InstanceId(0), InstanceId(1)]
