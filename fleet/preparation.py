"""What a plan takes at its beginning, so that no later decision counts on it.

Cards are claimed, copies that will be read are pinned, room in caches and adapter slots is reserved
with its own victims, and who must go takes no more requests. Sources are pinned first of all:
the room of one copy must not be that of another which the same plan reads.
"""

from collections.abc import Callable
from typing import Any

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
    Sleep,
    StartInstance,
    StopInstance,
    Wake,
)
from fleet.domain import ArtifactId, InstanceId, NodeId, Place, Tier
from fleet.holders import Instance, Phase
from fleet.ledger import Cause
from fleet.orders import Orders
from fleet.plans import Plan, Step, StepId, Steps, step_of
from fleet.state import State
from fleet.view import View


class Preparation:
    """Turns a policy's plan into one whose commands are complete and whose needs are taken."""

    def __init__(
        self, state: State, view: View, orders: Orders, caches: Caches, adapters: Adapters
    ) -> None:
        self.state = state
        self.view = view
        self.orders = orders
        self.caches = caches
        self.adapters = adapters
        self.loadings: dict[StepId, Loading] = {}  # of every step that loads something
        self._next_instance = 0
        self._prepares: dict[type[Command], Callable[[StepId, Any], Command]] = {
            StartInstance: self._prepare_start,
            StopInstance: self._prepare_stop,
            Sleep: self._prepare_sleep,
            Wake: self._prepare_wake,
            AttachAdapter: self._prepare_attach,
            DetachAdapter: self._prepare_detach,
            Fetch: self._prepare_fetch,
            Drop: self._prepare_drop,
        }

    def prepare(self, plan: Plan, first: StepId) -> Plan:
        """The same plan with its drops added; `first` is the number its first step will have."""
        steps = self._number_instances(plan)
        migrates = {s.command.target for s in steps if isinstance(s.command, Migrate)}
        for i, step in enumerate(steps):
            self._pin_sources(StepId(first + i), step.command)
        drops: list[Step[Command]] = []
        for i, step in enumerate(steps):
            prepare = self._prepares.get(type(step.command))
            if prepare is None:
                continue
            command = prepare(StepId(first + i), step.command)
            loading = self.loadings.get(StepId(first + i))
            before = loading.drops if loading is not None else []
            n = len(steps) + len(drops)
            steps[i] = Step(command, (*step.after, *range(n, n + len(before))))
            drops += [Step(d) for d in before]
        self._promise(steps)
        self._mark_migration(migrates)
        return Steps((*steps, *drops), plan.ready_at)

    def _pin_sources(self, step: StepId, command: Command) -> None:
        """Hold what a step will read. A new instance finds its adapters when it is there."""
        reads: list[tuple[ArtifactId, Place]]
        match command:
            case StartInstance():
                reads = [(command.model, source) for source in command.sources]
            case Wake():
                reads = [(self.state.instances[command.instance].model.id, command.source)]
            case Fetch():
                reads = [(command.artifact, command.source)]
            case AttachAdapter():
                here = command.instance in self.state.instances
                reads = [(command.adapter, command.source)] if here else []
            case _:
                return
        loading = self.loadings[step] = Loading()
        for artifact, source in reads:
            self.caches.pin(loading, artifact, source)

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
        loading = self.loadings[step]
        for shard, source in zip(command.shards, command.sources, strict=True):
            if len(command.shards) == 1:  # a stage's part of the weights is of no use to others
                self.caches.on_the_way(loading, command.model, shard.node, source)
            self._expect_load(shard.node, instance, source)
        return msgspec.structs.replace(command, keep=loading.keep)

    def _expect_load(self, node: NodeId, instance: Instance, source: Place) -> None:
        """Move the time at which the node's loads are believed to end."""
        spec = self.state.nodes.specs[node]
        tier = source.tier if source.node == spec.id else Tier.REMOTE
        stages = len(instance.shards)
        load_s = self.view.estimates.load_s(instance.model, spec, tier, stages)
        ready_at = self.view.ready_at(node, load_s)
        instance.alone_s = load_s
        instance.queued_s = ready_at - self.state.now - load_s
        until = self.state.nodes.loading_until
        until[node] = max(until[node], ready_at)

    def _prepare_stop(self, step: StepId, command: StopInstance) -> Command:
        instance = self.state.instances[command.instance]
        assert instance.phase in (Phase.READY, Phase.ASLEEP), (
            f"a plan stops instance {instance.id}, which is {instance.phase.name}"
        )
        assert not instance.inbound, f"instance {instance.id} awaits a migration"
        if instance.phase is Phase.READY:
            self._drain(instance)
        instance.step = step
        return command

    def _prepare_sleep(self, step: StepId, command: Sleep) -> Command:
        instance = self.state.instances[command.instance]
        assert instance.phase is Phase.READY, "only a ready instance can sleep"
        assert not instance.inbound, f"instance {instance.id} awaits a migration"
        self._drain(instance)
        instance.step = step
        return msgspec.structs.replace(command, level=self._sleep_level(step, command, instance))

    def _drain(self, instance: Instance) -> None:
        """No new requests from here on; whoever waits may need another instance for it."""
        self.state.enter(instance, Phase.DRAINING)
        if self.state.serving[instance.model.id].lanes.waiting:
            self.orders.scale[instance.model.id] = None

    def _sleep_level(self, step: StepId, command: Sleep, instance: Instance) -> int:
        """Level 1 needs all its weights in the DRAM of its node: a pipeline has no such node."""
        loading = self.loadings[step] = Loading()
        here = Place(instance.node, Tier.DRAM)
        if command.level != 1 or len(instance.shards) > 1:
            return 2
        if self.state.pool(instance.node, Tier.DRAM).has(instance.model.id):
            self.caches.pin(loading, instance.model.id, here)
            return 1
        return 1 if self.caches.reserve(loading, instance.model.id, here) else 2

    def _prepare_wake(self, step: StepId, command: Wake) -> Command:
        instance = self.state.instances[command.instance]
        assert instance.phase is Phase.ASLEEP, "only a sleeping instance can wake"
        instance.claim = Claim(instance.shards)
        instance.step = step
        self.state.enter(instance, Phase.WAKING)
        self.state.claim(instance)
        return command

    def _prepare_attach(self, step: StepId, command: AttachAdapter) -> Command:
        self.adapters.begun(command)
        instance = self.state.instances.get(command.instance)
        if instance is None or instance.phase is Phase.PLANNED:
            return command  # its slot and source are settled when it is let out
        instance.adapters.add(command.adapter, 1, self.state.now)
        loading = self.loadings[step]
        self.caches.on_the_way(loading, command.adapter, instance.node, command.source)
        return msgspec.structs.replace(command, keep=loading.keep)

    def _prepare_detach(self, step: StepId, command: DetachAdapter) -> Command:
        pool = self.state.instances[command.instance].adapters
        pool.going_out(pool.entries[command.adapter])
        return command

    def _prepare_fetch(self, step: StepId, command: Fetch) -> Command:
        room = self.caches.reserve(self.loadings[step], command.artifact, command.target)
        assert room, f"no room in {command.target} for artifact {command.artifact}"
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
