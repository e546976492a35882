"""What a router believes instances' prefix caches hold: the beginnings of prompts it sent there.

It sees no engine: blocks may have been evicted there that it still lists (AIBrix, Preble and llm-d
keep the same). An LRU list an instance holds what fits in its KV cache, a prompt's last block going
first, so that it lists of a prompt always a beginning. It chooses nobody.
"""

from collections.abc import Container
from typing import Any, Final, TypeAlias

from fleet import events as e
from fleet.commands import Dispatch
from fleet.domain import InstanceId, Request
from fleet.view import View

#: A block's id, with the adapter under which it was computed, if any.
Key: TypeAlias = int | tuple[int, int]

#: What an index must see: requests that are sent, and instances that lose their KV cache.
WATCHED: Final = (Dispatch, e.InstanceStopped, e.InstanceLost, e.Slept, e.NodeLost)


def keys(request: Request, most: int) -> tuple[Key, ...]:
    """The first blocks of its prompt, at most so many."""
    adapter, prefix = request.adapter, request.prefix[:most]
    return prefix if adapter is None else tuple((int(adapter), block) for block in prefix)


class PrefixIndex:
    """`most_blocks` of a prompt are looked at, `per_instance` remembered of each instance."""

    def __init__(self, per_instance: int = 31_250, most_blocks: int = 256) -> None:
        self.per_instance = per_instance
        self.most_blocks = most_blocks
        self._held: dict[InstanceId, dict[Key, None]] = {}  # least recently sent first
        self._holders: dict[Key, dict[InstanceId, None]] = {}

    def observe(self, fact: Any, view: View) -> None:
        match fact:
            case Dispatch():
                flight = view.flight(fact.request)
                if flight is not None and flight.request.prefix:
                    self._sent(fact.instance, flight.request, view)
            case e.NodeLost():
                for instance in view.on_node(fact.node):
                    self.drop(instance.id)
            case _:
                self.drop(fact.instance)

    def _sent(self, number: InstanceId, request: Request, view: View) -> None:
        blocks = keys(request, self.most_blocks)
        fit = view.kv_tokens(view.instance(number)) / max(1, request.block_tokens)
        self.sent(number, blocks, int(min(fit, self.per_instance)))

    def sent(
        self, instance: InstanceId, blocks: tuple[Key, ...], capacity: int | None = None
    ) -> None:
        """`capacity`: how many blocks the instance can hold, if fewer than are remembered."""
        capacity = self.per_instance if capacity is None else capacity
        held, holders = self._held.setdefault(instance, {}), self._holders
        for block in reversed(blocks):  # the last is the first to be forgotten
            if block in held:
                del held[block]
            else:
                holders.setdefault(block, {})[instance] = None
            held[block] = None
        while len(held) > capacity:
            oldest = next(iter(held))
            del held[oldest]
            self._leave(oldest, instance)

    def drop(self, instance: InstanceId) -> None:
        """Its cache is gone."""
        for block in self._held.pop(instance, {}):
            self._leave(block, instance)

    def _leave(self, block: Key, instance: InstanceId) -> None:
        holders = self._holders[block]
        del holders[instance]
        if not holders:
            del self._holders[block]

    def matched(self, blocks: tuple[Key, ...], instance: InstanceId) -> int:
        """How many of a prompt's first blocks the instance is believed to hold."""
        held = self._held.get(instance)
        return _leading(blocks, held) if held else 0

    def deepest(self, blocks: tuple[Key, ...]) -> int:
        """How many of a prompt's first blocks some instance is believed to hold."""
        return _leading(blocks, self._holders)

    def longest(self, blocks: tuple[Key, ...], most: int) -> dict[InstanceId, int]:
        """Who holds a beginning, and how many blocks of it: the longest first, `most` at most."""
        found: dict[InstanceId, int] = {}
        for depth in range(self.deepest(blocks), 0, -1):
            holders = self._holders[blocks[depth - 1]]
            if len(holders) == len(found):
                continue  # whoever holds more holds this too
            for instance in holders:
                if len(found) == most:
                    return found
                found.setdefault(instance, depth)
        return found


def _leading(blocks: tuple[Key, ...], known: Container[Key]) -> int:
    """How many of the first blocks are known, where a known block has all before it known."""
    low, high = 0, len(blocks)
    while low < high:
        middle = (low + high + 1) // 2
        if blocks[middle - 1] in known:
            low = middle
        else:
            high = middle - 1
    return low
