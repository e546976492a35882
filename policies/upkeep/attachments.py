"""Plans that attach adapters where they are not, make a slot for them, and bring requests there."""

from fleet.commands import AttachAdapter, By, Command, DetachAdapter, Migrate
from fleet.domain import AdapterId
from fleet.holders import Flight, Instance
from fleet.plans import UNNUMBERED, Plan, Step, Steps
from fleet.view import View


def attach(
    adapter: AdapterId, instance: Instance, view: View, leaves: AdapterId | None = None
) -> Plan | None:
    """Attach it there, in a free slot or in that of one that leaves, or of the longest unused.

    None if it is there or on its way, or if no slot can be had.
    """
    pool = instance.adapters
    if adapter in pool or not pool.capacity:
        return None
    steps: list[Step[Command]] = []
    if pool.free < 1:
        unused = [AdapterId(e.artifact) for e in pool.evictable()]
        if leaves is not None:
            unused = [a for a in unused if a == leaves]
        if not unused or pool.free < 0:
            return None
        steps.append(Step(DetachAdapter(UNNUMBERED, instance.id, unused[0])))
    source = view.source(adapter, instance.node)
    after = tuple(range(len(steps)))
    steps.append(Step(AttachAdapter(UNNUMBERED, instance.id, adapter, source), after))
    node = view.node(instance.node)
    load_s = view.estimates.attach_s(view.adapter(adapter), node, source.tier)
    return Steps(tuple(steps), view.now + load_s)


def bring(
    adapter: AdapterId | None, flights: list[Flight], way: tuple[Instance, Instance], view: View
) -> Plan | None:
    """Migrate requests with the adapter from one instance to another by KV; attach it first.

    None if the adapter is on its way there or off it, or can have no slot.
    """
    source, target = way
    first: Plan | None = None
    if adapter is not None and not target.has(adapter):
        first = attach(adapter, target, view)
        if first is None:
            return None
    steps = list(first.steps) if first is not None else []
    after = tuple(range(len(steps)))
    for flight in flights:
        move = Migrate(UNNUMBERED, flight.request.id, source.id, target.id, By.KV)
        steps.append(Step(move, after))
    return Steps(tuple(steps), first.ready_at if first is not None else view.now)
