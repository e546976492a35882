"""Victims and targets of a migration against an enumeration of all of them."""

from dataclasses import replace
from math import inf, isclose

from hypothesis import HealthCheck, given, settings
from msgspec import structs

from fleet.commands import By, Migrate, StartInstance
from fleet.domain import NodeId, RequestId, Tier, Whole
from fleet.holders import Phase
from fleet.plans import NOTHING, UNNUMBERED, step_of
from fleet.policy import Clearing
from policies.placement.starts import behind
from policies.room.migration import MigrateVictims
from policies.room.stopping import CheapestRoom, EvictIdle
from tests.policies.bench import Bench, adapter, model, node
from tests.policies.crowds import NEWCOMER, crowds
from tests.policies.duels import Setting, gains, loses, play, replace_fields
from tests.policies.every_way import least_cost_s
from tests.policies.room.settings import (
    IDLE_ONLY,
    beside_idle,
    first_token_s,
    in_the_way,
    longest_gap_s,
)

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
    """Targets side by side, the loads of one target shortest first, then recomputation."""
    clearing = clear(bench)
    if clearing is None:
        return
    view, steps = bench.view, [step.command for step in clearing.plan.steps]
    started = {i: c for i, c in enumerate(steps) if isinstance(c, StartInstance)}
    resume_s: dict[int, float] = {}  # by source
    first_of: dict[int, int | None] = {}
    for move in (c for c in steps if isinstance(c, Migrate)):
        first = first_of[move.source] = step_of(move.target)
        on = view.instance(move.target).node if first is None else started[first].shards[0].node
        each_s = view.resume_s(bench.state.flights[move.request], on)
        resume_s[move.source] = resume_s.get(move.source, 0.0) + each_s
    moved_s = [resume_s[source] for source, first in first_of.items() if first is None]
    loads: dict[NodeId, list[tuple[float, float]]] = {}
    for source, first in first_of.items():
        if first is not None:
            on, tier = started[first].shards[0].node, started[first].sources[0].tier
            load_s = view.estimates.load_s(view.model(started[first].model), view.node(on), tier)
            loads.setdefault(on, []).append((load_s, -resume_s[source]))
    for on, each in loads.items():
        ended_s = view.queue_s(on)
        for load_s, less_s in sorted(each):
            ended_s += load_s
            moved_s.append(ended_s - less_s)
    stop_s = view.estimates.belief(view.node(HERE).kind).stop_s
    expected = view.now + max(moved_s, default=0.0) + stop_s
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
        if (
            room.make(HERE, spec, bench.view) is not None
            and not bench.view.nodes.fits(spec.need)[0]
        ):
            assert room.reach(spec, bench.view)[0]


def busy_node(
    gpus: int, targets: list[int], *, weights: list[int] | None = None, need: int | None = None
) -> Bench:
    """A node whose cards each run one request of a model of its own, and nodes with free cards."""
    weights = weights or [80] * gpus
    crowd = [model(i, slots=1, weight_bytes=w) for i, w in enumerate(weights)]
    newcomer = model(NEWCOMER, Whole(need or gpus))
    nodes = [node(0, gpus), *(node(i, n) for i, n in enumerate(targets, 1))]
    bench = Bench(nodes, [*crowd, newcomer])
    for spec in crowd:
        bench.run(spec.id, 0, 1, prompt=100)
    return bench


def test_migrate_by_hand_meets_a_shortage_of_three_cards_with_three_small_victims() -> None:
    """ServerlessLLM's released planner finds nothing where one victim is not enough."""
    clearing = clear(busy_node(3, [1, 1, 1]))
    assert clearing is not None
    # Each: 1 s start-up + 80 bytes / 10 from the remote store, and 100 tokens * 0.01 s.
    assert isclose(clearing.cost_s, 3 * (9.0 + 1.0))
    assert isclose(clearing.free_at, 9.0 + 1.0 + 0.5)
    starts = [s.command for s in clearing.plan.steps if isinstance(s.command, StartInstance)]
    assert sorted(s.shards[0].node for s in starts) == [1, 2, 3]


def test_a_victim_larger_than_the_shortage_goes_if_it_is_the_only_one() -> None:
    wide, newcomer = model(1, Whole(2), slots=1), model(NEWCOMER, Whole(1))
    bench = Bench([node(0, 2), node(1, 2)], [wide, newcomer])
    bench.run(1, 0, 1)
    clearing = clear(bench)
    assert clearing is not None
    assert clearing.free_bytes == (80, 80)


def test_no_two_victims_are_sent_to_the_same_free_card() -> None:
    assert clear(busy_node(2, [1])) is None
    assert clear(busy_node(2, [1, 1])) is not None


def test_no_two_victims_count_on_the_same_free_slot() -> None:
    bench = Bench([node(0, 2), node(1, 1)], [model(0, slots=2), model(NEWCOMER, Whole(2))])
    bench.run(0, 0, 1)
    bench.run(0, 0, 1)
    bench.run(0, 1, 1)
    assert clear(bench) is None  # one slot for two requests
    elsewhere = Bench([node(0, 2), node(1, 1)], [model(0, slots=2), model(NEWCOMER, Whole(2))])
    elsewhere.run(0, 0, 1)
    elsewhere.run(0, 0, 1)
    elsewhere.run(0, 1, 0)
    assert clear(elsewhere) is not None


def test_a_load_behind_another_waits_and_the_shorter_goes_first() -> None:
    bench = busy_node(2, [2], weights=[200, 40])
    bench.state.nodes.loading_until[1] = 3.0
    clearing = clear(bench)
    assert clearing is not None
    # q 3; the small one loads 1 + 4 and resumes 1: 9. The large one after it, 1 + 20 and 1: 30.
    assert isclose(clearing.cost_s, 9.0 + 30.0)
    assert isclose(clearing.free_at, 30.0 + 0.5)
    starts = [s.command for s in clearing.plan.steps if isinstance(s.command, StartInstance)]
    assert {s.model for s in starts} == {0, 1}


def test_a_ready_instance_with_a_free_slot_saves_the_load() -> None:
    bench = Bench([node(0, 1), node(1, 2)], [model(0, slots=2), model(NEWCOMER)])
    bench.run(0, 0, 1, prompt=100)
    other = bench.run(0, 1, 0)
    assert other is not None
    clearing = clear(bench)
    assert clearing is not None
    moves = [s.command for s in clearing.plan.steps if isinstance(s.command, Migrate)]
    assert [m.target for m in moves] == [other.id]
    assert isclose(clearing.cost_s, 1.0)


def test_running_tokens_count_in_the_time_to_resume() -> None:
    """a * (t_in + t_out), t_out = d / t: 30 s at 0.1 s a token are 300 tokens; 0.01 s each."""
    bench = busy_node(1, [1]).at(30.0)
    clearing = clear(bench)
    assert clearing is not None
    assert isclose(clearing.cost_s, 9.0 + 0.01 * (100 + 300))


def test_what_runs_with_an_adapter_is_not_moved() -> None:
    base = model(0, adapters=1)
    bench = Bench([node(0), node(1)], [base, model(NEWCOMER)], adapters=[adapter(20, 0)])
    instance = bench.run(0, 0)
    bench.aim.at = instance
    bench.finish(bench.ask(0, adapter=20))
    assert instance is not None
    assert instance.load == 1
    assert clear(bench) is None


def test_an_instance_that_awaits_a_migration_is_no_victim() -> None:
    bench = Bench([node(0), node(1)], [model(0), model(NEWCOMER)])
    target, source = bench.run(0, 0), bench.run(0, 1, 1)
    assert target is not None
    assert source is not None
    move = Migrate(UNNUMBERED, RequestId(0), source.id, target.id, By.TOKENS)
    bench.begin(NOTHING.then(move, 0.0))
    assert clear(bench) is None


def test_kv_blocks_move_where_that_was_asked_for() -> None:
    clearing = MigrateVictims("kv").make(HERE, model(NEWCOMER), busy_node(1, [1]).view)
    assert clearing is not None
    moves = [s.command for s in clearing.plan.steps if isinstance(s.command, Migrate)]
    assert [m.by for m in moves] == [By.KV]


def test_two_loads_on_a_target_with_little_cache_keep_their_sources() -> None:
    """The first load's copy in memory must not push out what the second load reads."""
    crowd = [model(0, slots=1, weight_bytes=4), model(1, slots=1), model(NEWCOMER, Whole(2))]
    nodes = [node(0, 2), node(1, 2, cache_bytes=80)]
    bench = Bench(nodes, crowd, resident=[(1, 1, Tier.DRAM)])
    bench.run(0, 0, 1)
    bench.run(1, 0, 1)
    clearing = clear(bench)
    assert clearing is not None
    spec = bench.need(NEWCOMER).model
    bench.finish(bench.begin(behind(clearing, HERE, spec, clearing.free_at, bench.view)))
    assert len(bench.state.instances) == 3


def test_migrate_gains_the_node_where_the_newcomer_lies() -> None:
    ours, _ = gains(in_the_way(), beside_idle(MigrateVictims()), IDLE_ONLY, first_token_s, by=5.0)
    assert ours.commands["Migrate"] == 1


def test_migrate_loses_smoothness_for_those_that_are_moved() -> None:
    """The last round of tokens is recomputed in a pause; who is left alone has none."""
    loses(in_the_way(), beside_idle(MigrateVictims()), IDLE_ONLY, longest_gap_s, by=1.5)


# Tokens in rounds (ServerlessLLM) against blocks in stages (Llumnix).

TOKENS, KV = beside_idle(MigrateVictims("tokens")), beside_idle(MigrateVictims("kv"))


def wired(peer_bytes_per_s: float, prompt_tokens: int) -> Setting:
    """A victim with so long a prompt, nodes with so fast a network between them.

    A token is recomputed in 0.2 ms (2 FLOP a parameter, 13 GB in FP16, 60 TFLOP/s) and its 0.5 MB
    of KV cache take 0.4 ms over 10 Gbit/s and 0.02 ms over 200 Gbit/s.
    """
    setting = in_the_way()
    victim, newcomer = setting.arrivals
    request = structs.replace(victim.request, prompt_tokens=prompt_tokens)
    links = structs.replace(setting.nodes[0].links, peer_bytes_per_s=peer_bytes_per_s)
    nodes = tuple(replace_fields(n, {"links": links}) for n in setting.nodes)
    victim = structs.replace(victim, request=request)
    return replace(setting, nodes=nodes, arrivals=(victim, newcomer))


def test_tokens_win_over_a_slow_network_and_the_longer_the_context_the_more() -> None:
    """10 Gbit/s: a long cache is on its way for seconds more than its recomputation takes."""
    won_s = []
    for prompt_tokens in (500, 4000):
        slow = wired(1.25e9, prompt_tokens)
        ours, theirs = gains(slow, TOKENS, KV, first_token_s)
        won_s.append(first_token_s(theirs) - first_token_s(ours))
    assert won_s[1] > 3 * won_s[0]


def test_blocks_win_over_a_fast_network_and_the_longer_the_context_the_more() -> None:
    """200 Gbit/s: nothing is computed twice, and the pause is a short copy."""
    won_s = []
    for prompt_tokens in (500, 4000):
        fast = wired(25e9, prompt_tokens)
        ours, theirs = gains(fast, KV, TOKENS, first_token_s)
        won_s.append(first_token_s(theirs) - first_token_s(ours))
        assert longest_gap_s(ours) < longest_gap_s(theirs)
    assert won_s[1] > 3 * won_s[0]


def test_tokens_are_a_thousandth_of_the_bytes_of_their_blocks() -> None:
    """4 bytes a token against 500,000."""
    moved = [play(wired(1.25e9, 100), room).summary.migrations for room in (TOKENS, KV)]
    assert [m.moved for m in moved] == [1, 1]
    assert moved[0].bytes_moved * 1000 < moved[1].bytes_moved
