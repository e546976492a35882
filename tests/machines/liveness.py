"""What must be under way while a request waits, and what must be left when all is over."""

from fleet.cards import pick
from fleet.domain import AdapterId, ArtifactId, ModelSpec, Request
from fleet.holders import Instance, Phase
from fleet.state import State
from tests.machines.driver import HandDriver


def waiting(driver: HandDriver) -> list[Request]:
    return [job.request for job in driver.books.jobs.values() if job.dispatch is None]


def assert_nothing_waits_beside_a_slot(driver: HandDriver, *, blindly: bool) -> None:
    """A ready instance with a free slot serves whoever it has the adapter for.

    A policy that routes `blindly` sends a request where its adapter is still to come.
    """
    for request in waiting(driver):
        if blindly and request.adapter is not None:
            continue
        for instance in serving(driver.controller.state, request):
            adapter = request.adapter
            assert adapter is not None, f"{request.id} waits beside instance {instance.id}"
            assert not instance.has(adapter), f"{request.id} waits beside its adapter {adapter}"


def assert_adapters_come(driver: HandDriver) -> None:
    """Where an adapter could get a slot it is on its way, unless its last load failed."""
    adapters = driver.controller.execution.adapters
    for request in waiting(driver):
        adapter = request.adapter
        if adapter is None or adapters.under_way.get(adapter) or rests(driver, adapter):
            continue
        ready = serving(driver.controller.state, request)
        if any(adapter in instance.adapters for instance in ready):
            continue  # it leaves one of them, which may take it again after that
        for instance in ready:
            settled = instance.adapters.free >= 0  # no detach is under way
            assert not settled or not instance.can_take(adapter), (
                f"nobody attaches {adapter} for {request.id}"
            )


def assert_capacity_is_used(driver: HandDriver, *, spread: bool) -> None:
    """A model that should have more instances has no free cards beside it.

    A policy that `spread`s pipelines puts each stage on a node of its own.
    """
    controller = driver.controller
    for model in {request.model for request in waiting(driver)}:
        serving = controller.state.serving[model]
        wanted = controller.policy.scaling.wanted(model, controller.view)
        missing = wanted - len(serving.ready) - serving.starting
        moving = any(i.inbound for i in serving.ready)  # it holds two slots for a while
        if missing > 0 and not moving and not rests(driver, model):
            assert not fits(controller.state, serving.spec, spread=spread), (
                f"model {model} waits beside cards"
            )


def assert_idle_instances_have_timers(driver: HandDriver) -> None:
    """For keep-alive that ends: what rests will be asked about again."""
    timers = {timer.timer for timer in driver.books.timers}
    for instance in driver.controller.state.instances.values():
        idle = instance.phase is Phase.READY and not instance.load
        if driver.controller.execution.adapters.attaching(instance):
            continue
        if idle or instance.phase is Phase.ASLEEP:
            assert f"idle/{instance.id}" in timers, f"instance {instance.id} idles for ever"


def serving(state: State, request: Request) -> list[Instance]:
    """Ready instances of its model with a free slot."""
    return [i for i in state.serving[request.model].ready if i.load < i.slots]


def rests(driver: HandDriver, artifact: AdapterId | ArtifactId) -> bool:
    """Whether its last load failed and its timer is still to fire."""
    return any(timer.timer == f"retry/{artifact}" for timer in driver.books.timers)


def fits(state: State, model: ModelSpec, *, spread: bool) -> bool:
    left = [list(cards) for cards in state.nodes.free_bytes]
    for _ in range(model.stages):
        found = (pick(spec, left[spec.id], model.need) for spec in state.nodes.specs)
        shard = next((s for s in found if s is not None), None)
        if shard is None:
            return False
        for gpu in range(len(left[shard.node])) if spread else shard.gpus:
            left[shard.node][gpu] -= shard.gpu_bytes
    return True


def assert_over(driver: HandDriver) -> None:
    """No request, no open order, no plan, no pin is left."""
    controller = driver.controller
    assert not driver.books.jobs
    assert not driver.open()
    assert not controller.orders.open
    assert not controller.state.flights
    assert len(controller.execution.runner) == 0
    assert not controller.execution.loadings
    assert not controller.execution.adapters.under_way
    asleep = [i for i in controller.state.instances.values() if i.phase is Phase.ASLEEP]
    pinned = sum(len(i.pinned) for i in asleep)
    pins = [
        e.pins
        for pools in controller.state.pools
        for p in pools.values()
        for e in p.entries.values()
    ]
    assert sum(pins) == pinned, "something holds a copy that nobody reads"


def assert_all_cards_free(driver: HandDriver) -> None:
    state = driver.controller.state
    assert not state.instances
    for spec in state.nodes.specs:
        if state.nodes.alive[spec.id]:
            assert state.nodes.free_bytes[spec.id] == [spec.gpu_bytes] * spec.gpus
