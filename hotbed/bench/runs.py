"""The benchmark's runs of the simulator: workload W, and a crowd of models on many GPUs.

Each is run in a process of its own (`hotbed.bench.parts`) and answers with plain numbers.
"""

import cProfile
from pathlib import Path
from typing import Any

import numpy as np

from fleet.controller import Controller
from hotbed.bench.fleets import (
    CROWD_RECIPE,
    a100_profile,
    arrivals,
    crowd_setup,
    crowd_world,
    w_controller,
    w_world,
)
from hotbed.bench.measures import MIB, memory_mib, peak_memory_mib, timed
from hotbed.bench.workloads import crowd, read_w
from policies import catalog
from sim.cluster import Cluster
from sim.profiles import load_profile
from traces.collector import Recorder
from traces.record import Cold, Outcome, RunRecord, Source

REPETITIONS = 3


def w(
    file: str,
    requests: int,
    seed: int,
    *,
    recorded: bool,
    profile: cProfile.Profile | None = None,
) -> dict[str, Any]:
    """Workload W on four replicas, with or without the metrics recorder, a few times over.

    The recorder's own columns are part of the measured time. Raises TraceError.
    """
    requested = read_w(Path(file)).first(requests)
    card = a100_profile()
    samples = []
    for _ in range(REPETITIONS):
        recorder = Recorder() if recorded else None
        observe = recorder.observe if recorder is not None else None
        cluster = Cluster(w_controller(card), w_world(card, seed), observe)
        with timed(profile) as clock:
            cluster.run(arrivals(requested))
            record = recorder.record() if recorder is not None else None
        samples.append(len(requested) / clock.cpu_s)
    facts: dict[str, Any] = {
        "samples": samples,
        "requests": len(requested),
        "wake_ups_per_request": cluster.env.armed / len(requested),
        "peak_memory_mib": peak_memory_mib(),
        "simulated_s": cluster.end_at,
    }
    if recorder is not None and record is not None:
        facts |= {"events_per_request": recorder.events / len(requested), **_outcomes(record)}
    return facts


def fleet(
    requests: int,
    span_s: float,
    gpus: int,
    models: int,
    seed: int,
    *,
    profile: cProfile.Profile | None = None,
) -> dict[str, Any]:
    """Cold starts, tiers, caches, KV blocks and metrics, all on."""
    requested = crowd(requests, span_s, models, seed)
    card = load_profile("h100")
    setup = crowd_setup(card, gpus, models, seed)
    controller = Controller(setup, catalog.build({"recipe": CROWD_RECIPE}))
    recorder = Recorder(setup.nodes, setup.models)
    cluster = Cluster(controller, crowd_world(card, seed), recorder.observe)
    before_mib = memory_mib()
    with timed(profile) as clock:
        cluster.run(arrivals(requested))
    after_mib = memory_mib()
    n = len(requested)
    return {
        "samples": [n / clock.cpu_s],
        "requests": n,
        "gpus": gpus,
        "models": models,
        "cpu_us_per_request": 1e6 * clock.cpu_s / n,
        "events_per_request": recorder.events / n,
        "wake_ups_per_request": cluster.env.armed / n,
        "metric_bytes_per_request": recorder.nbytes / n,
        "memory_bytes_per_request": (after_mib - before_mib) * MIB / n,
        "peak_memory_mib": peak_memory_mib(),
        "simulated_s": cluster.end_at,
        **_outcomes(recorder.record()),
    }


def _outcomes(record: RunRecord) -> dict[str, Any]:
    """How the requests fared, and where instances were loaded from."""
    requests = record.requests
    loads = len(record.loads)
    sources = np.bincount([load.source for load in record.loads], minlength=len(Source))
    return {
        "finished": int((requests.outcome == Outcome.FINISHED).sum()),
        "starts": loads,
        "cold_request_ratio": float((requests.cold == Cold.COLD).mean()),
        "load_source_ratio": {
            source.name.lower(): float(sources[source]) / loads for source in Source if loads
        },
        "migrations": len(record.moves),
    }
