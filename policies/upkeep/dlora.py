"""dLoRA: running requests of one base model are spread over its engines as evenly as can be."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

from msgspec import Meta

from fleet.domain import AdapterId
from fleet.holders import Flight, Instance
from fleet.plans import Plan
from fleet.pools import Stay
from fleet.view import View
from policies.room.draining import remaining
from policies.upkeep.attachments import bring
from policies.upkeep.llumnix import BLOCK_TOKENS, tokens
from policies.upkeep.spreading import Engine, Group, Spread

#: By adapter and engine: the requests that run.
Held: TypeAlias = dict[tuple[AdapterId | None, int], list[Flight]]


@dataclass(frozen=True)
class DloraMigration:
    """Every `every_s`, move running requests so that the slowest engine of a base is fastest.

    min max_j [sum of the believed seconds left of j's requests + `move_s` a request moved there
    + max(0, blocks_j - capacity_j) / blocks swapped a second], over how many requests of each
    adapter and engine go to each engine j; an adapter needs a slot where its requests are, slots
    and sequences are bounded. Asked where an engine is `full` (of sequences or of KV blocks) or two
    engines differ by `gap` requests. Solved by branch and bound over at most `most_visits` states,
    from the spread that moving one request at a time off the slowest engine comes to; with more
    than `most_numbers` integers, by that alone. KV blocks are copied. A matter for a timer.
    """

    source: ClassVar[str] = (
        "dLoRA, OSDI'24, section 5; LLMServe/dLoRA-artifact migration_ilp.py, engine_manager.py"
    )
    departs: ClassVar[str] = (
        "Requests alike are counted together, and the search is bounded by states, not by 600 s of "
        "a solver's clock, so that a run can be repeated. Overflow counts as seconds of swapping."
    )

    every_s: Annotated[float, Meta(gt=0)] = 10.0
    full: Annotated[float, Meta(ge=0, le=1)] = 0.9
    gap: Annotated[int, Meta(ge=1)] = 16
    move_s: Annotated[float, Meta(ge=0)] = 0.05
    most_numbers: Annotated[int, Meta(ge=0)] = 400
    most_visits: Annotated[int, Meta(ge=1)] = 2000

    def tend(self, view: View) -> Iterator[Plan]:
        for spec in view.models():
            engines = list(view.ready(spec.id))
            settled = not any(disturbed(e) for e in engines)
            if len(engines) > 1 and settled and self._is_due(engines, view):
                yield from self._of(engines, view)

    def _is_due(self, engines: list[Instance], view: View) -> bool:
        loads = [e.load for e in engines]
        if max(loads) - min(loads) >= self.gap:
            return True
        return any(e.load >= self.full * e.slots or self._is_swelling(e, view) for e in engines)

    def _is_swelling(self, engine: Instance, view: View) -> bool:
        if not engine.model.kv_bytes_per_token:
            return False
        return view.context_tokens(engine) >= self.full * view.kv_tokens(engine)

    def _of(self, engines: list[Instance], view: View) -> Iterator[Plan]:
        held = running_groups(engines)
        if not held:
            return
        spread = self._spread(held, engines, view)
        numbers = len(held) * len(engines)
        small = numbers <= self.most_numbers
        flows = spread.best(self.most_visits) if small else spread.one_by_one()
        if spread.slowest_s(flows) >= spread.slowest_s(spread.stay()):
            return
        for ((adapter, home), flights), row in zip(held.items(), flows, strict=True):
            left = sorted(flights, key=lambda f: (tokens(f, view), f.request.id))
            for j, number in enumerate(row):
                if j != home and number:
                    going, left = left[:number], left[number:]
                    plan = bring(adapter, going, (engines[home], engines[j]), view)
                    if plan is not None:
                        yield plan

    def _spread(self, held: Held, engines: list[Instance], view: View) -> Spread:
        numbers = {a: i for i, a in enumerate(dict.fromkeys(a for a, _ in held)) if a is not None}
        groups = tuple(
            Group(
                -1 if adapter is None else numbers[adapter],
                home,
                len(flights),
                mean([remaining(f, view) for f in flights]),
                mean([tokens(f, view) for f in flights]) / BLOCK_TOKENS,
            )
            for (adapter, home), flights in held.items()
        )
        return Spread(groups, tuple(engine_of(e, view) for e in engines), self.move_s)


def running_groups(engines: list[Instance]) -> Held:
    """What runs, by adapter and place of the engine in the list."""
    held: Held = {}
    for j, engine in enumerate(engines):
        for flight in engine.running.values():
            held.setdefault((flight.request.adapter, j), []).append(flight)
    return held


def engine_of(engine: Instance, view: View) -> Engine:
    block_bytes = max(1, engine.model.kv_bytes_per_token) * BLOCK_TOKENS
    pcie = view.node(engine.node).links.pcie_bytes_per_s
    blocks = min(view.kv_tokens(engine) / BLOCK_TOKENS, 1e12)
    return Engine(engine.slots, engine.adapters.capacity, blocks, pcie / block_bytes)


def disturbed(engine: Instance) -> bool:
    """Something is on its way to it or from it: its adapters and requests are not settled."""
    if engine.inbound or any(e.stay is not Stay.HERE for e in engine.adapters.entries.values()):
        return True
    return any(f.told or f.move is not None for f in engine.running.values())


def mean(values: list[float]) -> float:
    return sum(values) / len(values)
