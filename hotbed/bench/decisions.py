"""How long the controller takes to answer one arrival in a fleet at work.

Measured in the running simulation, so that queues, caches and loads are those of real work.
"""

import time
from typing import Any

import numpy as np

from fleet import events as e
from fleet.commands import Command, Dispatch, StartInstance
from fleet.controller import Controller
from hotbed.bench.fleets import CROWD_RECIPE, arrivals, crowd_setup, crowd_world
from hotbed.bench.measures import timed
from hotbed.bench.workloads import crowd
from policies import catalog
from sim.cluster import Cluster
from sim.profiles import load_profile

WARM_UP_PART = 0.5


class Watched(Controller):
    """Notes how long it took over arrivals that it placed (cold) or dispatched at once (warm)."""

    cold_ns: list[int]
    warm_ns: list[int]
    from_s: float

    def handle(self, event: e.Event) -> list[Command]:
        started_ns = time.perf_counter_ns()
        commands = super().handle(event)
        took_ns = time.perf_counter_ns() - started_ns
        if type(event) is e.RequestArrived and event.at >= self.from_s:
            if any(type(command) is StartInstance for command in commands):
                self.cold_ns.append(took_ns)
            elif commands and type(commands[0]) is Dispatch:
                self.warm_ns.append(took_ns)
        return commands


def decisions(requests: int, span_s: float, gpus: int, models: int, seed: int) -> dict[str, Any]:
    """Wall microseconds of cold and warm arrivals in the second half of a crowd's run."""
    requested = crowd(requests, span_s, models, seed)
    profile = load_profile("h100")
    setup = crowd_setup(profile, gpus, models, seed)
    controller = Watched(setup, catalog.build({"recipe": CROWD_RECIPE}))
    controller.cold_ns, controller.warm_ns = [], []
    controller.from_s = WARM_UP_PART * float(requested.arrived_at[-1])
    cluster = Cluster(controller, crowd_world(profile, seed))
    with timed():
        cluster.run(arrivals(requested))
    return {
        "gpus": gpus,
        "models": models,
        "requests": len(requested),
        **_spread(controller.cold_ns),
        "warm": _spread(controller.warm_ns),
    }


def _spread(took_ns: list[int]) -> dict[str, Any]:
    """None where nothing of the kind was decided."""
    if not took_ns:
        return {"decisions": 0, "p50_us": None, "p99_us": None, "most_us": None}
    p50, p99 = np.percentile(took_ns, (50, 99)) / 1e3
    return {
        "decisions": len(took_ns),
        "p50_us": round(float(p50), 1),
        "p99_us": round(float(p99), 1),
        "most_us": max(took_ns) / 1e3,
    }
