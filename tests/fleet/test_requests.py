"""Requests from arrival to end, driven by events: queues, refusals, ages and ends."""

from fleet.commands import (
    AttachAdapter,
    Cancel,
    Dispatch,
    Preempt,
    Reject,
    SetTimer,
    StartInstance,
)
from fleet.domain import NodeId
from fleet.events import RequestFailed
from fleet.limits import Limits
from tests.machines.driver import HandDriver
from tests.machines.fleets import MODELS, model, setup
from tests.machines.plain import Preempting, plain

ONE, TWO, PART, BIG_PART, PIPELINE, LORA = range(6)


def rejects(driver: HandDriver) -> list[tuple[int, str]]:
    orders = (o for _, commands in driver.history for o in commands)
    return [(o.request, o.reason) for o in orders if isinstance(o, Reject)]


def ready(model_number: int = ONE, limits: Limits = Limits()) -> HandDriver:  # noqa: B008 - frozen
    driver = HandDriver(setup((1,), (MODELS[model_number],), limits), plain())
    driver.arrive(model_number)
    driver.succeed_only(StartInstance)
    return driver


def test_a_warm_request_is_dispatched_in_the_event_of_its_arrival() -> None:
    driver = ready()
    driver.arrive(ONE)
    assert [type(o) for o in driver.history[-1][1]] == [Dispatch]


def test_unknown_models_and_adapters_are_refused_by_name_of_the_reason() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE], MODELS[PART])), plain())
    driver.arrive(99)
    driver.arrive(PART, 99)
    driver.arrive(ONE, 10)
    assert rejects(driver) == [
        (0, "model_not_found"),
        (1, "adapter_not_found"),
        (2, "adapter_not_found"),
    ]


def test_a_full_queue_refuses_and_a_free_slot_takes_in_again() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],), Limits(max_waiting=2)), plain())
    for _ in range(3):
        driver.arrive(ONE)
    assert rejects(driver) == [(2, "queue_full")]
    driver.succeed_only(StartInstance)
    driver.arrive(ONE)
    assert rejects(driver) == [(2, "queue_full")]


def test_a_request_too_old_is_rejected_while_it_waits_and_cancelled_while_it_runs() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],), Limits(max_age_s=30.0)), plain())
    for _ in range(3):
        driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    driver.wait(100.0)
    driver.tick()
    assert driver.now == 30.0
    assert rejects(driver) == [(2, "timeout")]
    told = [o for o in driver.open() if isinstance(o, Cancel)]
    assert [(o.request, o.reason) for o in told] == [(0, "timeout"), (1, "timeout")]


def test_ages_are_watched_with_one_timer_for_the_oldest() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],), Limits(max_age_s=30.0)), plain())
    driver.arrive(ONE)
    driver.wait(10.0)
    driver.arrive(ONE)
    driver.tick()
    ages = [o for _, out in driver.history for o in out if isinstance(o, SetTimer)]
    assert [(o.timer, o.at) for o in ages] == [("age", 30.0), ("age", 40.0)]


def test_an_abandoned_request_that_waits_is_over_at_once() -> None:
    driver = HandDriver(setup((1,), (MODELS[ONE],)), plain())
    request = driver.arrive(ONE)
    driver.abandon(request)
    assert rejects(driver) == [(request, "abandoned")]
    assert not driver.controller.state.needs


def test_an_abandoned_request_that_runs_holds_its_slot_until_the_driver_says_so() -> None:
    driver = ready()
    driver.abandon(driver.only(Dispatch).request)
    instance = next(iter(driver.controller.state.instances.values()))
    assert instance.load == 1
    driver.succeed_only(Cancel)
    assert instance.load == 0
    assert rejects(driver) == []


def test_a_request_that_finished_while_it_was_cancelled_ends_once() -> None:
    driver = ready()
    request = driver.only(Dispatch).request
    driver.abandon(request)
    driver.succeed_only(Dispatch)
    assert driver.books.ended[request] == 1
    assert not driver.open()


def test_a_failed_request_frees_its_slot_for_the_next() -> None:
    driver = ready(BIG_PART)
    first = driver.only(Dispatch)
    waiting = driver.arrive(BIG_PART)
    driver.tell(RequestFailed(driver.now, first.id, first.request, "engine_error"))
    assert driver.only(Dispatch).request == waiting


def test_an_instance_that_will_not_take_a_request_is_not_asked_for_ever() -> None:
    driver = ready(limits=Limits(max_attempts=3))
    request = driver.only(Dispatch).request
    for _ in range(3):
        driver.fail(driver.only(Dispatch))
    assert rejects(driver) == [(request, "too_many_attempts")]


def test_requests_lost_with_several_instances_keep_their_order() -> None:
    driver = HandDriver(setup((2, 1), (MODELS[BIG_PART],)), plain())
    numbers = [driver.arrive(BIG_PART) for _ in range(3)]
    while any(isinstance(o, StartInstance) for o in driver.open()):
        driver.succeed(next(o for o in driver.open() if isinstance(o, StartInstance)))
    driver.succeed(next(o for o in driver.open() if isinstance(o, Dispatch)))
    numbers.append(driver.arrive(BIG_PART))  # goes where the first was: out of order by place
    driver.lose_node(NodeId(0))
    serving = driver.controller.state.serving[MODELS[BIG_PART].id]
    waiting = [f.request.id for f in serving.lanes.flights()]
    assert waiting == sorted(waiting)
    assert len(waiting) == 2


def test_a_request_whose_model_was_removed_while_it_ran_is_not_queued_again() -> None:
    driver = ready()
    request = driver.only(Dispatch).request
    driver.remove(ONE)
    driver.fail(driver.only(Dispatch))
    assert rejects(driver) == [(request, "model_removed")]


def test_a_request_whose_adapter_was_removed_while_it_ran_is_not_queued_again() -> None:
    models = (MODELS[PART], model(7, MODELS[ONE].need))
    driver = HandDriver(setup((1,), models), plain(Preempting()))
    request = driver.arrive(PART, 10)
    driver.succeed_only(StartInstance)
    driver.succeed_only(AttachAdapter)
    driver.remove(10)
    driver.arrive(7)
    driver.succeed_only(Preempt)
    assert rejects(driver) == [(request, "adapter_removed")]


def test_what_waits_for_a_removed_artifact_is_rejected_at_once() -> None:
    driver = HandDriver(setup((1,), (MODELS[PART],)), plain())
    driver.arrive(PART, 10)
    plain_one = driver.arrive(PART)
    driver.remove(10)
    assert rejects(driver) == [(0, "adapter_removed")]
    driver.remove(PART)
    assert rejects(driver)[1:] == [(plain_one, "model_removed")]


def test_an_adapter_removed_while_it_loads_does_no_harm() -> None:
    driver = HandDriver(setup((1,), (MODELS[PART],)), plain())
    driver.arrive(PART, 10)
    driver.succeed_only(StartInstance)
    driver.remove(10)
    driver.succeed_only(AttachAdapter)
    assert not driver.open()


def test_an_adapter_that_loads_makes_nobody_else_wait() -> None:
    driver = HandDriver(setup((1,), (MODELS[LORA],)), plain())
    driver.arrive(LORA, 12)
    driver.succeed_only(StartInstance)
    other = driver.arrive(LORA)
    assert driver.only(Dispatch).request == other


def test_a_failed_attach_rests_and_is_tried_again() -> None:
    driver = HandDriver(setup((1,), (MODELS[PART],)), plain())
    request = driver.arrive(PART, 10)
    driver.succeed_only(StartInstance)
    driver.fail(driver.only(AttachAdapter))
    assert not driver.open()
    while not driver.open():
        driver.tick()
    driver.succeed_only(AttachAdapter)
    assert driver.only(Dispatch).request == request


def test_more_instances_are_asked_for_when_those_that_came_are_not_enough() -> None:
    driver = HandDriver(setup((2,), (MODELS[BIG_PART],)), plain())
    for _ in range(3):
        driver.arrive(BIG_PART)
    driver.succeed_only(StartInstance)
    assert driver.only(StartInstance).instance == 1, "two still wait"
