"""A driver played by hand: it holds every open command, and answers when it is told to.

`HandDriver` carries no command out by itself. It checks each command against its books, puts each
event into them before the controller hears of it, and compares the two pictures afterwards.
"""

from collections.abc import Callable, Iterator
from typing import Any

from fleet import audit
from fleet import commands as c
from fleet import events as e
from fleet.controller import Controller, Setup
from fleet.domain import (
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
    TenantId,
    Tier,
)
from fleet.policy import Policy
from fleet.pools import Stay
from tests.machines.answering import answers, late
from tests.machines.books import Books, Job

Entry = tuple[e.Event, tuple[c.Command, ...]]


class HandDriver:
    def __init__(self, setup: Setup, policy: Policy) -> None:
        self.setup = setup
        self.controller = Controller(setup, policy)
        self.books = Books(setup)
        self.history: list[Entry] = []
        self.stale: list[c.Command] = []  # closed by a loss; their answers may still come
        self.requests = 0
        self.sound = True  # no check has failed

    @property
    def now(self) -> float:
        return self.books.now

    # Time

    def wait(self, seconds: float) -> None:
        """Let time pass, to the earliest timer at most."""
        until = min((t.at for t in self.books.timers), default=float("inf"))
        self.books.now = min(self.now + seconds, max(until, self.now))

    def tick(self) -> c.SetTimer:
        """Fire the earliest timer at its time."""
        timer = min(self.books.timers, key=lambda t: (t.at, t.id))
        self.books.timers.remove(timer)
        self.books.now = max(self.now, timer.at)
        self.tell(e.TimerFired(self.now, timer.id, timer.timer))
        return timer

    # Events

    def tell(self, event: e.Event) -> list[c.Command]:
        """One event, into the books and then to the controller; checks what it commands."""
        self.sound = False
        known = _EFFECTS.get(type(event))
        if known is not None:
            known(self, event)
        commands = self.controller.handle(event)
        self.history.append((event, tuple(commands)))
        for command in commands:
            self.books.take(command)
        self.compare()
        self.sound = True
        return commands

    def compare(self) -> None:
        """The controller's picture is the truth, as far as a driver knows it."""
        state = self.controller.state
        audit.check(state)
        assert state.flights.keys() == self.books.jobs.keys()
        assert self.controller.orders.open.keys() == self.books.open.keys()
        assert {i for i in state.instances if i in self.books.seen} == self.books.engines.keys()
        believed = {
            (NodeId(node), tier, artifact)
            for node, pools in enumerate(state.pools)
            for tier, pool in pools.items()
            for artifact, entry in pool.entries.items()
            if entry.stay is Stay.HERE
        }
        here = {copy for copy, stay in self.books.copies.items() if stay == "here"}
        assert believed <= here, f"copies believed that are not there: {believed - here}"

    def arrive(
        self,
        model: int,
        adapter: int | None = None,
        tenant: int = 0,
        deadline_s: float | None = None,
    ) -> RequestId:
        """A request; returns its number."""
        number = RequestId(self.requests)
        self.requests += 1
        request = Request(
            number,
            ModelId(ArtifactId(model)),
            None if adapter is None else AdapterId(ArtifactId(adapter)),
            self.now,
            10,
            20,
            TenantId(tenant),
            None if deadline_s is None else self.now + deadline_s,
        )
        self.tell(e.RequestArrived(self.now, request))
        return number

    def abandon(self, request: RequestId) -> None:
        self.tell(e.RequestAbandoned(self.now, request))

    def lose_instance(self, instance: InstanceId) -> None:
        self.tell(e.InstanceLost(self.now, instance, "crashed"))

    def lose_node(self, node: NodeId) -> None:
        self.tell(e.NodeLost(self.now, node))

    def join(self, spec: NodeSpec, resident: tuple[tuple[ArtifactId, Tier], ...] = ()) -> None:
        self.tell(e.NodeJoined(self.now, spec, resident))

    def add(self, spec: ModelSpec | AdapterSpec, places: tuple[Place, ...] = ()) -> None:
        self.tell(e.ArtifactAdded(self.now, spec, places))

    def remove(self, artifact: int) -> None:
        self.tell(e.ArtifactRemoved(self.now, ArtifactId(artifact)))

    # Answers

    def open(self) -> list[c.Command]:
        """Every command that waits for its answer, timers left out, in order."""
        dispatches = (j.dispatch for j in self.books.jobs.values())
        waiting = [*self.books.open.values(), *(d for d in dispatches if d is not None)]
        return sorted(waiting, key=lambda command: command.id)

    def only(self, kind: type[c.Command]) -> Any:
        """The one open command of a kind."""
        (found,) = [o for o in self.open() if type(o) is kind]
        return found

    def succeed(self, command: c.Command) -> list[c.Command]:
        """Answer with the first event that the table allows: it did as it was told."""
        return self.tell(next(self.answers(command)))

    def succeed_only(self, kind: type[c.Command]) -> list[c.Command]:
        return self.succeed(self.only(kind))

    def fail(self, command: c.Command) -> list[c.Command]:
        return self.tell(e.CommandFailed(self.now, command.id, "it broke"))

    def answers(self, command: c.Command) -> Iterator[e.Event]:
        """Every event that may answer an open command as things are, its success first."""
        return answers(self.books, command)

    def late(self, command: c.Command) -> e.Event | None:
        """The success of a command that something lost has closed: it is to be ignored."""
        return late(self.books, command)

    # Their effects on the books

    def _arrived(self, event: e.RequestArrived) -> None:
        self.books.jobs[event.request.id] = Job(event.request)

    def _over(self, event: e.RequestFinished | e.RequestFailed) -> None:
        if self._off(event.request, event.command):
            self.books.end(event.request)

    def _preempted(self, event: e.Preempted) -> None:
        self._off(event.request, event.command)

    def _off(self, request: RequestId, dispatch: CommandId) -> bool:
        """Take a request off its instance; False if that is old news."""
        job = self.books.jobs.get(request)
        if job is None or job.dispatch is None or job.dispatch.id != dispatch:
            return False
        assert job.instance is not None
        self.books.engines[job.instance].running.discard(request)
        for order in job.orders:
            del self.books.open[order]
        job.orders.clear()
        job.dispatch = job.instance = None
        return True

    def _migrated(self, event: e.Migrated) -> None:
        command = self.books.open.pop(event.command, None)
        if not isinstance(command, c.Migrate):
            return
        job = self.books.jobs[event.request]
        del job.orders[event.command]
        job.instance = command.target
        self.books.engines[command.source].running.remove(event.request)
        self.books.engines[command.target].running.add(event.request)

    def _ready(self, event: e.InstanceReady | e.Awake) -> None:
        if self._close(event.command, came=True):
            engine = self.books.engines[event.instance]
            engine.phase = "ready"
            engine.copy = None

    def _slept(self, event: e.Slept) -> None:
        if self._close(event.command, came=True):
            engine = self.books.engines[event.instance]
            engine.phase = "asleep"
            engine.holds = False
            engine.slots.clear()

    def _stopped(self, event: e.InstanceStopped) -> None:
        if self._close(event.command, came=False):
            self._instance_gone(event.instance)

    def _attached(self, event: e.AdapterAttached) -> None:
        if self._close(event.command, came=True):
            self.books.engines[event.instance].slots[event.adapter] = "attached"

    def _detached(self, event: e.AdapterDetached) -> None:
        if self._close(event.command, came=True):
            del self.books.engines[event.instance].slots[event.adapter]

    def _fetched(self, event: e.Fetched) -> None:
        self._close(event.command, came=True)

    def _dropped(self, event: e.Dropped) -> None:
        if self._close(event.command, came=True):
            assert event.place.node is not None
            del self.books.copies[event.place.node, event.place.tier, event.artifact]

    def _close(self, command: CommandId, *, came: bool) -> c.Command | None:
        """A command is over; what it was to bring is there, or is not."""
        closed = self.books.open.pop(command, None)
        for copy in self.books.coming.pop(command, ()):
            if came and copy in self.books.copies:
                self.books.copies[copy] = "here"
            else:
                self.books.copies.pop(copy, None)
        return closed

    def _failed(self, event: e.CommandFailed) -> None:
        command = self._close(event.command, came=False)
        match command:
            case None:
                for job in list(self.books.jobs.values()):
                    if job.dispatch is not None and job.dispatch.id == event.command:
                        self._off(job.request.id, event.command)
            case c.Migrate():
                del self.books.jobs[command.request].orders[command.id]
            case c.StartInstance():
                self.books.engines.pop(command.instance)
            case c.Sleep():
                self.books.engines[command.instance].phase = "ready"
                self.books.engines[command.instance].copy = None
            case c.Wake():
                self.books.engines[command.instance].phase = "asleep"
                self.books.engines[command.instance].holds = False
            case c.AttachAdapter():
                del self.books.engines[command.instance].slots[command.adapter]
            case c.DetachAdapter():
                self.books.engines[command.instance].slots[command.adapter] = "attached"
            case c.Drop():
                assert command.place.node is not None
                copy = (command.place.node, command.place.tier, command.artifact)
                self.books.copies[copy] = "here"

    # Losses

    def _instance_lost(self, event: e.InstanceLost) -> None:
        if event.instance in self.books.engines:
            self._instance_gone(event.instance)

    def _instance_gone(self, instance: InstanceId) -> None:
        for request in list(self.books.engines[instance].running):
            job = self.books.jobs[request]
            assert job.dispatch is not None
            self.stale += [job.dispatch, *job.orders.values()]
            self._off(request, job.dispatch.id)
        for move in self.books.migrations():
            if move.target == instance:
                del self.books.jobs[move.request].orders[move.id]
                self._closed_by_loss(move)
        for command in list(self.books.open.values()):
            if getattr(command, "instance", None) == instance:
                self._closed_by_loss(command)
        del self.books.engines[instance]

    def _closed_by_loss(self, command: c.Command) -> None:
        self._close(command.id, came=False)
        self.stale.append(command)

    def _node_lost(self, event: e.NodeLost) -> None:
        for instance, engine in list(self.books.engines.items()):
            if any(s.node == event.node for s in engine.shards):
                self._instance_gone(instance)
        for command in list(self.books.open.values()):
            gone = isinstance(command, c.Fetch) and command.target.node == event.node
            if gone or (isinstance(command, c.Drop) and command.place.node == event.node):
                self._closed_by_loss(command)
        for copy in [copy for copy in self.books.copies if copy[0] == event.node]:
            del self.books.copies[copy]
        self.books.nodes.pop(event.node, None)

    def _joined(self, event: e.NodeJoined) -> None:
        self.books.nodes[event.node.id] = event.node
        for artifact, tier in event.resident:
            self.books.copies[event.node.id, tier, artifact] = "here"

    def _added(self, event: e.ArtifactAdded) -> None:
        spec = event.artifact
        self.books.sizes[spec.id] = spec.weight_bytes
        if isinstance(spec, ModelSpec):
            self.books.models[spec.id] = spec
        else:
            self.books.adapters[spec.id] = spec
        for place in event.places:
            if place.node is not None:
                self.books.copies[place.node, place.tier, spec.id] = "here"


_EFFECTS: dict[type[e.Event], Callable[[HandDriver, Any], None]] = {
    e.RequestArrived: HandDriver._arrived,
    e.RequestFinished: HandDriver._over,
    e.RequestFailed: HandDriver._over,
    e.Preempted: HandDriver._preempted,
    e.Migrated: HandDriver._migrated,
    e.InstanceReady: HandDriver._ready,
    e.Awake: HandDriver._ready,
    e.Slept: HandDriver._slept,
    e.InstanceStopped: HandDriver._stopped,
    e.AdapterAttached: HandDriver._attached,
    e.AdapterDetached: HandDriver._detached,
    e.Fetched: HandDriver._fetched,
    e.Dropped: HandDriver._dropped,
    e.CommandFailed: HandDriver._failed,
    e.InstanceLost: HandDriver._instance_lost,
    e.NodeLost: HandDriver._node_lost,
    e.NodeJoined: HandDriver._joined,
    e.ArtifactAdded: HandDriver._added,
}
