"""Victims and targets of a migration against an enumeration of all of them."""

from math import inf, isclose

from hypothesis import HealthCheck, given, settings

from fleet.commands import Migrate, StartInstance, StopInstance
from fleet.domain import NodeId, Tier, Whole
from fleet.holders import Phase
from fleet.plans import step_of
from fleet.policy import Clearing
from policies.migration import MigrateVictims
from policies.placement import behind
from policies.room import CheapestRoom, EvictIdle
from tests.policies.bench import Bench, model, node, part
from tests.policies.crowds import NEWCOMER, crowds
from tests.policies.every_way import least_cost_s

MODERATE = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
HERE = NodeId(0)


def clear(bench: Bench, model: int = NEWCOMER) -> Clearing | None:
    return MigrateVictims().make(HERE, bench.need(model).model, bench.view)


@settings(MODERATE)
@given(crowds())
def test_the_victims_and_targets_cost_as_little_as_any_would(bench: Bench) -> None:
    least_s = least_cost_s(HERE, bench.need(NEWCOMER).model, bench.view, migrating=True)
    clearing = clear(bench)
    if clearing is None:
        assert least_s == inf
    else:
        assert isclose(clearing.cost_s, least_s, abs_tol=1e-9)


@settings(MODERATE)
@given(crowds())
def test_a_clearing_is_legal_and_ends_with_the_newcomer_on_its_cards(bench: Bench) -> None:
    clearing = clear(bench)
    if clearing is None:
        return
    spec = bench.need(NEWCOMER).model
    bench.finish(bench.begin(behind(clearing, HERE, spec, clearing.free_at, bench.view)))
    newcomer = next(i for i in bench.state.instances.values() if i.model.id == NEWCOMER)
    assert newcomer.phase is Phase.READY
    assert all(i.phase is Phase.READY for i in bench.state.instances.values())
    assert sum(len(i.running) for i in bench.state.instances.values()) == bench.requests


@settings(MODERATE)
@given(crowds())
def test_a_node_is_free_when_its_last_request_has_moved(bench: Bench) -> None:
    """Targets side by side, loads of one target in the plan's order, then recomputation."""
    clearing = clear(bench)
    if clearing is None:
        return
    view = bench.view
    loaded_s: dict[NodeId, float] = {}
    ready_s: dict[int, float] = {}
    moved_s: dict[int, float] = {}
    for i, step in enumerate(clearing.plan.steps):
        command = step.command
        if isinstance(command, StartInstance):
            on = command.shards[0].node
            spec = view.node(on)
            load_s = view.estimates.load_s(
                view.model(command.model), spec, command.sources[0].tier
            )
            loaded_s[on] = loaded_s.get(on, view.queue_s(on)) + load_s
            ready_s[i] = loaded_s[on]
        elif isinstance(command, Migrate):
            flight = bench.state.flights[command.request]
            first = step_of(command.target)
            on = (
                view.instance(command.target).node
                if first is None
                else clearing.plan.steps[first].command.shards[0].node  # type: ignore[attr-defined]
            )
            begin_s = 0.0 if first is None else ready_s[first]
            before_s = moved_s.get(command.source, begin_s)
            moved_s[command.source] = before_s + view.resume_s(flight, on)
    stop_s = view.estimates.belief(view.node(HERE).kind).stop_s
    expected = view.now + max(moved_s.values(), default=0.0) + stop_s
    assert isclose(clearing.free_at, expected, abs_tol=1e-9)


@settings(MODERATE)
@given(crowds())
def test_idle_instances_are_chosen_as_cheaply_as_any_set_of_them(bench: Bench) -> None:
    spec = bench.need(NEWCOMER).model
    least_s = least_cost_s(HERE, spec, bench.view, migrating=False)
    clearing = EvictIdle().make(HERE, spec, bench.view)
    if clearing is None:
        assert least_s == inf
        return
    assert isclose(clearing.cost_s, least_s, abs_tol=1e-9)
    bench.finish(bench.begin(behind(clearing, HERE, spec, clearing.free_at, bench.view)))
    assert any(i.model.id == NEWCOMER for i in bench.state.instances.values())


@settings(MODERATE)
@given(crowds())
def test_a_node_that_can_be_cleared_is_within_reach(bench: Bench) -> None:
    spec = bench.need(NEWCOMER).model
    for room in (EvictIdle(), MigrateVictims(), CheapestRoom()):
        if room.make(HERE, spec, bench.view) is not None and not bench.view.nodes.fits(spec.need)[0]:
            assert room.reach(spec, bench.view)[0]
