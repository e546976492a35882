"""Nodes, cards, instances and loads of a run as tracks of a Chrome trace.

A process a node; a track a card with the phases of what runs there (side by side where several
share a card or one sleeps); a track for loads from each tier, adapters and fetches included. Knows
events and commands of instances, no request but how many run where.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from fleet import commands as c
from fleet import events as e
from fleet.domain import AdapterSpec, ModelSpec, NodeSpec, Place, Shard
from traces.asked.chrome_trace import Args, ChromeTrace, Track
from traces.asked.track_lanes import TrackLanes

#: Where the kinds of track stand within a node.
CARDS, LOADS, MOVES = 0, 100, 200


@dataclass(slots=True)
class Shown:
    """An instance and the tracks that show it, each with how to give it back."""

    name: str
    model: int
    shards: tuple[Shard, ...]
    nbytes: int
    wakes: bool = False  # its last load was a waking
    running: int = 0
    phase: str = ""
    tracks: list[tuple[TrackLanes, int, Track]] = field(default_factory=list)
    loaded_at: float | None = None  # since when it could serve; None while it loads
    began_at: float = 0.0


@dataclass(slots=True)
class _Moving:
    """A load, attach or fetch under way."""

    name: str
    lanes: TrackLanes
    number: int
    track: Track
    began_at: float
    nbytes: int
    instance: int | None
    args: Args


class ExportedFleet:
    """Follows a journal; every change of a phase is written as it comes."""

    def __init__(
        self,
        trace: ChromeTrace,
        nodes: Iterable[NodeSpec],
        artifacts: Iterable[ModelSpec | AdapterSpec],
    ) -> None:
        self._trace = trace
        self._nodes: dict[int, tuple[NodeSpec, int]] = {}
        self._lanes: dict[tuple[int, str], TrackLanes] = {}
        self.artifacts: dict[int, ModelSpec | AdapterSpec] = {one.id: one for one in artifacts}
        self.instances: dict[int, Shown] = {}
        self._marks: dict[int, Track] = {}
        self._moving: dict[int, _Moving] = {}
        self._held: dict[tuple[int, int], int] = {}  # holders by card
        self.gpus = 0
        self.loading_bytes = 0
        for node in nodes:
            self._join(node)
        self.on_event: Final[dict[type[e.Event], Callable[[Any], None]]] = {
            e.NodeJoined: lambda event: self._join(event.node),
            e.NodeLost: self._node_lost,
            e.ArtifactAdded: lambda event: self._add(event.artifact),
            e.InstanceReady: self._ready,
            e.Awake: self._ready,
            e.AdapterAttached: lambda event: self._arrived(event.command, event.at),
            e.Fetched: lambda event: self._arrived(event.command, event.at),
            e.InstanceStopped: self._stopped,
            e.InstanceLost: self._lost,
            e.Slept: self._slept,
            e.CommandFailed: self._failed,
        }
        self.on_command: Final[dict[type[c.Command], Callable[[Any, float], None]]] = {
            c.StartInstance: self._start,
            c.Wake: self._wake,
            c.StopInstance: lambda command, at: self._phase(command.instance, "stopping", at),
            c.Sleep: lambda command, at: self._phase(command.instance, "going to sleep", at),
            c.AttachAdapter: self._attach,
            c.Fetch: self._fetch,
        }

    # What others ask

    @property
    def free_gpus(self) -> int:
        return self.gpus - len(self._held)

    def track_of(self, instance: int) -> Track | None:
        """Its first card's track, while it holds cards."""
        known = self.instances.get(instance)
        return known.tracks[0][2] if known is not None and known.tracks else None

    def leaving(self, instance: int) -> TrackLanes | None:
        """Where requests that move live away from the instance's node are shown."""
        known = self.instances.get(instance)
        if known is None:
            return None
        return self._card(known.shards[0].node, "live migrations away", MOVES)

    def coming(self, instance: int) -> Track | None:
        """Where those that have moved to its node are marked."""
        known = self.instances.get(instance)
        if known is None:
            return None
        node = int(known.shards[0].node)
        track = self._marks.get(node)
        if track is None:
            pid = self._nodes[node][1]
            track = self._trace.track(pid, "live migrations here", MOVES + 1)
            self._marks[node] = track
        return track

    def runs(self, instance: int, change: int, at: float) -> None:
        """So many requests more or fewer run there."""
        known = self.instances.get(instance)
        if known is None:
            return
        known.running += change
        if known.phase in ("ready, idle", "ready, busy", "draining"):
            busy = "ready, busy" if known.running else "ready, idle"
            self._phase(instance, busy if change > 0 or not known.running else known.phase, at)

    def drains(self, instance: int, at: float) -> None:
        """A request is being taken off it, live or not, to make room."""
        known = self.instances.get(instance)
        if known is not None and known.phase == "ready, busy":
            self._phase(instance, "draining", at)

    def finish(self, at: float) -> None:
        """The journal or the window ends here: everything that is open ends."""
        for command in list(self._moving):
            self._arrived(command, at)
        for known in self.instances.values():
            for _, _, track in known.tracks:
                self._trace.end(track, at)

    # Nodes and artifacts

    def _join(self, node: NodeSpec) -> None:
        pid = self._trace.process(f"{node.name} ({node.gpus} x {node.kind})")
        self._nodes[node.id] = node, pid
        self.gpus += node.gpus

    def _add(self, artifact: ModelSpec | AdapterSpec) -> None:
        self.artifacts[artifact.id] = artifact

    def _node_lost(self, event: e.NodeLost) -> None:
        node, pid = self._nodes[event.node]
        self._trace.instant(pid, "node lost", event.at)
        for number, known in list(self.instances.items()):
            if any(shard.node == event.node for shard in known.shards):
                self._gone(number, event.at)
        self.gpus -= node.gpus

    def name_of(self, artifact: int) -> str:
        spec = self.artifacts.get(artifact)
        return f"artifact {artifact}" if spec is None else spec.name

    # Instances

    def _start(self, command: c.StartInstance, at: float) -> None:
        name = f"{self.name_of(command.model)} #{command.instance}"
        nbytes = self._bytes(command.model)
        known = Shown(name, command.model, command.shards, nbytes, began_at=at)
        self.instances[command.instance] = known
        self._hold(known, at)
        self._load(command, known, command.sources, at)

    def _wake(self, command: c.Wake, at: float) -> None:
        known = self.instances.get(command.instance)
        if known is None:
            return
        known.wakes = True
        self._release(known, at)
        self._hold(known, at)
        self._load(command, known, (command.source,), at)

    def _load(
        self, command: c.StartInstance | c.Wake, known: Shown, sources: tuple[Place, ...], at: float
    ) -> None:
        known.loaded_at, known.began_at = None, at
        self._phase(command.instance, "loading", at)
        node = int(known.shards[0].node)
        verb = "wake" if isinstance(command, c.Wake) else "load"
        self._move(
            command.id, (f"{verb} {known.name}", known.nbytes), (sources[0], node), at,
            command.instance,
        )  # fmt: skip

    def _hold(self, known: Shown, at: float) -> None:
        """Take its cards, and a track on each."""
        for shard in known.shards:
            for gpu in shard.gpus:
                lanes = self._card(shard.node, f"GPU {gpu}", CARDS + gpu)
                known.tracks.append((lanes, *lanes.take()))
                card = int(shard.node), gpu
                self._held[card] = self._held.get(card, 0) + 1

    def _release(self, known: Shown, at: float, cards: bool = False) -> None:
        """Give its tracks back, and its cards where it holds them."""
        for lanes, number, track in known.tracks:
            self._trace.end(track, at)
            lanes.give(number)
        known.tracks.clear()
        for shard in known.shards if cards else ():
            for gpu in shard.gpus:
                card = int(shard.node), gpu
                left = self._held.get(card, 0) - 1
                if left > 0:
                    self._held[card] = left
                else:
                    self._held.pop(card, None)

    def _card(self, node: int, name: str, place: int) -> TrackLanes:
        lanes = self._lanes.get((node, name))
        if lanes is None:
            pid = self._nodes[node][1]
            lanes = self._lanes[node, name] = TrackLanes(self._trace, pid, name, place)
        return lanes

    def _phase(self, instance: int, phase: str, at: float) -> None:
        known = self.instances.get(instance)
        if known is None or known.phase == phase:
            return
        known.phase = phase
        for _, _, track in known.tracks:
            self._trace.begin(track, f"{known.name}: {phase}", at)

    def _ready(self, event: e.InstanceReady | e.Awake) -> None:
        self._arrived(event.command, event.at)
        known = self.instances.get(event.instance)
        if known is not None and known.phase == "loading":
            known.loaded_at = event.at
            self._phase(event.instance, "ready, idle", event.at)

    def _slept(self, event: e.Slept) -> None:
        known = self.instances.get(event.instance)
        if known is not None:
            self._sleeps(event.instance, known, event.at)

    def _sleeps(self, instance: int, known: Shown, at: float) -> None:
        """It gives its cards up, and is shown beside its first one."""
        self._release(known, at, cards=True)
        for shard in known.shards[:1]:
            lanes = self._card(shard.node, f"GPU {shard.gpus[0]} asleep", CARDS + 50)
            known.tracks.append((lanes, *lanes.take()))
        self._phase(instance, "sleeping", at)

    def _stopped(self, event: e.InstanceStopped) -> None:
        self._gone(event.instance, event.at)

    def _lost(self, event: e.InstanceLost) -> None:
        track = self.track_of(event.instance)
        if track is not None:
            self._trace.instant(track, "instance lost", event.at, {"reason": event.reason})
        self._gone(event.instance, event.at)

    def _gone(self, instance: int, at: float) -> None:
        known = self.instances.pop(instance, None)
        if known is None:
            return
        for command in [n for n, one in self._moving.items() if one.instance == instance]:
            self._arrived(command, at)
        self._release(known, at, cards=known.phase != "sleeping")

    def _failed(self, event: e.CommandFailed) -> None:
        moving = self._moving.get(event.command)
        if moving is None:
            return
        self._arrived(event.command, event.at)
        failed = f"{moving.name} failed"
        self._trace.instant(moving.track, failed, event.at, {"reason": event.reason})
        known = None if moving.instance is None else self.instances.get(moving.instance)
        if known is None or moving.instance is None or known.phase != "loading":
            return
        if known.wakes:
            self._sleeps(moving.instance, known, event.at)
        else:
            self._gone(moving.instance, event.at)

    # Bytes on their way

    def _attach(self, command: c.AttachAdapter, at: float) -> None:
        known = self.instances.get(command.instance)
        if known is not None:
            node = int(known.shards[0].node)
            about = f"attach {self.name_of(command.adapter)}", self._bytes(command.adapter)
            self._move(command.id, about, (command.source, node), at, command.instance)

    def _fetch(self, command: c.Fetch, at: float) -> None:
        node = command.target.node
        if node is not None:
            about = f"fetch {self.name_of(command.artifact)}", self._bytes(command.artifact)
            self._move(command.id, about, (command.source, int(node)), at, None)

    def _move(
        self,
        command: int,
        about: tuple[str, int],
        way: tuple[Place, int],
        at: float,
        instance: int | None,
    ) -> None:
        """Bytes begin to move from a place to a node; `about` is their name and how many."""
        source, node = way
        tier = "the remote store" if source.node is None else source.tier.name
        if source.node is not None and source.node != node:
            tier = f"a peer's {tier}"
        name = f"loads from {tier}"
        lanes = self._card(node, name, LOADS + int(source.tier))
        number, track = lanes.take()
        args = {"bytes": about[1], "from": tier}
        moving = _Moving(about[0], lanes, number, track, at, about[1], instance, args)
        self._moving[command] = moving
        self.loading_bytes += about[1]

    def _arrived(self, command: int, at: float) -> None:
        moving = self._moving.pop(command, None)
        if moving is not None:
            span = moving.began_at, at
            self._trace.complete(moving.track, moving.name, span, moving.args)
            moving.lanes.give(moving.number)
            self.loading_bytes -= moving.nbytes

    def _bytes(self, artifact: int) -> int:
        spec = self.artifacts.get(artifact)
        return 0 if spec is None else spec.weight_bytes
