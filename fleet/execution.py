"""Plans in hand: beginning them, letting steps out, and undoing what can no longer happen.

Beginning a plan takes everything it needs (cards, cache room, slots, pins), so that no later
decision counts on them. A step that fails gives back what it and the steps after it had taken, and
marks the agenda, so that the work that hoped for them is tried again.
"""

import msgspec

from fleet.adapters import Adapters
from fleet.caches import Caches, Loading
from fleet.cards import Claim
from fleet.commands import (
    AttachAdapter,
    Command,
    DetachAdapter,
    Drop,
    Fetch,
    Migrate,
    Preempt,
    Sleep,
    StartInstance,
    StopInstance,
    Wake,
)
from fleet.domain import InstanceId, NodeId, Place, Tier
from fleet.holders import Instance, Phase
from fleet.ledger import Cause
from fleet.moves import Moves
from fleet.orders import Orders
from fleet.plans import UNNUMBERED, Plan, PlanRunner, Step, StepId, Steps, step_of
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
        self.loadings: dict[StepId, Loading] = {}
        self._next_instance = 0
        self._prepares = {
            StartInstance: self._prepare_start,
            StopInstance: self._prepare_stop,
            Sleep: self._prepare_sleep,
            Wake: self._prepare_wake,
            AttachAdapter: self._prepare_attach,
            DetachAdapter: self._prepare_detach,
            Fetch: self._prepare_fetch,
            Drop: self._prepare_drop,
        }

    # Beginning

    def begin(self, plan: Plan) -> None:
        """Take on a plan: everything it needs is taken, and its first steps are let out."""
        steps = self._number_instances(plan)
        first = self.runner.next
        migrates = {s.command.target for s in steps if isinstance(s.command, Migrate)}
        drops: list[Step[Command]] = []
        for i, step in enumerate(steps):
            prepare = self._prepares.get(type(step.command))
            if prepare is None:
                continue
            command = prepare(StepId(first + i), step.command)  # type: ignore[operator]
            loading = self.loadings.get(StepId(first + i))
            after = step.after
            if loading is not None and loading.drops:
                n = len(steps) + len(drops)
                after += tuple(range(n, n + len(loading.drops)))
                drops += [Step(d) for d in loading.drops]
            steps[i] = Step(command, after)
        self._promise(steps)
        self._mark_migration(migrates)
        for out, command in self.runner.begin(Steps((*steps, *drops), plan.ready_at)):
            self._let_out(out, command)

    def _number_instances(self, plan: Plan) -> list[Step[Command]]:
        """Replace the placeholders of instances that the plan itself starts."""
        ids: dict[int, InstanceId] = {}
        for i, step in enumerate(plan.steps):
            if isinstance(step.command, StartInstance):
                ids[i] = InstanceId(self._next_instance)
                self._next_instance += 1

        def known(command: Command) -> Command:
            named = {
                field: ids[step]
                for field in ("instance", "target")
                if isinstance(at := getattr(command, field, None), int)
                and (step := step_of(InstanceId(at))) is not None
            }
            return msgspec.structs.replace(command, **named) if named else command

        return [Step(known(s.command), s.after) for s in plan.steps]

    def _prepare_start(self, step: StepId, command: StartInstance) -> Command:
        spec = self.state.serving[command.model].spec
        instance = Instance(command.instance, spec, command.shards, Cause.LOADING, self.state.now)
        instance.step = step
        self.state.add_instance(instance)
        loading = Loading()
        for shard, source in zip(command.shards, command.sources, strict=True):
            self.caches.pin(loading, command.model, source)
            if spec.stages == 1:  # a stage's part of the weights is of no use to others
                self.caches.on_the_way(loading, command.model, shard.node, source)
            self._expect_load(shard.node, instance, source)
        self.loadings[step] = loading
        return msgspec.structs.replace(command, keep=loading.keep)

    def _expect_load(self, node: NodeId, instance: Instance, source: Place) -> None:
        """The node's loads are believed to run one after another (ServerlessLLM's q)."""
        spec = self.state.nodes.specs[node]
        tier = source.tier if source.node == spec.id else Tier.REMOTE
        instance.queued_s = self.view.queue_s(node)
        load_s = self.view.estimates.load_s(instance.model, spec, tier)
        self.state.nodes.loading_until[node] = self.state.now + instance.queued_s + load_s

    def _prepare_stop(self, step: StepId, command: StopInstance) -> Command:
        instance = self.state.instances[command.instance]
        assert instance.phase in (Phase.READY, Phase.ASLEEP), (
            f"a plan stops instance {instance.id}, which is {instance.phase.name}"
        )
        assert not instance.inbound, f"instance {instance.id} awaits a migration"
        if instance.phase is Phase.READY:
            self.state.enter(instance, Phase.DRAINING)
            if self.state.serving[instance.model.id].lanes.waiting:
                self.orders.scale[instance.model.id] = None  # who waits for it needs another
        instance.step = step
        return command

    def _prepare_sleep(self, step: StepId, command: Sleep) -> Command:
        """Level 1 needs the weights in the node's DRAM; without room for them it is level 2."""
        instance = self.state.instances[command.instance]
        assert instance.phase is Phase.READY, "only a ready instance can sleep"
        assert not instance.load, "an instance with work cannot sleep"
        assert not self.adapters.attaching(instance), "nor can one that loads an adapter"
        self.state.enter(instance, Phase.DRAINING)
        instance.step = step
        loading = Loading()
        level = command.level
        here = Place(instance.node, Tier.DRAM)
        pool = self.state.pool(instance.node, Tier.DRAM)
        if level == 1 and pool.has(instance.model.id):
            self.caches.pin(loading, instance.model.id, here)
        elif level == 1 and not self.caches.reserve(loading, instance.model.id, here):
            level = 2
        self.loadings[step] = loading
        return msgspec.structs.replace(command, level=level)

    def _prepare_wake(self, step: StepId, command: Wake) -> Command:
        instance = self.state.instances[command.instance]
        assert instance.phase is Phase.ASLEEP, "only a sleeping instance can wake"
        instance.claim = Claim(instance.shards)
        instance.step = step
        self.state.enter(instance, Phase.WAKING)
        self.state.claim(instance)
        loading = Loading()
        self.caches.pin(loading, instance.model.id, command.source)
        self.loadings[step] = loading
        return command

    def _prepare_attach(self, step: StepId, command: AttachAdapter) -> Command:
        self.adapters.begun(command)
        loading = Loading()
        self.loadings[step] = loading
        instance = self.state.instances.get(command.instance)
        if instance is None or instance.phase is Phase.PLANNED:
            return command  # its slot and source are settled when it is let out
        instance.adapters.add(command.adapter, 1, self.state.now)
        self.caches.pin(loading, command.adapter, command.source)
        self.caches.on_the_way(loading, command.adapter, instance.node, command.source)
        return msgspec.structs.replace(command, keep=loading.keep)

    def _prepare_detach(self, step: StepId, command: DetachAdapter) -> Command:
        pool = self.state.instances[command.instance].adapters
        pool.going_out(pool.entries[command.adapter])
        return command

    def _prepare_fetch(self, step: StepId, command: Fetch) -> Command:
        loading = Loading()
        self.loadings[step] = loading
        room = self.caches.reserve(loading, command.artifact, command.target)
        assert room, f"no room in {command.target} for artifact {command.artifact}"
        self.caches.pin(loading, command.artifact, command.source)
        return command

    def _prepare_drop(self, step: StepId, command: Drop) -> Command:
        assert command.place.node is not None, "nothing can be dropped from the remote store"
        pool = self.state.pool(command.place.node, command.place.tier)
        pool.going_out(pool.entries[command.artifact])
        self.state.reindex(command.artifact, command.place.node)
        return command

    def _promise(self, steps: list[Step[Command]]) -> None:
        """Who stops or sleeps in a plan gives its cards to whom the plan starts on them."""
        starts = [
            self.state.instances[s.command.instance]
            for s in steps
            if isinstance(s.command, StartInstance | Wake)
        ]
        short = [i for i in starts if i.claim.missing]
        for step in steps:
            if isinstance(step.command, StopInstance | Sleep):
                victim = self.state.instances[step.command.instance]
                cards = {(s.node, gpu) for s in victim.shards for gpu in s.gpus}
                for instance in short:
                    if cards & instance.claim.missing.keys():
                        victim.promised_to = instance.claim
        for instance in short:
            self._assert_covered(instance)

    def _assert_covered(self, instance: Instance) -> None:
        owed = dict.fromkeys(instance.claim.missing, 0)
        for node, gpu in owed:
            for other in self.state.on_node[node].values():
                if other.promised_to is instance.claim:
                    owed[node, gpu] += sum(
                        s.gpu_bytes for s in other.shards if s.node == node and gpu in s.gpus
                    )
        for card, missing in instance.claim.missing.items():
            assert owed[card] >= missing, f"the plan does not free card {card} for its instance"

    def _mark_migration(self, targets: set[InstanceId]) -> None:
        for target in targets:
            instance = self.state.instances.get(target)
            if instance is not None and instance.phase is Phase.PLANNED:
                instance.meter.cause = Cause.MIGRATION

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
            instance.stop_step = step  # held back until its last request or attach ends
        else:
            self.state.enter(instance, Phase.STOPPING)
            self.orders.give(command, step)

    def _let_out_sleep(self, step: StepId, command: Sleep) -> None:
        instance = self.state.instances.get(command.instance)
        if instance is None:
            return self.gone(step)
        self.state.enter(instance, Phase.SLEEPING)
        self.orders.give(command, step)

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
            step, instance.stop_step = instance.stop_step, None
            self._let_out_stop(step, StopInstance(UNNUMBERED, instance.id))

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
