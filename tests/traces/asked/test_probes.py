"""Watched policies answer as the watched ones would, whatever they are."""

import pytest

from fleet.controller import Controller
from fleet.journal import Header, decode, encode, encode_header, replay
from fleet.policy import parts, waived
from policies.catalog import build, resolve
from policies.library import RECIPES
from sim.faults import FaultRates
from tests.journaled import arrivals
from tests.sim.worlds import Run, adapter, arrival, model, node, setup, world
from tests.traces.explained import explained, played
from traces.asked.probes import Log, watched

FAULTS = FaultRates(engine_crash_per_instance_hour=60.0, load_failure_probability=0.1)
START = setup(
    [node(i, 2 + i % 2) for i in range(3)],
    [model(i, weight_bytes=20, adapters=2) for i in range(5)],
    [adapter(10, 2), adapter(11, 2)],
)


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_a_watched_policy_gives_the_same_commands(recipe: str) -> None:
    run = Run(START, recipe, world(FAULTS)).play(arrivals(4, 80))
    header = Header(START, resolve(recipe))
    lines = [encode_header(header), *(encode(event, commands) for event, commands in run.said)]
    log = Log(frozenset(spec.id for spec in START.models), frozenset(range(80)))
    log.active = True
    controller = Controller(START, watched(build(recipe), log))
    assert replay(decode(lines)[1], controller) is None
    assert log.placements
    assert log.routed


def test_what_the_parts_of_a_policy_want_is_still_found() -> None:
    policy = build("serverlessllm")
    log = Log(frozenset(), frozenset())
    behind = watched(policy, log)
    assert waived(behind) == waived(policy)
    kinds = [type(part) for part in parts(behind)]
    assert all(kinds.count(type(part)) >= 1 for part in parts(policy))


def test_nothing_is_kept_of_models_out_of_focus() -> None:
    log = Log(frozenset({START.models[0].id}), frozenset())
    log.active = True
    run = Run(START, "serverlessllm", world()).play(arrivals(4, 40))
    controller = Controller(START, watched(build("serverlessllm"), log))
    for event, _ in run.said:
        controller.handle(event)
    assert {placement.model for placement in log.placements} == {"m0"}
    assert not log.routed


def test_the_same_no_again_is_counted_once() -> None:
    start = setup([node(0, 1)], [model(0), model(1)])
    several = [arrival(i, 2.0 * i, 40) for i in range(3)]
    entries = played(start, "static", [*several, arrival(3, 7.0, model=1)])
    one = explained(start, "static", entries)[3]
    assert one.refusals
    assert sum(found.times for found in one.refusals) >= len(one.refusals)
    assert all(found.until >= found.at for found in one.refusals)
