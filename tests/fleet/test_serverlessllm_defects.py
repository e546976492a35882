"""Defects found in released ServerlessLLM (0.8), by number: ours does not have them.

Each test says the defect in plain words and drives the whole controller, with the recipe that
follows the paper, by events alone. The E-numbers are those of a study of its scheduler, router and
autoscaler, as read and run at that version.
"""

from msgspec.structs import replace

from fleet import events as e
from fleet.commands import (
    Cancel,
    Command,
    Dispatch,
    Drop,
    Migrate,
    Reject,
    StartInstance,
    StopInstance,
)
from fleet.domain import ArtifactId, InstanceId, ModelSpec, NodeId, Place, Tier, Whole
from policies.catalog import build
from tests.machines.driver import HandDriver
from tests.machines.fleets import model, node, setup

NEWCOMER = model(9, Whole(2), weight_bytes=90)
SMALL = tuple(model(number, Whole(1), slots=1) for number in range(4))


def driver_for(
    gpus: tuple[int, ...],
    models: tuple[ModelSpec, ...],
    lying: tuple[tuple[int, int], ...] = (),
    recipe: str = "serverlessllm",
    dram_bytes: int = 400,
) -> HandDriver:
    """`lying`: (model, node) pairs that are in memory from the start."""
    there = tuple((ArtifactId(m), Place(NodeId(n), Tier.DRAM)) for m, n in lying)
    start = replace(setup(gpus, models, dram_bytes=dram_bytes), resident=there)
    return HandDriver(start, build(recipe))


def given(driver: HandDriver, kind: type[Command]) -> list[Command]:
    return [o for _, commands in driver.history for o in commands if type(o) is kind]


def started(driver: HandDriver) -> list[tuple[int, int]]:
    """(model, node) of every start so far."""
    starts = [o for o in given(driver, StartInstance) if isinstance(o, StartInstance)]
    return [(o.model, o.shards[0].node) for o in starts]


def run(driver: HandDriver, number: int) -> InstanceId:
    """A request of a model, brought as far as running; returns where."""
    request = driver.arrive(number)
    while not any(isinstance(o, Dispatch) and o.request == request for o in driver.open()):
        driver.succeed(next(o for o in driver.open() if not isinstance(o, Dispatch)))
    return next(
        o.instance for o in driver.open() if isinstance(o, Dispatch) and o.request == request
    )


def finish_all(driver: HandDriver) -> None:
    """Answer everything as one hopes until nothing is open."""
    while driver.open():
        driver.succeed(driver.open()[0])


# The router and the autoscaler


def test_models_are_deployed_and_served_with_live_migration_switched_on() -> None:
    """E1: with migration enabled every deployment failed; its router took other arguments."""
    driver = driver_for((1,), SMALL[:1])
    driver.add(model(50, Whole(1)))
    request = driver.arrive(50)
    finish_all(driver)
    assert driver.books.ended[request] == 1
    assert not given(driver, Reject)


def test_warm_requests_that_come_together_are_dispatched_together() -> None:
    """E2: a loop that slept served one warm request a second, so five waited up to 5 s."""
    driver = driver_for((1,), (model(0, Whole(1), slots=8),))
    run(driver, 0)
    for _ in range(5):
        driver.arrive(0)
        assert [type(o) for o in driver.history[-1][1]] == [Dispatch]
    assert driver.now == 0.0


def test_a_request_that_fails_gives_its_slot_back() -> None:
    """E3: an exception in the engine left its slot and the count of requests taken for ever."""
    driver = driver_for((1,), SMALL[:1])
    instance = run(driver, 0)
    failing = driver.only(Dispatch)
    driver.tell(e.RequestFailed(driver.now, failing.id, failing.request, "engine_error"))
    assert driver.controller.state.instances[instance].load == 0
    following = driver.arrive(0)
    assert driver.only(Dispatch).request == following
    assert len(started(driver)) == 1


def test_the_slots_of_one_instance_do_not_hold_up_another() -> None:
    """E12: all instances shared one lock, made once with the class."""
    driver = driver_for((2,), SMALL[:1])
    first = run(driver, 0)
    second = run(driver, 0)
    assert first != second
    instances = driver.controller.state.instances
    assert [len(i.running) for i in instances.values()] == [1, 1]
    assert instances[first].running.keys().isdisjoint(instances[second].running)


def test_a_model_is_taken_away_while_requests_wait_for_it() -> None:
    """E12b: shutting a model down crashed when its queue was not empty."""
    driver = driver_for((1,), SMALL[:1])
    run(driver, 0)
    waiting = [driver.arrive(0) for _ in range(3)]
    driver.remove(0)
    assert [o.request for o in given(driver, Reject) if isinstance(o, Reject)] == waiting
    finish_all(driver)
    assert not driver.controller.state.instances


def test_a_burst_starts_all_its_instances_in_one_event() -> None:
    """E16: at most one instance was created a second."""
    driver = driver_for((4, 4), (model(0, Whole(1), slots=2),))
    for _ in range(16):
        driver.arrive(0)
    assert len(started(driver)) == 8
    assert driver.now == 0.0


def test_a_start_that_failed_is_counted_no_longer_and_is_tried_again() -> None:
    """E17: a failed start stayed "starting", so nobody tried again and requests hung."""
    driver = driver_for((1,), SMALL[:1])
    request = driver.arrive(0)
    driver.fail(driver.only(StartInstance))
    assert driver.controller.view.starting(SMALL[0].id) == 0
    driver.tick()
    finish_all(driver)
    assert driver.books.ended[request] == 1


def test_only_idle_instances_are_stopped() -> None:
    """Without a number: scaling down took the newest instance, busy or not."""
    driver = driver_for((2,), SMALL[:1])
    idle, busy = run(driver, 0), run(driver, 0)
    driver.succeed(next(o for o in driver.open() if isinstance(o, Dispatch) and o.instance == idle))
    while not given(driver, StopInstance):
        driver.tick()
    assert driver.only(StopInstance).instance == idle
    assert busy in driver.controller.state.instances


# The scheduler


def test_several_requests_for_one_model_are_placed_in_one_go() -> None:
    """E4: two requests for one model in a tick made an index stale and ended the control loop."""
    driver = driver_for((1, 1, 1), SMALL[:2])
    requests = [driver.arrive(number) for number in (0, 0, 1, 0, 0)]
    assert started(driver) == [(0, 0), (0, 1), (1, 2)]
    finish_all(driver)
    assert all(driver.books.ended[request] == 1 for request in requests)


def test_who_came_first_is_served_first_across_models() -> None:
    """E5: requests were sorted by their place in their model's queue: B, A, A became A, A, B."""
    driver = driver_for((1,), SMALL[:3])
    run(driver, 2)
    order = []
    for number in (1, 0, 0):
        driver.wait(1.0)
        order.append(driver.arrive(number))
    finish_all(driver)
    dispatched = [o.request for o in given(driver, Dispatch) if isinstance(o, Dispatch)]
    assert dispatched[1:] == order


def test_a_shortage_of_two_cards_is_met_by_two_victims_of_one() -> None:
    """E8: a shortage of two cards or more raised inside the choice, and counted as "no plan"."""
    driver = driver_for((2, 1, 1), (*SMALL[:2], NEWCOMER), ((0, 0), (1, 0), (9, 0)))
    run(driver, 0)
    run(driver, 1)
    newcomer = driver.arrive(9)
    assert {o.instance for o in driver.open() if isinstance(o, StartInstance)} == {2, 3}
    while not driver.books.ended[newcomer]:
        pending = [o for o in driver.open() if not isinstance(o, Dispatch)]
        driver.succeed(pending[0] if pending else driver.open()[-1])
    assert len(given(driver, Migrate)) == 2
    assert (9, 0) in started(driver)


def test_a_victim_larger_than_the_shortage_may_go() -> None:
    """E9: an instance with more cards than were missing was never considered."""
    wide = model(8, Whole(2), weight_bytes=90)
    small = SMALL[0]
    driver = driver_for((2, 2), (wide, small), ((8, 0), (8, 1), (0, 0)))
    assert run(driver, 8) == 0
    driver.arrive(0)
    starts = [o for o in driver.open() if isinstance(o, StartInstance)]
    assert [(o.model, o.shards[0].node) for o in starts] == [(8, 1)]
    driver.succeed_only(StartInstance)
    driver.succeed_only(Migrate)
    driver.succeed_only(StopInstance)
    assert started(driver)[-1] == (0, 0)


def test_without_a_target_the_request_waits_and_is_served_later() -> None:
    """E9b: a victim with nowhere to go raised, and the error was swallowed with the request."""
    driver = driver_for((2,), (*SMALL[:2], NEWCOMER))
    run(driver, 0)
    run(driver, 1)
    newcomer = driver.arrive(9)
    assert not given(driver, Migrate)
    finish_all(driver)
    assert driver.books.ended[newcomer] == 1


def test_after_a_migration_each_node_is_charged_what_it_holds() -> None:
    """E15: the victim's target was charged the newcomer's cards: free cards were lost for ever."""
    driver = driver_for((2, 2), (*SMALL[:1], NEWCOMER), ((0, 0), (0, 1), (9, 0)))
    run(driver, 0)
    driver.arrive(9)
    for kind in (StartInstance, Migrate, StopInstance, StartInstance):
        driver.succeed_only(kind)
    assert list(driver.controller.state.nodes.free_gpus) == [0, 1]


def test_a_failed_migration_takes_nothing_from_the_node() -> None:
    """E19: the node was given to the newcomer all the same, which left minus one card free."""
    driver = driver_for((2, 2), (*SMALL[:1], NEWCOMER), ((0, 0), (0, 1), (9, 0)))
    victim = run(driver, 0)
    newcomer = driver.arrive(9)
    driver.succeed_only(StartInstance)
    driver.fail(driver.only(Migrate))
    state = driver.controller.state
    assert len(state.instances[victim].running) == 1, "it goes on where it was"
    assert state.nodes.free_gpus[0] == 1
    assert not any(isinstance(o, StartInstance | StopInstance) for o in driver.open())
    while not driver.books.ended[newcomer]:
        driver.succeed(driver.open()[0]) if driver.open() else driver.tick()
    assert not driver.controller.state.waiting


def test_two_victims_are_never_sent_to_the_same_free_card() -> None:
    """Without a number: the free cards of targets were not counted down between victims."""
    driver = driver_for((2, 1), (*SMALL[:2], NEWCOMER), ((0, 0), (1, 0), (9, 0)))
    run(driver, 0)
    run(driver, 1)
    driver.arrive(9)
    assert not given(driver, Migrate)
    assert len(started(driver)) == 2, "one free card cannot take both"


def test_an_artifact_in_use_is_not_the_oldest_whenever_it_came() -> None:
    """Without a number: "LRU" stamped an entry when it was loaded only, so it was FIFO."""
    driver = driver_for((1,), SMALL[:3], dram_bytes=100)
    for number in (0, 1, 0, 2):
        run(driver, number)
        finish_all(driver)
        while driver.controller.state.instances:
            driver.tick()
            finish_all(driver)
    drops = [o for o in given(driver, Drop) if isinstance(o, Drop)]
    assert [o.artifact for o in drops if o.place.tier is Tier.DRAM] == [1]


def test_a_model_larger_than_the_memory_of_a_node_is_served_all_the_same() -> None:
    """Without a number: a model larger than the pool blocked the queue of loads for ever."""
    driver = driver_for((2,), (*SMALL[:1], NEWCOMER), dram_bytes=60)
    large, small = driver.arrive(9), driver.arrive(0)
    finish_all(driver)
    assert driver.books.ended[large] == driver.books.ended[small] == 1


def test_the_memory_of_a_node_that_joins_later_is_used() -> None:
    """Without a number: a node that joined late had a pool of one byte."""
    driver = driver_for((1,), SMALL[:2])
    run(driver, 0)
    driver.join(node(1, 1))
    run(driver, 1)
    assert driver.controller.state.pool(NodeId(1), Tier.DRAM).has(SMALL[1].id)


def test_a_node_that_is_lost_is_given_no_more_work() -> None:
    """Without a number: nodes were only ever added to the scheduler's list."""
    driver = driver_for((1, 1), SMALL[:2])
    run(driver, 0)
    driver.lose_node(NodeId(0))
    assert started(driver)[-1] == (0, 1)
    driver.lose_node(NodeId(1))
    driver.arrive(1)
    assert not driver.open()


def test_a_client_that_leaves_frees_its_slot() -> None:
    """Without a number: there was no cancellation; the engine went on to the end."""
    driver = driver_for((1,), SMALL[:1])
    run(driver, 0)
    waiting = driver.arrive(0)
    driver.abandon(driver.only(Dispatch).request)
    driver.succeed_only(Cancel)
    assert driver.only(Dispatch).request == waiting
