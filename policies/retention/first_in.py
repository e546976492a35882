"""What came in first leaves first, or what has been active longest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import AdapterId, Tier
from fleet.pools import Entry, Pool
from fleet.view import View
from policies.retention.arrivals import Arrivals
from policies.retention.victims import OnTiers, take


@dataclass(frozen=True)
class FirstInFirstOut(OnTiers):
    """Drop what came in first, however often it was used since.

    It is also what released ServerlessLLM does: its host memory pool stamps a model when it is
    loaded and drops the oldest stamp, which it calls LRU though no use renews a stamp. The paper
    (OSDI'24) says LRU; that is `lru`.
    """

    source: ClassVar[str] = (
        "textbook; ServerlessLLM as released, sllm_store store_manager.py `_lru_eviction`"
    )

    _came: Arrivals = field(default_factory=Arrivals, init=False, repr=False, compare=False)

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        return take((e for e in self._came.of(pool, view.now) if not e.pins), need)

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        self._came.used(pool, entry, view.now)


@dataclass(frozen=True)
class LoraxCycle(OnTiers):
    """Adapter slots take turns: who has been active longest goes, the idle first.

    Of the adapters in slots that no request uses, those nobody waits for leave first, then those
    active for `adapter_cycle_s` or more; in each group the one attached longest ago. Use does not
    renew a turn. In SSD and DRAM it is first in, first out.
    """

    source: ClassVar[str] = "LoRAX, router/src/queue.rs (adapter_cycle_time 2 s)"
    departs: ClassVar[str] = (
        "LoRAX lets an adapter inside its cycle stay and the newcomer wait; here it leaves if "
        "nothing else can, since no timer would ask again."
    )

    adapter_cycle_s: Annotated[float, Meta(ge=0)] = 2.0
    _came: Arrivals = field(default_factory=Arrivals, init=False, repr=False, compare=False)

    def victims(self, pool: Pool, need: int, view: View) -> Sequence[Entry] | None:
        came = self._came.of(pool, view.now)
        order = [e for e in came if not e.pins]
        if pool.tier is Tier.GPU:
            pending = set(pending_adapters(order, view))

            def turn(entry: Entry) -> tuple[bool, bool]:
                in_cycle = view.now - came[entry] < self.adapter_cycle_s
                return entry.artifact in pending, in_cycle

            order.sort(key=turn)
        return take(order, need)

    def used(self, pool: Pool, entry: Entry, view: View) -> None:
        self._came.used(pool, entry, view.now)


def pending_adapters(entries: Sequence[Entry], view: View) -> Iterator[AdapterId]:
    """Adapters that requests wait for, of the model whose adapters these are."""
    for entry in entries:
        adapter = view.known_adapter(entry.artifact)
        if adapter is None:
            continue  # it was removed; so nobody waits for it
        lanes = view.lanes(adapter.model)
        yield from (lane.adapter for lane in lanes if lane.adapter is not None)
        return  # the slots of an instance hold adapters of one model
