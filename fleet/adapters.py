"""Adapters on instances: how one gets a slot, and what must leave it first."""

from typing import TypeVar

from fleet.backoff import Backoff
from fleet.commands import AttachAdapter, DetachAdapter
from fleet.domain import AdapterId, InstanceId, Place
from fleet.holders import Instance
from fleet.plans import UNNUMBERED, Plan, Step, Steps
from fleet.policy import Policy
from fleet.pools import Entry
from fleet.state import State
from fleet.view import View

Id = TypeVar("Id", AdapterId, InstanceId)


class Adapters:
    """Proposes attach plans; `execution` carries them out."""

    def __init__(self, state: State, policy: Policy, view: View) -> None:
        self.state = state
        self.policy = policy
        self.view = view
        self.backoff = Backoff()
        # Attaches planned or running, by adapter and by instance.
        self.under_way: dict[AdapterId, int] = {}
        self._into: dict[InstanceId, int] = {}

    def plan(self, instance: Instance, adapter: AdapterId) -> Plan | None:
        """Detach what must go, then attach; None if it is under way, resting, or has no slot."""
        if self.under_way.get(adapter) or self.backoff.waits(adapter, self.state.now):
            return None
        pool = instance.adapters
        if adapter in pool:
            return None
        leaving: tuple[DetachAdapter, ...] = ()
        if pool.free < 1:
            victims = self.policy.retention.victims(pool, 1 - pool.free, self.view)
            if victims is None:
                return None
            leaving = tuple(
                DetachAdapter(UNNUMBERED, instance.id, AdapterId(v.artifact)) for v in victims
            )
        source: Place = self.view.source(adapter, instance.node)
        attach = AttachAdapter(UNNUMBERED, instance.id, adapter, source)
        spec = self.state.adapters[adapter]
        load_s = self.view.estimates.attach_s(spec, self.view.node(instance.node), source.tier)
        first: Plan = Steps(tuple(Step(c) for c in leaving), self.state.now)
        return first.then(attach, self.state.now + load_s)

    def attaching(self, instance: Instance) -> bool:
        """Whether an adapter is on its way to it: somebody waits for that, so it is not idle."""
        return instance.id in self._into

    def came(self, instance: Instance, adapter: AdapterId, attach_s: float) -> None:
        """It is attached: a use like any other for the retention policy."""
        self._used(instance, instance.adapters.entries[adapter], attach_s)

    def use(self, instance: Instance, adapter: AdapterId, arrived_at: float) -> None:
        """A request is sent there that needs it. Those that waited for it to come count as one."""
        entry = instance.adapters.entries[adapter]
        if entry.uses > 1 or arrived_at > entry.used_at:
            self._used(instance, entry, entry.cost_s)

    def _used(self, instance: Instance, entry: Entry, cost_s: float) -> None:
        instance.adapters.touch(entry, self.state.now, cost_s)
        self.policy.retention.used(instance.adapters, entry, self.view)

    def begun(self, command: AttachAdapter) -> None:
        count(self.under_way, command.adapter, 1)
        count(self._into, command.instance, 1)

    def ended(self, command: AttachAdapter) -> None:
        count(self.under_way, command.adapter, -1)
        count(self._into, command.instance, -1)


def count(table: dict[Id, int], key: Id, by: int) -> None:
    """Add to a count that is left out of its table at zero."""
    left = table.get(key, 0) + by
    if left:
        table[key] = left
    else:
        del table[key]
