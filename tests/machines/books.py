"""A driver's own simple books: what was commanded, what is true of it, and whether it was legal.

They are kept apart from the controller's state and know only commands and events, so that they can
catch the controller's books being wrong. Every command is checked as it comes.
"""

from collections import Counter
from collections.abc import Iterable

from fleet import commands as c
from fleet.controller import Setup
from fleet.domain import (
    REMOTE,
    AdapterId,
    AdapterSpec,
    ArtifactId,
    CommandId,
    InstanceId,
    ModelId,
    ModelSpec,
    NodeId,
    NodeSpec,
    Place,
    Request,
    RequestId,
    Shard,
    Tier,
)

Copy = tuple[NodeId, Tier, ArtifactId]


class Engine:
    """An instance as its driver sees it."""

    def __init__(self, command: c.StartInstance) -> None:
        self.model = command.model
        self.shards = command.shards
        self.phase = "loading"  # ready, stopping, sleeping, asleep, waking
        self.holds = True  # its cards; not from when it slept to when it is to wake
        self.running: set[RequestId] = set()
        self.slots: dict[AdapterId, str] = {}  # attaching, attached or detaching
        self.copy: Copy | None = None  # what a level 1 sleeper lies on


class Job:
    """A request as its driver sees it: waiting until it has a dispatch."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.dispatch: c.Dispatch | None = None
        self.instance: InstanceId | None = None
        self.orders: dict[CommandId, c.Cancel | c.Preempt | c.Migrate] = {}

    def order(self, kind: type[c.Command]) -> c.Cancel | c.Preempt | c.Migrate | None:
        return next((o for o in self.orders.values() if type(o) is kind), None)


class Books:
    def __init__(self, setup: Setup) -> None:
        self.now = 0.0
        self.next_command = 0
        self.nodes: dict[NodeId, NodeSpec] = {n.id: n for n in setup.nodes}
        self.models: dict[ModelId, ModelSpec] = {m.id: m for m in setup.models}
        self.adapters: dict[AdapterId, AdapterSpec] = {a.id: a for a in setup.adapters}
        self.sizes: dict[ArtifactId, int] = {m.id: m.weight_bytes for m in setup.models}
        self.sizes |= {a.id: a.weight_bytes for a in setup.adapters}
        self.engines: dict[InstanceId, Engine] = {}
        self.seen: set[InstanceId] = set()
        self.jobs: dict[RequestId, Job] = {}
        self.ended: Counter[RequestId] = Counter()
        self.open: dict[CommandId, c.Command] = {}  # but dispatches, cancels and timers
        self.timers: list[c.SetTimer] = []
        self.copies: dict[Copy, str] = {}  # coming, here or going
        self.coming: dict[CommandId, list[Copy]] = {}  # what each open command brings
        for artifact, place in setup.resident:
            assert place.node is not None
            self.copies[place.node, place.tier, artifact] = "here"
        self._takes = {
            c.Dispatch: self._dispatch,
            c.Reject: self._reject,
            c.Cancel: self._cancel,
            c.Preempt: self._preempt,
            c.Migrate: self._migrate,
            c.StartInstance: self._start,
            c.StopInstance: self._stop,
            c.Sleep: self._sleep,
            c.Wake: self._wake,
            c.AttachAdapter: self._attach,
            c.DetachAdapter: self._detach,
            c.Fetch: self._fetch,
            c.Drop: self._drop,
            c.SetTimer: self._timer,
        }

    def take(self, command: c.Command) -> None:
        """One command, in the order given; asserts that it is legal."""
        assert command.id == self.next_command, "command ids are dense and in order"
        self.next_command += 1
        self._takes[type(command)](command)  # type: ignore[operator]

    # Requests

    def _dispatch(self, command: c.Dispatch) -> None:
        job = self.jobs[command.request]
        assert job.dispatch is None, f"{command} but it runs on {job.instance}"
        self._assert_can_serve(job.request, command.instance)
        self._assert_first_of_its_lane(job.request)
        job.dispatch = command
        job.instance = command.instance
        self.engines[command.instance].running.add(command.request)

    def _assert_can_serve(self, request: Request, instance: InstanceId) -> None:
        engine = self.engines[instance]
        assert engine.phase == "ready", f"instance {instance} is {engine.phase}"
        assert engine.model == request.model
        assert self.load(instance) < self.models[engine.model].max_sequences
        if request.adapter is not None:
            assert engine.slots.get(request.adapter) == "attached"

    def _assert_first_of_its_lane(self, request: Request) -> None:
        """Within a lane it is first come, first served, whoever comes back to it."""
        lane = (request.model, request.adapter, request.tenant)
        for other in self.jobs.values():
            r = other.request
            if other.dispatch is None and (r.model, r.adapter, r.tenant) == lane:
                assert request.id <= r.id, f"{request.id} overtakes {r.id}"

    def load(self, instance: InstanceId) -> int:
        """Requests that run there or are on their way there."""
        inbound = [m for m in self.migrations() if m.target == instance]
        return len(self.engines[instance].running) + len(inbound)

    def migrations(self) -> list[c.Migrate]:
        return [o for o in self.open.values() if isinstance(o, c.Migrate)]

    def _reject(self, command: c.Reject) -> None:
        job = self.jobs[command.request]
        assert job.dispatch is None, "what runs is cancelled, not rejected"
        self.end(command.request)

    def end(self, request: RequestId) -> None:
        self.ended[request] += 1
        assert self.ended[request] == 1, f"request {request} ended twice"
        del self.jobs[request]

    def _cancel(self, command: c.Cancel) -> None:
        job = self._running(command.request)
        assert job.order(c.Cancel) is None, "cancelled twice"
        self._order(job, command)

    def _preempt(self, command: c.Preempt) -> None:
        job = self._running(command.request)
        assert job.order(c.Preempt) is None, "preempted twice"
        self._order(job, command)

    def _migrate(self, command: c.Migrate) -> None:
        job = self._running(command.request)
        assert job.instance == command.source
        assert command.source != command.target
        assert job.order(c.Migrate) is None, "one open migration a request"
        self._assert_can_serve(job.request, command.target)
        self._order(job, command)

    def _running(self, request: RequestId) -> Job:
        job = self.jobs[request]
        assert job.dispatch is not None, f"request {request} does not run"
        return job

    def _order(self, job: Job, command: c.Cancel | c.Preempt | c.Migrate) -> None:
        job.orders[command.id] = command
        self.open[command.id] = command

    # Instances

    def _start(self, command: c.StartInstance) -> None:
        assert command.instance not in self.seen, "instance ids are never used twice"
        self.seen.add(command.instance)
        spec = self.models[command.model]
        # A cold start may be cut into more stages than the model has.
        assert len(command.shards) == len(command.sources) >= spec.stages
        self.engines[command.instance] = Engine(command)
        self.open[command.id] = command
        self._assert_cards(command.shards)
        self.coming[command.id] = []
        for shard, source in zip(command.shards, command.sources, strict=True):
            self._assert_readable(command.model, source)
            self._bring(command.id, command.model, shard.node, command.keep)

    def _stop(self, command: c.StopInstance) -> None:
        engine = self.engines[command.instance]
        assert engine.phase in ("loading", "ready", "asleep"), engine.phase
        assert not self.load(command.instance), "a stop while requests run"
        engine.phase = "stopping"
        self.open[command.id] = command

    def _sleep(self, command: c.Sleep) -> None:
        engine = self.engines[command.instance]
        assert engine.phase == "ready"
        assert not self.load(command.instance)
        engine.phase = "sleeping"
        self.open[command.id] = command
        self.coming[command.id] = []
        if command.level == 1:
            node = engine.shards[0].node
            engine.copy = (node, Tier.DRAM, engine.model)
            if engine.copy in self.copies:
                assert self.copies[engine.copy] == "here"
            else:
                self._bring(command.id, engine.model, node, (Tier.DRAM,))

    def _wake(self, command: c.Wake) -> None:
        engine = self.engines[command.instance]
        assert engine.phase == "asleep"
        engine.phase = "waking"
        engine.holds = True
        self.open[command.id] = command
        self._assert_cards(engine.shards)
        self._assert_readable(engine.model, command.source)

    def _attach(self, command: c.AttachAdapter) -> None:
        engine = self.engines[command.instance]
        assert engine.phase == "ready", f"an adapter for an instance that is {engine.phase}"
        assert command.adapter not in engine.slots
        spec = self.models[engine.model]
        assert len(engine.slots) < spec.max_adapters, "more adapters than slots"
        engine.slots[command.adapter] = "attaching"
        self.open[command.id] = command
        self._assert_readable(command.adapter, command.source)
        self.coming[command.id] = []
        self._bring(command.id, command.adapter, engine.shards[0].node, command.keep)

    def _detach(self, command: c.DetachAdapter) -> None:
        engine = self.engines[command.instance]
        assert engine.slots[command.adapter] == "attached"
        using = [self.jobs[r].request.adapter for r in engine.running]
        inbound = [m.request for m in self.migrations() if m.target == command.instance]
        using += [self.jobs[r].request.adapter for r in inbound]
        assert command.adapter not in using, "detached while a request runs with it"
        engine.slots[command.adapter] = "detaching"
        self.open[command.id] = command

    def _assert_cards(self, shards: Iterable[Shard]) -> None:
        held: Counter[tuple[NodeId, int]] = Counter()
        for engine in self.engines.values():
            if engine.holds:
                for shard in engine.shards:
                    for gpu in shard.gpus:
                        held[shard.node, gpu] += shard.gpu_bytes
        for shard in shards:
            spec = self.nodes[shard.node]
            assert len(set(shard.gpus)) == len(shard.gpus)
            for gpu in shard.gpus:
                assert gpu < spec.gpus
                assert held[shard.node, gpu] <= spec.gpu_bytes, f"card {gpu} over-committed"

    # Copies

    def _fetch(self, command: c.Fetch) -> None:
        self._assert_readable(command.artifact, command.source)
        assert command.target.node is not None
        self.open[command.id] = command
        self.coming[command.id] = []
        self._bring(command.id, command.artifact, command.target.node, (command.target.tier,))

    def _drop(self, command: c.Drop) -> None:
        assert command.place.node is not None
        copy = (command.place.node, command.place.tier, command.artifact)
        assert self.copies[copy] == "here"
        assert copy not in self.reads(), "dropped while something reads it"
        self.copies[copy] = "going"
        self.open[command.id] = command

    def _assert_readable(self, artifact: ArtifactId, source: Place) -> None:
        if source.node is None:
            assert source == REMOTE
        else:
            assert self.copies.get((source.node, source.tier, artifact)) == "here", source

    def _bring(
        self, command: CommandId, artifact: ArtifactId, node: NodeId, tiers: Iterable[Tier]
    ) -> None:
        for tier in tiers:
            copy = (node, tier, artifact)
            assert copy not in self.copies
            self.copies[copy] = "coming"
            self.coming[command].append(copy)
            spec = self.nodes[node]
            room = spec.dram_bytes if tier is Tier.DRAM else spec.ssd_bytes
            used = sum(self.sizes[a] for n, t, a in self.copies if (n, t) == (node, tier))
            assert used <= room, f"{tier.name} of node {node} over-committed"

    def reads(self) -> set[Copy]:
        """What open commands read, and what sleepers lie on."""
        found = {e.copy for e in self.engines.values() if e.copy is not None}
        for command in self.open.values():
            match command:
                case c.StartInstance():
                    found |= {_copy(s, command.model) for s in command.sources}
                case c.Wake():
                    found.add(_copy(command.source, self.engines[command.instance].model))
                case c.AttachAdapter():
                    found.add(_copy(command.source, command.adapter))
                case c.Fetch():
                    found.add(_copy(command.source, command.artifact))
        return found

    def _timer(self, command: c.SetTimer) -> None:
        assert command.at >= self.now, "a timer in the past"
        self.timers.append(command)


def _copy(place: Place, artifact: ArtifactId) -> Copy:
    return NodeId(-1) if place.node is None else place.node, place.tier, artifact
