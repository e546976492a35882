"""How an adapter gets a slot of an instance, and when it is not even tried."""

from fleet.commands import AttachAdapter, DetachAdapter, Dispatch, StartInstance
from fleet.domain import InstanceId
from tests.machines.driver import HandDriver
from tests.machines.fleets import ADAPTERS, MODELS, setup
from tests.machines.plain import plain

PART = 2
FIRST, SECOND = ADAPTERS[0].id, ADAPTERS[1].id


def two_ready() -> HandDriver:
    """Two instances with one adapter slot each; nothing is attached."""
    driver = HandDriver(setup((2,), (MODELS[PART],)), plain())
    for _ in range(3):
        driver.arrive(PART)
    while any(isinstance(o, StartInstance) for o in driver.open()):
        driver.succeed(next(o for o in driver.open() if isinstance(o, StartInstance)))
    return driver


def kinds(driver: HandDriver, instance: int, adapter: int) -> list[type] | None:
    """The commands of the plan that would attach it there."""
    adapters = driver.controller.execution.adapters
    found = driver.controller.state.instances[InstanceId(instance)]
    plan = adapters.plan(found, ADAPTERS[0].id if adapter == FIRST else SECOND)
    return None if plan is None else [type(step.command) for step in plan.steps]


def test_a_free_slot_takes_an_adapter_at_once() -> None:
    assert kinds(two_ready(), 0, FIRST) == [AttachAdapter]


def test_an_adapter_on_its_way_to_one_instance_is_not_loaded_into_another() -> None:
    driver = two_ready()
    driver.arrive(PART, FIRST)
    attach = driver.only(AttachAdapter)
    assert kinds(driver, 1 - attach.instance, FIRST) is None
    driver.succeed(attach)
    assert kinds(driver, 1 - attach.instance, FIRST) == [AttachAdapter]


def test_an_adapter_whose_load_failed_rests() -> None:
    driver = two_ready()
    driver.arrive(PART, FIRST)
    driver.fail(driver.only(AttachAdapter))
    assert kinds(driver, 0, FIRST) is None
    assert kinds(driver, 1, FIRST) is None
    assert kinds(driver, 0, SECOND) == [AttachAdapter]


def test_the_adapter_of_a_running_request_keeps_its_slot() -> None:
    driver = two_ready()
    driver.arrive(PART, FIRST)
    attach = driver.only(AttachAdapter)
    driver.succeed(attach)
    assert kinds(driver, attach.instance, SECOND) is None
    running = next(
        o
        for o in driver.open()
        if isinstance(o, Dispatch)
        and o.instance == attach.instance
        and driver.books.jobs[o.request].request.adapter == FIRST
    )
    driver.succeed(running)
    assert kinds(driver, attach.instance, SECOND) == [DetachAdapter, AttachAdapter]


def test_an_instance_is_attaching_until_the_adapter_has_come_or_failed() -> None:
    driver = two_ready()
    adapters = driver.controller.execution.adapters
    driver.arrive(PART, FIRST)
    attach = driver.only(AttachAdapter)
    instance = driver.controller.state.instances[attach.instance]
    assert adapters.attaching(instance)
    driver.succeed(attach)
    assert not adapters.attaching(instance)
    assert not adapters.under_way
