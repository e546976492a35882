"""Plans in hand: letting their steps out in order, and undoing what can no longer happen.

A step that fails gives back what it and the steps after it had taken (`preparation`), and marks the
agenda, so that the work that hoped for them is tried again.
"""

import msgspec

from fleet.adapters import Adapters
from fleet.caches import Caches
from fleet.commands import (
    AttachAdapter,
    Command,
    DetachAdapter,
    Drop,
    Migrate,
    Preempt,
    Sleep,
    StartInstance,
    StopInstance,
    Wake,
)
from fleet.domain import InstanceId
from fleet.holders import Instance, Phase
from fleet.ledger import Cause
from fleet.moves import Moves
from fleet.orders import Orders
from fleet.plans import Plan, PlanRunner, StepId
from fleet.preparation import Preparation
from fleet.state import State
from fleet.view import View


class Execution:
    def __init__(
        self, state: State, view: View, orders: Orders, caches: Caches, adapters: Adapters
    ) -> None:
        self.state = state
        self.view = view
        self.orders = orders
        self.caches = caches
        self.adapters = adapters
        self.moves = Moves(state, orders)
        self.runner: PlanRunner[Command] = PlanRunner()
        self.preparation = Preparation(state, view, orders, caches, adapters)
        self.loadings = self.preparation.loadings

    def begin(self, plan: Plan) -> None:
        """Take on a plan: everything it needs is taken, and its first steps are let out."""
        prepared = self.preparation.prepare(plan, self.runner.next)
        for out, command in self.runner.begin(prepared):
            self._let_out(out, command)

    # Letting out

    def _let_out(self, step: StepId, command: Command) -> None:
        match command:
            case StartInstance():
                instance = self.state.instances[command.instance]
                assert not instance.claim.missing, f"{instance.id} starts on cards it has not got"
                self.state.enter(instance, Phase.LOADING)
                instance.started_at = self.state.now
                self.orders.give(command, step)
            case StopInstance():
                self._let_out_stop(step, command)
            case Migrate():
                self._let_out_migrate(step, command)
            case Preempt():
                if not self.moves.preempt(step, command):
                    self.done(step)
            case Sleep():
                self._let_out_sleep(step, command)
            case AttachAdapter():
                self._let_out_attach(step, command)
            case _:
                self.orders.give(command, step)

    def _let_out_stop(self, step: StepId, command: StopInstance) -> None:
        instance = self.state.instances.get(command.instance)
        if instance is None:
            self.done(step)
        elif instance.load or self.adapters.attaching(instance):
            self._hold_back(instance, step, command)
        else:
            self.state.enter(instance, Phase.STOPPING)
            self.orders.give(command, step)

    def _let_out_sleep(self, step: StepId, command: Sleep) -> None:
        instance = self.state.instances.get(command.instance)
        if instance is None:
            return self.gone(step)
        if instance.load or self.adapters.attaching(instance):
            self._hold_back(instance, step, command)
        else:
            self.state.enter(instance, Phase.SLEEPING)
            self.orders.give(command, step)

    def _hold_back(self, instance: Instance, step: StepId, command: Command) -> None:
        """Until its last request or attach ends."""
        instance.stop_step, instance.held_back = step, command

    def _let_out_migrate(self, step: StepId, command: Migrate) -> None:
        given = self.moves.migrate(step, command)
        if given is None:
            self.failed(step, command)
        elif not given:
            self.done(step)

    def _let_out_attach(self, step: StepId, command: AttachAdapter) -> None:
        """A new instance's slot is taken here; otherwise it was when the plan began."""
        instance = self.state.instances.get(command.instance)
        if instance is None:
            self.failed(step, command)
            return
        if command.adapter not in instance.adapters:
            if instance.adapters.free < 1:
                self.failed(step, command)
                return
            instance.adapters.add(command.adapter, 1, self.state.now)
            source = self.view.source(command.adapter, instance.node)
            self.caches.pin(self.loadings[step], command.adapter, source)
            command = msgspec.structs.replace(command, source=source)
        self.orders.give(command, step)

    def slot_freed(self, instance: Instance) -> None:
        """A request left or an adapter came: others may be served, or it may stop or rest."""
        if self.state.serving[instance.model.id].lanes.waiting:
            self.orders.serve[instance.model.id] = None
        if instance.load or self.adapters.attaching(instance):
            return
        if instance.phase is Phase.READY:
            self.orders.rest[instance.id] = instance
            self.orders.capacity = True
        elif instance.stop_step is not None:
            step, command = instance.stop_step, instance.held_back
            instance.stop_step = instance.held_back = None
            assert command is not None, "a step that is held back has its command"
            self._let_out(step, command)

    # Ending

    def done(self, step: StepId) -> None:
        for out, command in self.runner.done(step):
            self._let_out(out, command)

    def finish(self, step: StepId) -> None:
        """A step that loaded something is done: its copies are there."""
        loading = self.loadings.pop(step, None)
        if loading is not None:
            self.caches.finish(loading)
        self.done(step)

    def gone(self, step: StepId) -> None:
        """A sleeper was lost on its way: its cards are free all the same, its copy never came."""
        loading = self.loadings.pop(step, None)
        if loading is not None:
            self.caches.abort(loading)
        self.done(step)

    def failed(self, step: StepId, command: Command) -> list[Command]:
        """A step failed: undo it, and every step of its plan that was not let out.

        Returns what was undone.
        """
        undone = [(step, command), *((s, c) for s, c in self.runner.failed(step) if s != step)]
        for other, given_up in undone:
            self._undo(other, given_up)
        self.orders.capacity = True
        return [given_up for _, given_up in undone]

    def _undo(self, step: StepId, command: Command) -> None:
        loading = self.loadings.pop(step, None)
        if loading is not None:
            self.caches.abort(loading)
        match command:
            case StartInstance():
                instance = self.state.instances.get(command.instance)
                if instance is not None and instance.step == step:
                    self.state.remove_instance(instance, Cause.WASTED)
                self.orders.scale[command.model] = None
            case StopInstance() | Sleep():
                self._undrain(command.instance, step)
            case Wake():
                self._back_to_sleep(command.instance, step)
            case AttachAdapter():
                self._undo_attach(command)
            case DetachAdapter():
                self._keep_adapter(command)
            case Drop():
                self.caches.not_dropped(command.artifact, command.place)
            case _:
                pass

    def _undrain(self, instance_id: InstanceId, step: StepId) -> None:
        instance = self.state.instances.get(instance_id)
        if instance is None or instance.step != step:
            return
        instance.promised_to = None
        if instance.phase in (Phase.DRAINING, Phase.SLEEPING):
            self.state.enter(instance, Phase.READY)
            self.orders.serve[instance.model.id] = None
            self.orders.rest[instance.id] = instance

    def _back_to_sleep(self, instance_id: InstanceId, step: StepId) -> None:
        instance = self.state.instances.get(instance_id)
        if instance is not None and instance.step == step:
            self.state.ledger.charge(instance.meter, self.state.now, Cause.WASTED)
            self.state.release(instance)
            self.state.enter(instance, Phase.ASLEEP)
            self.orders.rest[instance.id] = instance
            self.orders.scale[instance.model.id] = None

    def _undo_attach(self, command: AttachAdapter) -> None:
        self.adapters.ended(command)
        instance = self.state.instances.get(command.instance)
        if instance is not None:
            entry = instance.adapters.entries.get(command.adapter)
            if entry is not None:
                instance.adapters.remove(entry)
            self.slot_freed(instance)
        spec = self.state.adapters.get(command.adapter)
        if spec is not None:  # who waits for it may have it elsewhere
            self.orders.serve[spec.model] = None

    def _keep_adapter(self, command: DetachAdapter) -> None:
        instance = self.state.instances.get(command.instance)
        if instance is not None:
            instance.adapters.stays(instance.adapters.entries[command.adapter])
