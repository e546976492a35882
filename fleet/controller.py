"""The control plane as a pure state machine: an event in, commands out.

No clock, no chance of its own, no I/O. A driver feeds events in time order and carries out the
commands; a simulator and a live cluster differ only there. Handlers (`requests`, `reports`) put a
fact into the books and note on the agenda what it made possible; `_settle` then asks the policies,
each answer applied before the next question, until nothing is left to ask.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from fleet import events as e
from fleet.adapters import Adapters
from fleet.caches import Caches
from fleet.capacity import Capacity
from fleet.commands import Command
from fleet.domain import (
    AdapterSpec,
    ArtifactId,
    InstanceId,
    ModelId,
    ModelSpec,
    NodeSpec,
    Place,
    Tier,
)
from fleet.estimates import Belief, Estimates
from fleet.execution import Execution
from fleet.holders import Instance, Phase
from fleet.limits import Limits
from fleet.orders import Orders
from fleet.policy import Policy, observers
from fleet.reports import Reports
from fleet.requests import Requests
from fleet.state import Serving, State
from fleet.streams import Streams
from fleet.view import View

Key = TypeVar("Key")
Value = TypeVar("Value")


class Setup(msgspec.Struct, frozen=True):
    """Everything a controller starts from, but its policy. The journal's header holds it."""

    nodes: tuple[NodeSpec, ...]
    models: tuple[ModelSpec, ...]
    adapters: tuple[AdapterSpec, ...] = ()
    resident: tuple[tuple[ArtifactId, Place], ...] = ()  # copies that lie somewhere at the start
    beliefs: dict[str, Belief] = {}
    limits: Limits = Limits()
    seed: int = 0


class Controller:
    def __init__(self, setup: Setup, policy: Policy) -> None:
        self.policy = policy
        self.state = state = State(setup.nodes, setup.models)
        self.orders = orders = Orders(setup.limits.max_answers)
        estimates = Estimates(setup.beliefs, policy.estimation, online=policy.online_estimates)
        self.view = view = View(state, estimates, Streams(setup.seed), orders)
        self.caches = Caches(state, policy, view, orders)
        execution = Execution(state, view, orders, self.caches, Adapters(state, policy, view))
        self.capacity = Capacity(state, policy, view, orders, execution)
        self.reports = Reports(state, view, orders, execution, self.capacity)
        self.requests = Requests(state, policy, view, orders, execution, setup.limits)
        self.execution = execution
        self._begun = False
        self._observers = observers(policy)
        for adapter in setup.adapters:
            state.adapters[adapter.id] = adapter
        for artifact, place in setup.resident:
            self._put(artifact, place)
        self._handlers: dict[type[e.Event], Callable[[Any], None]] = {
            e.RequestArrived: self.requests.arrived,
            e.RequestFinished: self.requests.finished,
            e.RequestFailed: self.requests.failed,
            e.RequestAbandoned: self.requests.abandoned,
            e.Preempted: self.requests.preempted,
            e.Migrated: self.requests.migrated,
            e.InstanceReady: self.reports.instance_ready,
            e.InstanceStopped: self.reports.instance_stopped,
            e.Slept: self.reports.slept,
            e.Awake: self.reports.awake,
            e.AdapterAttached: self.reports.adapter_attached,
            e.AdapterDetached: self.reports.adapter_detached,
            e.Fetched: self.reports.fetched,
            e.Dropped: self.reports.dropped,
            e.CommandFailed: self._command_failed,
            e.InstanceLost: self._instance_lost,
            e.NodeLost: self._node_lost,
            e.NodeJoined: self._node_joined,
            e.ArtifactAdded: self._artifact_added,
            e.ArtifactRemoved: self._artifact_removed,
            e.Progress: self._progress,
            e.TimerFired: self._timer_fired,
        }

    def handle(self, event: e.Event) -> list[Command]:
        """Apply one event and return what must now be done, in order."""
        state, orders = self.state, self.orders
        assert event.at >= state.now, "events must arrive in time order"
        state.now = event.at
        orders.out = []
        orders.answers = 0
        if not self._begun:
            self._begin()
        if self._observers:
            for observe in self._observers.get(type(event), ()):
                observe(event, self.view)
        self._handlers[type(event)](event)
        if orders.serve or orders.scale or orders.rest or orders.capacity:
            self._settle()
        return orders.out

    def _begin(self) -> None:
        self._begun = True
        for number in range(len(self.policy.upkeep)):
            self.capacity.set_upkeep_timer(number)
        self.capacity.set_scaling_timer()

    def _settle(self) -> None:
        """Work off the agenda: first who can be served, then who needs more, then who may rest."""
        orders = self.orders
        while True:
            if orders.serve:
                self.requests.serve(_first(orders.serve)[0])
            elif orders.scale:
                self.capacity.scale(_first(orders.scale)[0])
            elif orders.capacity:
                orders.capacity = False
                if self.state.needs:
                    self.capacity.retry()
            elif orders.rest:
                self.capacity.rest(_first(orders.rest)[1])
            else:
                return

    # Nodes, instances and artifacts that come and go

    def _node_joined(self, event: e.NodeJoined) -> None:
        self.state.add_node(event.node)
        for artifact, tier in event.resident:
            self._put(artifact, Place(event.node.id, tier))
        self.orders.capacity = True

    def _node_lost(self, event: e.NodeLost) -> None:
        if self.state.nodes.alive[event.node]:
            self.requests.requeue(self.reports.lose_node(event.node))

    def _instance_lost(self, event: e.InstanceLost) -> None:
        instance = self.state.instances.get(event.instance)
        if instance is not None:
            self.requests.requeue(self.reports.lose_instance(instance))

    def _command_failed(self, event: e.CommandFailed) -> None:
        flight = self.reports.command_failed(event)
        if flight is not None:
            self.requests.dispatch_failed(flight)

    def _artifact_added(self, event: e.ArtifactAdded) -> None:
        spec = event.artifact
        if isinstance(spec, ModelSpec):
            self.state.serving[spec.id] = Serving(spec)
        else:
            self.state.adapters[spec.id] = spec
        for place in event.places:
            self._put(spec.id, place)

    def _artifact_removed(self, event: e.ArtifactRemoved) -> None:
        """What runs may end; what waits is rejected; copies are left to the retention policy."""
        serving = self.state.serving.get(ModelId(event.artifact))
        if serving is not None:
            serving.removed = True
            self.requests.reject_waiting(serving, "model_removed")
            for instance in list(self.state.instances.values()):
                if instance.model.id == event.artifact and instance.phase is Phase.READY:
                    self._retire(instance)
            return
        adapter = self.state.adapters.pop(event.artifact, None)  # type: ignore[call-overload]
        if adapter is not None:
            parent = self.state.serving[adapter.model]
            self.requests.reject_waiting(parent, "adapter_removed", adapter.id)

    def _retire(self, instance: Instance) -> None:
        if not instance.inbound:
            self.capacity.stop(instance)

    def _put(self, artifact: ArtifactId, place: Place) -> None:
        """A copy that lies there already. What the policy would not keep counts as not there."""
        if place.node is None or place.tier is Tier.GPU:
            return
        if self.policy.retention.keeps(artifact, place.tier, self.view):
            self.caches.put(artifact, place.node, place.tier)

    # Time

    def _progress(self, event: e.Progress) -> None:
        """A sample for people and journals; no decision here needs it."""

    def _timer_fired(self, event: e.TimerFired) -> None:
        kind, _, rest = event.timer.partition("/")
        match kind:
            case "idle":
                self.capacity.rest_over(InstanceId(int(rest)))
            case "age":
                self.requests.expire()
            case "scaling":
                self.capacity.rescale()
            case "upkeep":
                self.capacity.tend(int(rest))
            case "retry":
                self._retry(ArtifactId(int(rest)))
            case _:
                raise ValueError(f"timer {event.timer!r} is none of the controller's")

    def _retry(self, artifact: ArtifactId) -> None:
        """A failed load has rested: whoever waits for it is tried again."""
        adapter = self.state.adapters.get(artifact)  # type: ignore[call-overload]
        model = adapter.model if adapter is not None else ModelId(artifact)
        if model in self.state.serving:
            self.orders.serve[model] = None
            self.orders.scale[model] = None


def _first(agenda: dict[Key, Value]) -> tuple[Key, Value]:
    """Take the entry that was noted first off an agenda."""
    key = next(iter(agenda))
    return key, agenda.pop(key)
