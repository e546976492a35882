"""What drivers report about instances, copies and nodes, put into the books.

Each handler first closes the command that is answered; an answer to a command that is no longer
open is late, and ignored. What a fact makes possible goes on the agenda.
"""

from fleet import events as e
from fleet.capacity import Capacity
from fleet.commands import (
    AttachAdapter,
    Command,
    DetachAdapter,
    Drop,
    Fetch,
    Migrate,
    Sleep,
    StartInstance,
    StopInstance,
    Wake,
)
from fleet.domain import NodeId, Place, Tier
from fleet.estimates import load_of
from fleet.execution import Execution
from fleet.holders import Flight, Instance, Phase
from fleet.ledger import Cause
from fleet.orders import Open, Orders
from fleet.pools import Stay
from fleet.state import PENDING, State
from fleet.view import View


class Reports:
    def __init__(
        self, state: State, view: View, orders: Orders, execution: Execution, capacity: Capacity
    ) -> None:
        self.state = state
        self.view = view
        self.orders = orders
        self.execution = execution
        self.capacity = capacity
        self.moves = execution.moves
        self.caches = execution.caches

    # Instances

    def instance_ready(self, event: e.InstanceReady) -> None:
        opened = self.orders.close(event.command)
        if opened is None or not isinstance(opened.command, StartInstance):
            return
        instance = self.state.instances[event.instance]
        self._learn(instance, opened.command.sources, event)
        self.capacity.backoff.succeeded(instance.model.id)
        self._serves(instance, opened)

    def awake(self, event: e.Awake) -> None:
        opened = self.orders.close(event.command)
        if opened is None or not isinstance(opened.command, Wake):
            return
        instance = self.state.instances[event.instance]
        for entry in instance.pinned:
            entry.pins -= 1
        instance.pinned.clear()
        self._serves(instance, opened)

    def _learn(
        self, instance: Instance, sources: tuple[Place, ...], event: e.InstanceReady
    ) -> None:
        """What the load took; a loader that says how long it waited for others is believed."""
        queued_s = dict(event.phases).get("queue", instance.queued_s)
        for shard, source in zip(instance.shards, sources, strict=True):
            node = self.view.node(shard.node)
            tier = source.tier if source.node == shard.node else Tier.REMOTE
            load = load_of(instance.model, tier, len(instance.shards))
            self.view.estimates.saw_load(load, node, event.load_s, queued_s=queued_s)

    def _serves(self, instance: Instance, opened: Open) -> None:
        """Its plan's next steps come before the queue: they may be migrations to it."""
        self.state.enter(instance, Phase.READY)
        self._finish(opened)
        self.orders.serve[instance.model.id] = None
        self.orders.rest[instance.id] = instance
        self.orders.capacity = True

    def instance_stopped(self, event: e.InstanceStopped) -> None:
        opened = self.orders.close(event.command)
        instance = self.state.instances.get(event.instance)
        if opened is None or instance is None:
            return
        for entry in instance.pinned:
            entry.pins -= 1
        broken = self._close_about(instance)
        self.state.remove_instance(instance)
        self.orders.capacity = True
        self._finish(opened)
        for other in broken:
            self._broke(other)

    def slept(self, event: e.Slept) -> None:
        opened = self.orders.close(event.command)
        if opened is None or opened.step is None or not isinstance(opened.command, Sleep):
            return
        instance = self.state.instances[event.instance]
        loading = self.execution.loadings.pop(opened.step)
        for node, tier, entry in loading.coming:
            self.state.cache_here(node, tier, entry)
            entry.pins += 1
            instance.pinned.append(entry)
        instance.pinned += loading.pinned
        for entry in list(instance.adapters.entries.values()):
            instance.adapters.remove(entry)  # GPU memory is given up, adapters with it
        self.state.release(instance)
        self.state.enter(instance, Phase.ASLEEP)
        self.orders.rest[instance.id] = instance
        self.orders.capacity = True
        self.orders.scale[instance.model.id] = None
        self.execution.done(opened.step)

    # Adapters and copies

    def adapter_attached(self, event: e.AdapterAttached) -> None:
        opened = self.orders.close(event.command)
        if opened is None or not isinstance(opened.command, AttachAdapter):
            return
        instance = self.state.instances[event.instance]
        instance.adapters.entries[event.adapter].stay = Stay.HERE
        self.execution.adapters.came(instance, event.adapter, event.load_s)
        self.execution.adapters.ended(opened.command)
        self.execution.adapters.backoff.succeeded(event.adapter)
        self.orders.serve[instance.model.id] = None
        self._finish(opened)
        self.execution.slot_freed(instance)

    def adapter_detached(self, event: e.AdapterDetached) -> None:
        opened = self.orders.close(event.command)
        if opened is None:
            return
        instance = self.state.instances[event.instance]
        instance.adapters.remove(instance.adapters.entries[event.adapter])
        self.orders.serve[instance.model.id] = None
        self._finish(opened)

    def fetched(self, event: e.Fetched) -> None:
        opened = self.orders.close(event.command)
        if opened is not None:
            self._finish(opened)

    def dropped(self, event: e.Dropped) -> None:
        opened = self.orders.close(event.command)
        if opened is not None:
            self.caches.dropped(event.artifact, event.place)
            self._finish(opened)

    def _finish(self, opened: Open) -> None:
        if opened.step is not None:
            self.execution.finish(opened.step)

    # Failures

    def command_failed(self, event: e.CommandFailed) -> Flight | None:
        """Undo it. A dispatch that failed is returned, for its request to be queued again."""
        opened = self.orders.close(event.command)
        if opened is None:
            return self._failed_dispatch(event)
        command = opened.command
        if isinstance(command, Migrate):
            flight = self.state.flights.get(command.request)
            if flight is not None and flight.move is not None:
                target = flight.move.target
                self.moves.undo(flight.move)
                self.execution.slot_freed(target)
        # What the step was for rests too, or a drop that fails would be tried for ever.
        failed = [command] if opened.step is None else self.execution.failed(opened.step, command)
        for one in failed:
            self._back_off(one)
        return None

    def _back_off(self, command: Command) -> None:
        match command:
            case StartInstance():
                self.capacity.rest_until(command.model, self.capacity.backoff)
            case Wake():
                model = self.state.instances[command.instance].model.id
                self.capacity.rest_until(model, self.capacity.backoff)
            case AttachAdapter():
                backoff = self.execution.adapters.backoff
                self.capacity.rest_until(command.adapter, backoff)
            case _:
                pass

    def _failed_dispatch(self, event: e.CommandFailed) -> Flight | None:
        """Dispatches are too many to be kept open one by one; a failed one is looked for."""
        for flight in self.state.flights.values():
            if flight.command == event.command and flight.instance is not None:
                return flight
        return None

    # Losses

    def lose_instance(self, instance: Instance) -> list[Flight]:
        """An engine died: close all that is open about it; returns its requests, oldest first."""
        flights = list(instance.running.values())
        over = [opened for flight in flights for opened in self._leave(flight, instance)]
        stranded = [self.moves.undo(move) for move in list(instance.inbound.values())]
        broken = [o for o in stranded if o is not None] + self._close_about(instance)
        self._forget(instance, wasted=bool(flights))
        for opened in over:
            self._finish(opened)
        if instance.stop_step is not None:
            self.execution.gone(instance.stop_step)
        for opened in broken:
            self._broke(opened)
        return flights

    def lose_node(self, node: NodeId) -> list[Flight]:
        """A node died, and with it every instance that has a shard there, and its copies."""
        flights = []
        # First those still planned: their plans must not go on with what the others leave.
        for instance in sorted(self.state.on_node[node].values(), key=_is_let_out):
            if instance.id in self.state.instances:
                flights += self.lose_instance(instance)
        for opened in [o for o in self.orders.open.values() if _lies_on(o.command, node)]:
            self.orders.close(opened.command.id)
            self._broke(opened)
        self.caches.lose_node(node)
        self.state.nodes.lose(node)
        return flights

    def _leave(self, flight: Flight, instance: Instance) -> list[Open]:
        """A request loses its instance; where it was moving to, its slot is free again."""
        target = flight.move.target if flight.move is not None else None
        over = self.moves.ended(flight)
        self.moves.leave(flight, instance)
        if target is not None:
            self.execution.slot_freed(target)
        return over

    def _close_about(self, instance: Instance) -> list[Open]:
        """Close every order to the instance itself."""
        about = self.orders.about(instance.id)
        for opened in about:
            self.orders.close(opened.command.id)
        return about

    def _forget(self, instance: Instance, *, wasted: bool) -> None:
        for entry in instance.pinned:
            entry.pins -= 1
        instance.pinned.clear()
        wasted = wasted or instance.phase in PENDING
        planned = None if _is_let_out(instance) else instance.step
        self.state.remove_instance(instance, Cause.WASTED if wasted else None)
        self.orders.capacity = True
        self.orders.scale[instance.model.id] = None
        if planned is not None:
            command = self.execution.runner.command(planned)
            assert command is not None, "a planned instance has a plan"
            self.execution.failed(planned, command)

    def _broke(self, opened: Open) -> None:
        """What was lost cannot answer: leaving it is done, anything else on it has failed."""
        if opened.step is None:
            return
        match opened.command:
            case StopInstance() | DetachAdapter():
                self.execution.finish(opened.step)
            case Sleep():
                self.execution.gone(opened.step)
            case command:
                self.execution.failed(opened.step, command)


def _is_let_out(instance: Instance) -> bool:
    """False if the command that starts or wakes it may still be held back by its plan."""
    return instance.phase not in (Phase.PLANNED, Phase.WAKING)


def _lies_on(command: Command, node: NodeId) -> bool:
    match command:
        case Fetch():
            return command.target.node == node
        case Drop():
            return command.place.node == node
        case _:
            return False
