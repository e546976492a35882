"""A deep picture of a controller's books: what a question must leave as it was.

Left out: indexes that are built when first looked at, and priors that stand for nothing seen yet.
"""

from typing import Any

from fleet.controller import Controller
from fleet.holders import Flight, Instance
from fleet.pools import Pool
from fleet.state import Serving


def picture(controller: Controller) -> dict[str, Any]:
    state, orders, estimates = controller.state, controller.orders, controller.view.estimates
    nodes = state.nodes
    columns = (
        nodes.free_gpus,
        nodes.idle_gpus,
        nodes.largest_part,
        nodes.loading_until,
        nodes.loads,
    )
    return {
        "now": state.now,
        "alive": list(nodes.alive),
        "free": [list(cards) for cards in nodes.free_bytes],
        "columns": [column.tolist() for column in columns],
        "pools": [[of_pool(p) for p in pools.values()] for pools in state.pools],
        "instances": {i: of_instance(x) for i, x in state.instances.items()},
        "serving": {m: of_serving(s, state.now) for m, s in state.serving.items()},
        "flights": {f: of_flight(x) for f, x in state.flights.items()},
        "needs": [(m, m in state.needs) for m in state.serving],
        "waiting": state.waiting,
        "ledger": {t: dict(causes) for t, causes in state.ledger.byte_ns.items()},
        "open": list(orders.open),
        "agenda": [list(orders.serve), list(orders.scale), list(orders.rest), orders.capacity],
        "out": list(orders.out),
        "steps": len(controller.execution.runner),
        "loads": dict(estimates._ratio),
        "lengths": dict(estimates._output_tokens),
    }


def of_pool(pool: Pool) -> list[Any]:
    kept = ("artifact", "size", "stay", "pins", "uses", "used_at", "cost_s", "score")
    entries = [[getattr(e, name) for name in kept] for e in pool.entries.values()]
    return [pool.capacity, pool.used, pool.going, entries]


def of_instance(instance: Instance) -> list[Any]:
    kept = ("phase", "load", "step", "stop_step", "idle_since", "rest_at", "rest_level")
    claims = [instance.claim.held_bytes, dict(instance.claim.missing), instance.claim.closed]
    running, inbound = list(instance.running), list(instance.inbound)
    own = [getattr(instance, name) for name in kept]
    return [*own, *claims, running, inbound, of_pool(instance.adapters), instance.promised_to]


def of_serving(serving: Serving, now: float) -> list[Any]:
    ready = [i.id for i in serving.ready]
    waiting = sorted(f.request.id for f in serving.lanes.flights())
    asleep = list(serving.asleep)
    return [ready, serving.starting, asleep, serving.lanes.waiting, waiting, serving.rate(now)]


def of_flight(flight: Flight) -> list[Any]:
    on = None if flight.instance is None else flight.instance.id
    kept = ("attempts", "command", "told", "dispatched_at", "leaving", "move")
    return [on, *(getattr(flight, name) for name in kept)]
