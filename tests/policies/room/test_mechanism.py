"""The cheapest mechanism: against an enumeration, by hand, and against each mechanism alone."""

from collections.abc import Iterator
from math import inf, isclose

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec import structs

from fleet.commands import By, Keep, Migrate, Preempt, StopInstance
from fleet.domain import ModelSpec, NodeId, Tier, Whole
from fleet.holders import Instance, Phase
from fleet.policy import Clearing, Policy, Room
from policies.placement.starts import behind
from policies.room.clearing import clearable
from policies.room.departures import Departure, Departures
from policies.room.draining import DrainBusy
from policies.room.mechanism import CheapestMechanism, time_left_s
from policies.room.migration import MigrateVictims
from policies.room.stopping import EvictIdle, PreemptVictims
from policies.room.targets import Targets
from tests.policies.bench import Bench, model, node
from tests.policies.clusters import bursty, spec
from tests.policies.crowds import NEWCOMER, crowds
from tests.policies.duels import GB, Setting, a40, gains, loses, play
from tests.policies.every_way import frees
from tests.policies.room.settings import (
    IDLE_ONLY,
    beside_idle,
    crossing,
    first_token_s,
    in_the_way,
    longest_gap_s,
    mean_e2e_s,
    queue_behind,
    starving,
)
from tests.policies.room.test_migration import wired

MODERATE = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
HERE = NodeId(0)


def ours() -> Policy:
    """Made for each run: it learns."""
    return beside_idle(CheapestMechanism())


def every_combination(
    bench: Bench, ways: Departures, victims: list[Instance]
) -> Iterator[list[tuple[Instance, Departure]]]:
    """Each victim stays, or goes by any of its ways beside those before it."""
    if not victims:
        yield []
        return
    for before in every_combination(bench, ways, victims[:-1]):
        yield before
        last = victims[-1]
        taken = [way for _, way in before]
        for way in ways.of(last, taken):
            yield [*before, (last, way)]


def known(bench: Bench, newcomer: ModelSpec, targets: int = 9) -> Departures:
    """As the policy makes them, before any request has ended."""
    policy = CheapestMechanism()
    found = Targets(HERE, targets, bench.view, parts=True)
    return Departures(found, policy.value_per_s, policy.most_preemptions, newcomer, policy._ends)


def least_s(bench: Bench, newcomer: ModelSpec) -> float:
    """Over all limits of time, victims, targets and mechanisms: lost seconds and the delay."""
    victims, ways = clearable(HERE, newcomer, bench.view), known(bench, newcomer)
    alone = {v.id: min((w.cost_s for w in ways.of(v, ())), default=inf) for v in victims}
    victims.sort(key=lambda v: (alone[v.id], v.id))
    moments = {0.0, inf}
    for found in every_combination(bench, ways, victims):
        moments |= {act.after_s for _, way in found for act in way.acts}
    best_s = inf
    for moment in sorted(moments):
        ways.within_s = moment
        for found in every_combination(bench, ways, victims):
            if frees(HERE, newcomer, [v for v, _ in found], bench.view):
                delay_s = max((way.after_s for _, way in found), default=0.0)
                best_s = min(best_s, sum(way.cost_s for _, way in found) + delay_s)
    return best_s


@settings(MODERATE, max_examples=20)
@given(crowds())
def test_no_other_victims_targets_and_mechanisms_cost_less(bench: Bench) -> None:
    newcomer = bench.need(NEWCOMER).model
    victims = clearable(HERE, newcomer, bench.view)[:3]
    if len(clearable(HERE, newcomer, bench.view)) > len(victims):
        return
    found = CheapestMechanism().best(HERE, newcomer, victims, known(bench, newcomer), inf)
    expected_s = least_s(bench, newcomer)
    if found is None:
        assert expected_s == inf
        return
    ways = [way for _, way in found if isinstance(way, Departure)]
    delay_s = max((way.after_s for way in ways), default=0.0)
    assert isclose(sum(way.cost_s for way in ways) + delay_s, expected_s, abs_tol=1e-6)


@settings(MODERATE)
@given(crowds())
def test_a_clearing_is_legal_and_loses_nobody(bench: Bench) -> None:
    newcomer = bench.need(NEWCOMER).model
    clearing = CheapestMechanism().make(HERE, newcomer, bench.view)
    if clearing is None:
        return
    requests = len(bench.state.flights)
    waits = any_waits(clearing, bench)
    bench.finish(bench.begin(behind(clearing, HERE, newcomer, clearing.free_at, bench.view)))
    assert len(bench.state.flights) == requests
    phases = [i.phase for i in bench.state.instances.values() if i.model.id == NEWCOMER]
    assert phases == [Phase.PLANNED if waits else Phase.READY]


def any_waits(clearing: Clearing, bench: Bench) -> bool:
    """Whether some request of a victim is to run to its end."""
    commands = [step.command for step in clearing.plan.steps]
    leave = {c.request for c in commands if isinstance(c, Migrate | Preempt)}
    stopped = [c.instance for c in commands if isinstance(c, StopInstance)]
    return any(set(bench.view.instance(i).running) - leave for i in stopped)


def near(requests: int = 1, *, now: float = 0.0, deadline_at: float | None = None) -> Bench:
    """Node 0 runs model 0 and has the newcomer in memory; node 1 is free and has model 0 there."""
    resident = [(NEWCOMER, 0, Tier.DRAM), (0, 1, Tier.DRAM), (0, 0, Tier.DRAM)]
    bench = Bench([node(0), node(1)], [model(0, slots=4), model(NEWCOMER)], resident=resident)
    bench.run(0, 0, requests, prompt=100)
    if deadline_at is not None:
        bench.ask(NEWCOMER)
        flight = next(f for f in bench.state.flights.values() if f.request.model == NEWCOMER)
        flight.request = structs.replace(flight.request, deadline_at=deadline_at)
    return bench.at(now)


def clear(bench: Bench) -> Clearing | None:
    return CheapestMechanism().make(HERE, bench.need(NEWCOMER).model, bench.view)


def hows(clearing: Clearing | None) -> list[str]:
    assert clearing is not None
    commands = [step.command for step in clearing.plan.steps]
    return [f"Migrate {c.by}" if isinstance(c, Migrate) else type(c).__name__ for c in commands]


def test_cheapest_mechanism_by_hand_weighs_the_loss_of_victims_and_the_delay() -> None:
    """Elsewhere the newcomer would be ready after 9 s, here after 2: 7 s may be spent.

    One request: preempted it loses 2 s of load and 1 s of recomputation, moved it pauses 0.3 s
    and the newcomer waits 3.3 s. Two: preempted they lose 3 s each; moved, 0.3 s each and
    2 + 2 + 0.3 s of delay. Three would lose 9 s, and moved 0.9 and 5.3 s.
    """
    one, two, three = (clear(near(n)) for n in (1, 2, 3))
    assert hows(one) == ["Preempt", "StopInstance"]
    assert one is not None
    assert isclose(one.cost_s, 3.0)
    assert isclose(one.free_at, 0.5)
    assert hows(two) == ["StartInstance", "Migrate tokens", "Migrate tokens", "StopInstance"]
    assert two is not None
    assert isclose(two.cost_s, 0.6 + 4.3)
    assert isclose(two.free_at, 4.3 + 0.5)
    assert three is not None
    assert isclose(three.cost_s, 0.9 + 5.3)
    assert clear(near(4)) is None  # 1.2 + 6.3 s: to load elsewhere is cheaper


def test_it_waits_for_requests_that_are_about_to_end() -> None:
    """12.5 of 12.8 s are over: 0.3 s to wait, and little chance that the model is missed soon."""
    bench = near(2, now=12.5)
    bench.state.serving[bench.need(0).model.id].rate(12.5)
    clearing = clear(bench)
    assert hows(clearing) == ["StopInstance"]
    assert clearing is not None
    assert isclose(clearing.free_at, 12.8 + 0.5)


def test_a_deadline_that_can_be_met_is_met_at_any_price() -> None:
    """Two requests would be moved in 4.3 s; due in 4 s, the 2 s of load and 0.5 s of stop leave
    1.5 s: they are preempted. What cannot be met any more changes nothing."""
    newcomer = near().need(NEWCOMER).model
    assert isclose(time_left_s(HERE, newcomer, near(2, deadline_at=4.0).view), 1.5)
    assert hows(clear(near(2, deadline_at=4.0))) == ["Preempt", "Preempt", "StopInstance"]
    assert "Migrate tokens" in hows(clear(near(2, deadline_at=100.0)))
    assert "Migrate tokens" in hows(clear(near(2, deadline_at=1.0)))


def test_a_request_that_was_pushed_off_too_often_is_not_pushed_again() -> None:
    bench = near(1)
    for flight in bench.state.flights.values():
        flight.attempts = 3
    assert "Preempt" not in hows(clear(bench))


# In the simulator, against each mechanism alone.


def test_cheapest_mechanism_gains_over_stopping_idle_instances_only() -> None:
    gains(in_the_way(), ours(), IDLE_ONLY, first_token_s, by=10.0)
    gains(starving(), ours(), IDLE_ONLY, first_token_s, by=10.0)


@pytest.mark.parametrize(
    ("room", "setting"),
    [
        (
            MigrateVictims("tokens"),
            starving(),
        ),  # nowhere to move to: it waits, in place of starving
        (MigrateVictims("kv"), wired(1.25e9, 4000)),  # the copy takes seconds over this network
        (MigrateVictims("tokens"), wired(25e9, 4000)),  # so does the recomputation, over this one
        (PreemptVictims(), in_the_way()),  # a queue of one never has three times the victim's batch
        (DrainBusy(0.0), in_the_way()),  # the victim runs for a minute
        (DrainBusy(), starving()),  # nothing is gained by looking on for 15 s
    ],
)
def test_cheapest_mechanism_gains_over_each_mechanism_where_another_is_cheaper(
    room: Room, setting: Setting
) -> None:
    gains(setting, ours(), beside_idle(room), first_token_s, by=1.5)


def test_it_costs_the_victims_no_more_than_the_newcomer_gains() -> None:
    """Two victims are pushed off in place of loads of 3 s: requests end as early as they would."""
    mine, theirs = play(crossing(), ours()), play(crossing(), beside_idle(MigrateVictims()))
    assert first_token_s(mine) + 2.0 < first_token_s(theirs)
    assert mean_e2e_s(mine) < 1.01 * mean_e2e_s(theirs)
    assert longest_gap_s(mine) > longest_gap_s(theirs)


def test_it_mixes_mechanisms_over_a_fast_network() -> None:
    fast = play(wired(25e9, 4000), ours())
    moves = [c for _, given in fast.journal for c in given if isinstance(c, Migrate)]
    assert [move.by for move in moves] == [By.KV]
    slow = play(wired(1.25e9, 4000), ours())
    pushes = [c for _, given in slow.journal for c in given if isinstance(c, Preempt)]
    assert [push.keep for push in pushes] == [Keep.TOKENS]


def test_cheapest_mechanism_loses_smoothness_for_who_is_pushed_off() -> None:
    """A second of the newcomer's waiting counts as much as one in the middle of an answer."""
    mine, _ = loses(in_the_way(), ours(), IDLE_ONLY, longest_gap_s, by=5.0)
    assert mine.commands["Preempt"] == 1


def test_it_clears_nothing_for_one_of_many_that_wait() -> None:
    """Four wait for one card, model 2 for the other: overtaking helps nobody on the mean."""
    setting = queue_behind(4, 50)
    mine, theirs = play(setting, ours()), play(setting, IDLE_ONLY)
    assert mine.mean_ttft_s == theirs.mean_ttft_s
    assert not mine.commands["Preempt"]


def test_a_mixed_crowd_waits_least_of_all() -> None:
    """Models of one card and of two, three seeds: starts are earlier than with one mechanism."""
    sizes = [(13, 1)] * 20 + [(60, 2)] * 12
    models = tuple(
        spec(i, size * GB, Whole(cards), slots=1 if i % 2 else 4)
        for i, (size, cards) in enumerate(sizes)
    )
    rooms = (CheapestMechanism, MigrateVictims, EvictIdle)
    waits_s = [0.0 for _ in rooms]
    for seed in range(3):
        setting = Setting(
            nodes=tuple(a40(i) for i in range(4)),
            models=models,
            resident=tuple((int(m.id), int(m.id) % 4, Tier.SSD) for m in models),
            arrivals=tuple(bursty(models, 250, per_s=0.4, seed=seed)),
        )
        for i, room in enumerate(rooms):
            waits_s[i] += play(setting, beside_idle(room()), seed).mean_ttft_s / 3
    mine, migrating, stopping = waits_s
    assert mine * 1.2 < migrating < stopping


def test_prices_decide_where_seconds_are_cheap() -> None:
    """At a tenth of a cent for an hour of waiting no card is paid for twice: the victim stays."""
    dear = beside_idle(CheapestMechanism(value_per_s=1e-6))
    stayed, _ = loses(in_the_way(), dear, ours(), first_token_s, by=5.0)
    assert not stayed.commands["Migrate"]
    assert not stayed.commands["Preempt"]
