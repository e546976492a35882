"""How an adapter gets a slot of an instance, and when it is not even tried."""

from fleet.commands import AttachAdapter, DetachAdapter, Dispatch, StartInstance
from fleet.domain import ArtifactId, InstanceId
from tests.machines.driver import HandDriver
from tests.machines.fleets import ADAPTERS, MODELS, setup
from tests.machines.plain import plain
from tests.policies.bench import Bench, adapter, model, node

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


def test_a_dispatch_is_a_use_of_the_adapter_it_needs() -> None:
    """Else the slot used longest ago would be the one attached longest ago."""
    bench = Bench([node(0)], [model(0, slots=4, adapters=2)], adapters=[adapter(20), adapter(21)])
    bench.aim.at = bench.run(0, 0)
    for number in (20, 21):
        bench.finish(bench.at(bench.state.now + 1.0).ask(0, adapter=number))
    assert bench.aim.at is not None
    pool = bench.aim.at.adapters
    assert [int(a) for a in pool.entries] == [20, 21]
    bench.at(10.0).ask(0, adapter=20)
    assert [int(a) for a in pool.entries] == [21, 20]
    used = pool.entries[ArtifactId(20)]
    assert (used.uses, used.used_at, used.cost_s) == (2, 10.0, 0.1)  # it came, and this
