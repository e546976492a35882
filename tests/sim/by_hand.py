"""The simulated driver under a controller that says what a test tells it to, and when."""

from collections.abc import Iterable
from typing import Any, TypeVar, cast

from fleet import commands as c
from fleet import events as e
from fleet.controller import Controller, Setup
from fleet.domain import (
    REMOTE,
    AdapterId,
    ArtifactId,
    CommandId,
    InstanceId,
    ModelId,
    NodeId,
    Place,
    RequestId,
    Shard,
    Tier,
)
from policies.catalog import build
from sim.calendar import Arrival
from sim.cluster import Cluster
from sim.world import World
from tests.sim.worlds import CARD_BYTES

E = TypeVar("E", bound=e.Event)
FIRST, SECOND = InstanceId(0), InstanceId(1)
REQUEST = RequestId(0)


def place(node: int, tier: Tier) -> Place:
    return Place(NodeId(node), tier)


def shard(node: int = 0, *gpus: int) -> Shard:
    return Shard(NodeId(node), gpus or (0,), CARD_BYTES)


class ByHand:
    """To the driver a controller; it answers an event with the commands that are due then."""

    def __init__(self, start: Setup) -> None:
        self.state = Controller(start, build("static")).state
        self.heard: list[e.Event] = []
        self.due: list[c.Command] = []

    def handle(self, event: e.Event) -> list[c.Command]:
        self.state.now = event.at
        self.heard.append(event)
        if isinstance(event, e.NodeJoined):
            self.state.add_node(event.node)
        due, self.due = self.due, []
        return due


class Hand:
    """Give commands at moments; play; read what was heard."""

    def __init__(self, start: Setup, truth: World) -> None:
        self.controller = ByHand(start)
        self.cluster = Cluster(cast(Controller, self.controller), truth)
        self._next = 0

    def give(self, at: float, kind: type[c.Command], *args: Any, **named: Any) -> CommandId:
        """One command at a moment, after what happens then anyway."""
        number = CommandId(self._next)
        self._next += 1
        command = kind(number, *args, **named)
        self.at(at, lambda: self._say(at, command))
        return number

    def _say(self, at: float, command: c.Command) -> None:
        self.controller.due.append(command)
        self.cluster.report(e.Progress(at, FIRST, 0, 0))

    def at(self, moment: float, then: Any) -> None:
        self.cluster.env.at(moment, then)

    def play(self, until: float, arrivals: Iterable[Arrival] = ()) -> "Hand":
        self.cluster.run(arrivals, until)
        return self

    def answer(self, command: CommandId) -> e.Event | None:
        """What answered a command; an event about a request carries its dispatch's id."""
        answers = [
            event
            for event in self.controller.heard
            if isinstance(event, e.Answer) and event.command == command
        ]
        assert len(answers) <= 1, f"answered twice: {answers}"
        return answers[0] if answers else None

    def heard(self, kind: type[E]) -> list[E]:
        return [event for event in self.controller.heard if isinstance(event, kind)]

    # Commands that most tests give

    def start(
        self,
        at: float = 0.0,
        instance: InstanceId = FIRST,
        *,
        model: int = 0,
        shards: tuple[Shard, ...] = (),
        source: Place = REMOTE,
        keep: tuple[Tier, ...] = (),
    ) -> CommandId:
        shards = shards or (shard(0, int(instance)),)
        sources = (source,) * len(shards)
        artifact = ModelId(ArtifactId(model))
        return self.give(at, c.StartInstance, instance, artifact, shards, sources, keep)

    def dispatch(self, at: float, request: int = 0, instance: InstanceId = FIRST) -> CommandId:
        return self.give(at, c.Dispatch, RequestId(request), instance)

    def attach(
        self, at: float, adapter: int, source: Place = REMOTE, keep: tuple[Tier, ...] = ()
    ) -> CommandId:
        return self.give(at, c.AttachAdapter, FIRST, AdapterId(ArtifactId(adapter)), source, keep)

    # What the simulator holds

    def lying(self, node: int, tier: Tier) -> set[int]:
        return set(self.cluster.storage.nodes[NodeId(node)].shelf(tier))

    def used_bytes(self, node: int, tier: Tier) -> int:
        return self.cluster.storage.nodes[NodeId(node)].shelf(tier).used_bytes

    def held_bytes(self, node: int = 0) -> list[int]:
        return [card.used_bytes for card in self.cluster.storage.nodes[NodeId(node)].cards]

    def lose_node(self, at: float, node: int) -> None:
        self.at(at, lambda: self.cluster.outages.lose(NodeId(node)))

    def crash(self, at: float, instance: InstanceId = FIRST) -> None:
        engines = self.cluster.requests.engines
        self.at(at, lambda: self.cluster.instances.crash(engines[instance]))
