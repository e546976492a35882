"""Loads, attaches, migrations and copies of a run, kept from its events and commands.

These are rare beside requests, so each is handled as it comes. Knows no request beyond its id.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fleet import commands as c
from fleet import events as e
from fleet.domain import AdapterSpec, ModelSpec, NodeSpec, Place, Tier
from traces.columns import RowIndex, Rows
from traces.record import ATTACH, MOVE, Copies, Floats, Load, LoadEnd, MoveEnd, Source


class FleetLog:
    """What happened to nodes, instances, adapters and copies: rare facts, kept as they come."""

    def __init__(
        self, nodes: Iterable[NodeSpec], artifacts: Iterable[ModelSpec | AdapterSpec]
    ) -> None:
        self.nodes: dict[int, NodeSpec] = {}
        self.models: dict[int, ModelSpec] = {}
        self.adapters: dict[int, AdapterSpec] = {}
        self.loads: list[Load] = []
        self.attaches = Rows(ATTACH)
        self.attaches_failed = 0
        self.moves = Rows(MOVE)
        self.copies = Copies()
        self.phase_s: dict[Source, dict[str, float]] = {}
        self._joined_at: dict[int, float] = {}
        self._lost_at: dict[int, float] = {}
        self._live: dict[int, Load] = {}
        self._loading: dict[int, Load] = {}
        self._attaching: dict[int, tuple[int, int, Source, float]] = {}
        self._moving: dict[int, tuple[c.Migrate, float]] = {}
        self._fetching: dict[int, tuple[Source, int]] = {}
        for node in nodes:
            self._join(node, 0.0)
        for artifact in artifacts:
            self._add(artifact)
        self.event_sinks = self._sinks_of_events()
        self.command_sinks: dict[type[c.Command], Callable[[Any, float], None]] = {
            c.StartInstance: self._on_start,
            c.Wake: self._on_wake,
            c.AttachAdapter: self._on_attach,
            c.Migrate: self._on_migrate,
            c.Fetch: self._on_fetch,
        }

    def _sinks_of_events(self) -> dict[type[e.Event], Callable[[Any], None]]:
        return {
            e.InstanceReady: self._on_ready,
            e.Awake: self._on_ready,
            e.InstanceStopped: self._on_stopped,
            e.InstanceLost: lambda event: self._close(event.instance, event.at, LoadEnd.LOST),
            e.Slept: lambda event: self._close(event.instance, event.at, LoadEnd.SLEPT),
            e.NodeJoined: lambda event: self._join(event.node, event.at),
            e.NodeLost: self._on_node_lost,
            e.ArtifactAdded: lambda event: self._add(event.artifact),
            e.AdapterAttached: self._on_attached,
            e.Migrated: self._on_migrated,
            e.Fetched: self._on_fetched,
            e.Dropped: self._on_dropped,
            e.CommandFailed: self._on_command_failed,
        }

    def nodes_seen_s(self, ended_at: float) -> dict[int, tuple[float, float]]:
        return {
            node: (joined_at, self._lost_at.get(node, ended_at))
            for node, joined_at in self._joined_at.items()
        }

    def all_moves(self, index: RowIndex, ended_at: Floats) -> NDArray[np.void]:
        """Moves that were answered, and those that never were."""
        open_moves = np.array(
            [_move_row(command, at, MoveEnd.OPEN) for command, at in self._moving.values()], MOVE
        )
        rows = index.rows(open_moves["request"])
        over = (rows >= 0) & np.isfinite(ended_at[rows]) if len(ended_at) else rows >= 0
        open_moves["outcome"][over] = MoveEnd.OVERTAKEN
        return np.concatenate([self.moves.array(), open_moves])

    def _join(self, node: NodeSpec, at: float) -> None:
        self.nodes[node.id] = node
        self._joined_at[node.id] = at

    def _add(self, artifact: ModelSpec | AdapterSpec) -> None:
        if isinstance(artifact, ModelSpec):
            self.models[artifact.id] = artifact
        else:
            self.adapters[artifact.id] = artifact

    def _weight_bytes(self, artifact: int) -> int | None:
        spec = self.models.get(artifact) or self.adapters.get(artifact)
        return spec.weight_bytes if spec is not None else None

    def _on_start(self, command: c.StartInstance, at: float) -> None:
        pairs = zip(command.sources, command.shards, strict=True)
        source = min(_source_of(place, shard.node) for place, shard in pairs)
        self._begin(
            Load(
                instance=command.instance,
                model=command.model,
                shards=command.shards,
                source=source,
                started_at=at,
                weight_bytes=self._weight_bytes(command.model),
            ),
            command.id,
        )

    def _on_wake(self, command: c.Wake, at: float) -> None:
        asleep = self._live.get(command.instance)
        if asleep is None:
            return
        source = _source_of(command.source, asleep.shards[0].node)
        self._begin(
            Load(
                instance=command.instance,
                model=asleep.model,
                shards=asleep.shards,
                source=source,
                started_at=at,
                weight_bytes=asleep.weight_bytes,
                wakes=True,
            ),
            command.id,
        )

    def _begin(self, load: Load, command: int) -> None:
        self.loads.append(load)
        self._live[load.instance] = load
        self._loading[command] = load

    def _on_ready(self, event: e.InstanceReady | e.Awake) -> None:
        load = self._loading.pop(event.command, None)
        if load is None or load.end is not LoadEnd.OPEN:
            return
        load.ready_at = event.at
        load.load_s = event.load_s
        if isinstance(event, e.InstanceReady):
            sums = self.phase_s.setdefault(load.source, {})
            for name, seconds in event.phases:
                sums[name] = sums.get(name, 0.0) + seconds

    def _close(self, instance: int, at: float, end: LoadEnd) -> None:
        load = self._live.get(instance)
        if load is None:
            return
        if load.end is LoadEnd.OPEN:
            load.end = end
            load.ended_at = at
        if end is not LoadEnd.SLEPT:
            del self._live[instance]

    def _on_stopped(self, event: e.InstanceStopped) -> None:
        self._loading.pop(event.command, None)
        self._attaching.pop(event.command, None)
        self._close(event.instance, event.at, LoadEnd.STOPPED)

    def _on_node_lost(self, event: e.NodeLost) -> None:
        self._lost_at[event.node] = event.at
        for instance, load in list(self._live.items()):
            if any(shard.node == event.node for shard in load.shards):
                self._close(instance, event.at, LoadEnd.NODE_LOST)

    def _on_command_failed(self, event: e.CommandFailed) -> None:
        load = self._loading.pop(event.command, None)
        if load is not None and load.end is LoadEnd.OPEN:
            load.end = LoadEnd.FAILED
            load.ended_at = event.at
            if not load.wakes:  # a failed waking leaves the instance asleep
                del self._live[load.instance]
        if self._attaching.pop(event.command, None) is not None:
            self.attaches_failed += 1
        self._fetching.pop(event.command, None)
        move = self._moving.pop(event.command, None)
        if move is not None:
            self.moves.add(_move_row(*move, MoveEnd.FAILED, event.at))

    def _on_attach(self, command: c.AttachAdapter, at: float) -> None:
        load = self._live.get(command.instance)
        node = load.shards[0].node if load is not None else None
        source = _source_of(command.source, node)
        self._attaching[command.id] = (command.instance, command.adapter, source, at)

    def _on_attached(self, event: e.AdapterAttached) -> None:
        opened = self._attaching.pop(event.command, None)
        if opened is not None:
            self.attaches.add((*opened, event.at, event.load_s))

    def _on_migrate(self, command: c.Migrate, at: float) -> None:
        self._moving[command.id] = (command, at)

    def _on_migrated(self, event: e.Migrated) -> None:
        opened = self._moving.pop(event.command, None)
        if opened is None:
            return
        command, at = opened
        self.moves.add(
            (
                command.request,
                command.source,
                command.target,
                at,
                event.at,
                event.pause_s,
                event.bytes_moved,
                event.rounds,
                MoveEnd.MOVED,
            )
        )

    def _on_fetch(self, command: c.Fetch, at: float) -> None:
        source = _source_of(command.source, command.target.node)
        self._fetching[command.id] = (source, self._weight_bytes(command.artifact) or 0)

    def _on_fetched(self, event: e.Fetched) -> None:
        opened = self._fetching.pop(event.command, None)
        if opened is None:
            return
        name = opened[0].name.lower()
        self.copies.fetches[name] = self.copies.fetches.get(name, 0) + 1
        self.copies.fetched_bytes[name] = self.copies.fetched_bytes.get(name, 0) + opened[1]

    def _on_dropped(self, event: e.Dropped) -> None:
        name = event.place.tier.name.lower()
        self.copies.drops[name] = self.copies.drops.get(name, 0) + 1


_OF_TIER: Final = {
    Tier.REMOTE: Source.REMOTE,
    Tier.SSD: Source.SSD,
    Tier.DRAM: Source.DRAM,
    Tier.GPU: Source.GPU,
}


def _source_of(place: Place, node: int | None) -> Source:
    """Where bytes at `place` are, seen from `node`."""
    if place.node is not None and node is not None and place.node != node:
        return Source.PEER
    return _OF_TIER[place.tier] if place.node is not None else Source.REMOTE


def _move_row(
    command: c.Migrate, at: float, outcome: MoveEnd, done_at: float = float("nan")
) -> tuple[Any, ...]:
    nan = float("nan")
    return (command.request, command.source, command.target, at, done_at, nan, 0, 0, outcome)
