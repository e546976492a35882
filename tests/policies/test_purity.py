"""A question changes nothing and has one answer: for every policy of the catalogue."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.commands import Sleep
from fleet.domain import (
    AdapterId,
    ArtifactId,
    ModelId,
    ModelSpec,
    NodeId,
    Request,
    RequestId,
    Tier,
    Whole,
)
from fleet.estimates import Estimation, load_of
from fleet.holders import Phase
from fleet.plans import NOTHING, UNNUMBERED, Plan
from fleet.policy import Room, Upkeep
from fleet.view import View
from policies.catalog import make
from policies.library import CATALOG
from policies.room.stopping import CheapestRoom
from tests.policies.bench import Bench, adapter, model, node, part
from tests.policies.pictures import picture

EVERY = [(question, name) for question, named in CATALOG.items() for name in named]
SPECS = (
    model(0, slots=3, adapters=2),
    model(1, Whole(2), weight_bytes=160),
    model(2, part(30), weight_bytes=20),
    model(3, stages=2),
    model(4, part(70), weight_bytes=60),
)
LORAS = (adapter(20, 0), adapter(21, 0), adapter(22, 0))


@st.composite
def worlds(draw: st.DrawFn) -> Bench:
    """Ready, busy and sleeping instances, attached adapters, waiting requests, small caches."""
    nodes = [node(n, draw(st.integers(1, 3)), cache_bytes=420) for n in range(3)]
    resident = [(int(s.id), draw(st.integers(0, 2)), Tier.SSD) for s in SPECS]
    bench = Bench(nodes, SPECS, adapters=LORAS, resident=resident)
    for _ in range(draw(st.integers(1, 6))):
        number = draw(st.sampled_from([0, 1, 2, 4]))
        bench.aim.at = bench.run(number, draw(st.integers(0, 2)), draw(st.integers(0, 1)))
        if number == 0 and bench.aim.at is not None and draw(st.booleans()):
            bench.finish(bench.ask(0, adapter=draw(st.sampled_from([20, 21, 22]))))
    bench.aim.at = None
    idle = [i for i in bench.state.instances.values() if not i.load]
    sleeps: bool = draw(st.booleans())
    if idle and sleeps:
        bench.finish(bench.begin(NOTHING.then(Sleep(UNNUMBERED, idle[0].id, 1), 0.0)))
    for _ in range(draw(st.integers(0, 4))):
        number = draw(st.integers(0, 4))
        bench.ask(number, adapter=20 if number == 0 and draw(st.booleans()) else None)
    return bench.at(bench.state.now + draw(st.sampled_from([0.0, 3.0, 40.0])))


def questions(question: str, policy: Any, bench: Bench) -> list[Callable[[], Any]]:
    """Everything that could be asked of the policy in this world."""
    view, state = bench.view, bench.state
    requests = [
        Request(RequestId(900), ModelId(ArtifactId(m)), lora, state.now, 10, 100)
        for m, lora in ((0, None), (0, AdapterId(ArtifactId(20))), (2, None))
    ]
    needs = [bench.need(int(s.id)) for s in SPECS]
    pools = [pool for each in state.pools for pool in each.values()]
    pools += [i.adapters for i in state.instances.values()]
    idle = [
        i for i in state.instances.values() if not i.load and i.phase in (Phase.READY, Phase.ASLEEP)
    ]
    single = [s for s in SPECS if s.stages == 1]
    match question:
        case "admission":
            return [partial(policy.admit, r, view) for r in requests]
        case "ordering":
            return [partial(policy.next, s.lanes, view) for s in state.serving.values()]
        case "arbitration":
            return [partial(policy.next, state.needs, view)]
        case "routing":
            return [partial(policy.route, r, view) for r in requests]
        case "scaling":
            return [partial(policy.wanted, s.id, view) for s in SPECS]
        case "placement":
            return [partial(policy.place, n, view, CheapestRoom()) for n in needs]
        case "room":
            made = [partial(policy.make, NodeId(n), s, view) for n in range(3) for s in single]
            return [*made, *(partial(reached, policy, s, view) for s in SPECS)]
        case "retention":
            chosen = [partial(policy.victims, p, n, view) for p in pools for n in (1, 100)]
            tiers = (Tier.SSD, Tier.DRAM)
            return [*chosen, *(partial(policy.keeps, s.id, t, view) for s in SPECS for t in tiers)]
        case "estimation":
            return [partial(estimated, policy, s, view) for s in SPECS]
        case "keep_alive":
            return [partial(policy.rest, i, view) for i in idle]
        case _:
            return [partial(tended, policy, view)]


def reached(policy: Room, spec: ModelSpec, view: View) -> list[bool]:
    return [bool(x) for x in policy.reach(spec, view)]


def estimated(policy: Estimation, spec: ModelSpec, view: View) -> list[float]:
    node = view.node(NodeId(0))
    belief = view.estimates.belief(node.kind)
    of = [policy.load_s(load_of(spec, tier, 1), node, belief) for tier in (Tier.SSD, Tier.DRAM)]
    attach_s = [policy.attach_s(view.adapter(a.id), node, Tier.SSD, belief) for a in LORAS]
    begin_at, until, loads = view.now, view.now + 1.0, 1.0
    return [*of, *attach_s, float(policy.ready_at(of[0], begin_at, until, loads))]


def tended(policy: Upkeep, view: View) -> list[Plan]:
    return list(policy.tend(view))


@pytest.mark.parametrize(("question", "name"), EVERY)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(bench=worlds())
def test_a_question_changes_nothing_and_has_one_answer(
    question: str, name: str, bench: Bench
) -> None:
    policy = make(question, name)
    # A policy's own state may move on as it answers; chance is handed in. Both are of the question.
    twin = shared_but_for(policy, bench)
    before = picture(bench.controller)
    both = zip(questions(question, policy, bench), questions(question, twin, bench), strict=True)
    for ask, again in both:
        streams = copy.deepcopy(bench.view._taken)
        first = ask()
        bench.view._taken = streams
        assert again() == first
        assert picture(bench.controller) == before


def shared_but_for(policy: Any, bench: Bench) -> Any:
    """A copy of the policy and its state, over the same fleet."""
    memo: dict[int, Any] = {}
    for pool in [p for pools in bench.state.pools for p in pools.values()]:
        memo[id(pool)] = pool
    return copy.deepcopy(policy, memo)


@given(bench=worlds())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_use_moves_nothing_but_the_mark_of_its_entry(bench: Bench) -> None:
    for name in CATALOG["retention"]:
        policy = make("retention", name)
        for pool in bench.state.pools[0].values():
            for entry in pool.entries.values():
                before, score = picture(bench.controller), entry.score
                policy.used(pool, entry, bench.view)
                entry.score = score
                assert picture(bench.controller) == before
