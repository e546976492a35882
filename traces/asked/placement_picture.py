"""A placement question as it stood: each node's estimates, what clearing it takes, what was chosen.

Reads the view that the policy was given and changes nothing: no clearing is asked for that the
policy did not ask for, and no random stream is drawn from. Times are seconds of the run.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
import numpy as np

from fleet.commands import Command, Migrate, Preempt, Sleep, StartInstance, StopInstance, Wake
from fleet.domain import InstanceId, ModelSpec, NodeId, Tier
from fleet.holders import Phase
from fleet.needs import Need
from fleet.plans import Plan
from fleet.policy import Clearing
from fleet.view import View
from traces.record import Bools, Floats

#: How many nodes a picture names; a large fleet has the rest counted.
MOST_CANDIDATES: Final = 12

LOADED_FROM: Final = (Tier.REMOTE, Tier.SSD, Tier.DRAM)


class Victim(msgspec.Struct, frozen=True):
    """An instance that has to go, and what becomes of it or of its requests."""

    instance: int
    model: str
    requests: int
    how: str  # stop, sleep, preempt, or migrate


class Cleared(msgspec.Struct, frozen=True):
    """How `room` would clear the node; `cost_s` is service time taken from others."""

    victims: tuple[Victim, ...]
    cost_s: float
    free_at: float


class Held(msgspec.Struct, frozen=True):
    """Who holds cards of a node: an instance, what it is doing, and for how many requests."""

    instance: int
    model: str
    phase: str
    requests: int


class Candidate(msgspec.Struct, frozen=True):
    """A node as the question found it.

    `queue_s` (q) until its pending loads end, `load_s` (n / b) the load alone from the nearest
    copy, both as believed. `ready_at` is the estimate of the policy's own estimation for cards that
    are free now or after the clearing; `at_best` is what it would be were the cards free now.
    `asked`: the policy asked how to clear the node; without `cleared` that cannot be done.
    """

    node: int
    name: str
    copy: str
    queue_s: float
    load_s: float
    free_gpus: int
    idle_gpus: int
    fits: bool
    at_best: float
    held: tuple[Held, ...]
    asked: bool = False
    cleared: Cleared | None = None
    ready_at: float | None = None
    rank: int | None = None
    chosen: bool = False


class Placement(msgspec.Struct, frozen=True):
    """One question and its answer: `start`, `wake`, `full` (no node has room for this size), `no`.

    `ready_at` is when the plan should be done, as believed. `more` candidates are left out. A no is
    often repeated: the picture is of the first of `times`, the last is `until`.
    """

    at: float
    until: float
    times: int
    line: int
    policy: str
    model: str
    waiting: int
    answer: str
    candidates: tuple[Candidate, ...]
    more: int
    ready_at: float | None = None
    victims: tuple[Victim, ...] = ()
    instance: int | None = None


Clearings = Mapping[NodeId, Clearing | None]


def candidates_of(
    need: Need, view: View, asked: Clearings, chosen: frozenset[int]
) -> tuple[tuple[Candidate, ...], int]:
    """The nodes that matter, best estimate first, and how many others there are."""
    model, nodes = need.model, view.nodes
    load_s = _load_s(model, view)
    at_best = view.ready_column(load_s)
    fits = nodes.fits(model.need) & np.array(nodes.alive, np.bool_)
    shown = _worth_showing(at_best, fits, set(asked) | chosen)
    found = [_candidate(node, (load_s, at_best, fits), need, view, asked) for node in shown]
    found.sort(key=_order)
    ranked = []
    rank = 0
    for one in found:
        rank += one.ready_at is not None
        known = None if one.ready_at is None else rank
        ranked.append(msgspec.structs.replace(one, rank=known, chosen=one.node in chosen))
    return tuple(ranked), int(np.count_nonzero(nodes.alive)) - len(ranked)


def _load_s(model: ModelSpec, view: View) -> Floats:
    """Believed seconds of the load alone on each node, from the nearest copy each has."""
    table = np.array(
        [
            [view.estimates.load_s(model, example, tier) for tier in LOADED_FROM]
            for example in view.nodes.examples
        ]
    )
    column: Floats = table[view.nodes.example_of, view.tiers(model.id)]
    return column


def _worth_showing(at_best: Floats, fits: Bools, named: set[NodeId] | set[int]) -> list[NodeId]:
    """Those named, then those with room, then the rest, each by estimate."""
    unnamed = np.array([node not in named for node in range(len(fits))], np.bool_)
    order = np.lexsort((at_best, ~fits, unnamed))
    return [NodeId(int(node)) for node in order[: max(MOST_CANDIDATES, len(named))]]


def _candidate(
    node: NodeId, columns: tuple[Floats, Floats, Bools], need: Need, view: View, asked: Clearings
) -> Candidate:
    load_s, at_best, fits = (column[node] for column in columns)
    clearing = asked.get(node)
    ready_at = float(at_best) if fits else None
    cleared = None
    if clearing is not None:
        cleared = Cleared(victims_of(clearing.plan, view), clearing.cost_s, clearing.free_at)
        ready_at = view.ready_at(node, float(load_s), clearing.free_at)
    return Candidate(
        node=node,
        name=view.node(node).name,
        copy=view.source(need.model.id, node).tier.name.lower(),
        queue_s=view.queue_s(node),
        load_s=float(load_s),
        free_gpus=int(view.nodes.free_gpus[node]),
        idle_gpus=int(view.nodes.idle_gpus[node]),
        fits=bool(fits),
        at_best=float(at_best),
        held=tuple(_held(node, view)),
        asked=node in asked,
        cleared=cleared,
        ready_at=ready_at,
    )


def _held(node: NodeId, view: View) -> Iterator[Held]:
    """A sleeper holds no cards."""
    for one in view.on_node(node):
        if one.phase is not Phase.ASLEEP:
            yield Held(one.id, one.model.name, one.phase.name.lower(), one.load)


def _order(one: Candidate) -> tuple[bool, float, int]:
    return one.ready_at is None, one.at_best if one.ready_at is None else one.ready_at, one.node


def victims_of(plan: Plan, view: View) -> tuple[Victim, ...]:
    """Whom a plan stops or puts to sleep, and what that does to the requests they run."""
    moved = dict(_moved(plan, view))
    victims = []
    for step in plan.steps:
        command = step.command
        if not isinstance(command, StopInstance | Sleep) or command.instance < 0:
            continue
        instance = view.instance(command.instance)
        how = moved.get(instance.id, "sleep" if isinstance(command, Sleep) else "stop")
        victims.append(Victim(instance.id, instance.model.name, instance.load, how))
    return tuple(victims)


def _moved(plan: Plan, view: View) -> Iterator[tuple[InstanceId, str]]:
    """Whose requests are moved or pushed off."""
    for step in plan.steps:
        command = step.command
        if isinstance(command, Migrate):
            yield command.source, "migrate"
        elif isinstance(command, Preempt):
            flight = view.flight(command.request)
            if flight is not None and flight.instance is not None:
                yield flight.instance.id, "preempt"


def nodes_of(plan: Plan, view: View) -> frozenset[int]:
    """Where a plan starts or wakes an instance."""
    found: set[int] = set()
    for command in starts_of(plan):
        if isinstance(command, StartInstance):
            found |= {int(shard.node) for shard in command.shards}
        elif isinstance(command, Wake):
            found |= {int(shard.node) for shard in view.instance(command.instance).shards}
    return frozenset(found)


def starts_of(plan: Plan) -> Iterator[Command]:
    """The commands of a plan that bring an instance up."""
    for step in plan.steps:
        if isinstance(step.command, StartInstance | Wake):
            yield step.command
