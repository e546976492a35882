"""Other simulators on the same workload W: Dynamo's mocker and sched-sim, where installed.

Each runs in a process of its own (`hotbed.bench.parts`). Both read the Mooncake file that hotbed
reads and get as many replicas, sequences and KV tokens. What they model differs from hotbed's
model and from one another's; here only their speed is measured.
"""

import os
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from hotbed.bench.fleets import W_BATCH, W_CHUNK_TOKENS, W_KV_TOKENS, W_REPLICAS
from hotbed.bench.measures import peak_memory_mib
from hotbed.bench.workloads import Requested, read_w
from traces.formats.mooncake import BLOCK_TOKENS

#: Part of the benchmark -> the distribution that it needs.
PEERS: Final[dict[str, str]] = {
    "dynamo_mocker": "ai-dynamo-runtime",
    "sched_sim": "sched-sim",
}


class PeerError(RuntimeError):
    """A peer did not do the work that its time would be reported for."""


def version(distribution: str) -> str | None:
    """None where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def missing(distribution: str) -> str:
    return f"{distribution} is not installed: pip install -r requirements-bench.lock"


def dynamo_mocker(file: str, requests: int, block_tokens: int) -> dict[str, Any]:
    """Dynamo's offline replay: its mock engines on four workers, round robin, no prefix in common.

    Reading the trace is a part of its one call, and of its time.
    """
    os.environ.setdefault("DYN_LOG", "error")
    from dynamo._core import MockEngineArgs, run_mocker_trace_replay

    engine = MockEngineArgs(
        block_size=block_tokens,
        num_gpu_blocks=W_KV_TOKENS // block_tokens,
        max_num_seqs=W_BATCH,
        max_num_batched_tokens=W_CHUNK_TOKENS,
    )

    def replay() -> int:
        report = run_mocker_trace_replay(
            [file],
            extra_engine_args=engine,
            num_workers=W_REPLICAS,
            replay_mode="offline",
            router_mode="round_robin",
            trace_block_size=BLOCK_TOKENS,
        )
        return int(report["completed_requests"])

    return _timed(replay, requests)


def sched_sim(file: str, requests: int) -> dict[str, Any]:
    """sched-sim simulates one GPU: four copies in turn, requests dealt out round robin.

    Its chunked-prefill scheduler, its A100 preset, and its own count of KV blocks.
    """
    from sched_sim.core.event_engine import Simulator
    from sched_sim.hardware.presets import get_hardware_profile
    from sched_sim.schedulers.factory import create_scheduler

    card = get_hardware_profile("a100")
    every = _sched_sim_requests(read_w(Path(file)))
    events = 0

    def replay() -> int:
        nonlocal events
        for copy in range(W_REPLICAS):
            scheduler = create_scheduler(
                "chunked", card, token_budget=W_CHUNK_TOKENS, max_batch_size=W_BATCH
            )
            simulator = Simulator(card, scheduler)
            simulator.submit_workload(every[copy::W_REPLICAS])
            simulator.run()
            events += simulator.event_counter
        return sum(request.completed_at is not None for request in every)

    facts = _timed(replay, requests)
    return facts | {"events_per_request": events / requests}


def _sched_sim_requests(requested: Requested) -> list[Any]:
    from sched_sim.core.request import Request

    columns = (requested.arrived_at, requested.prompt_tokens, requested.output_tokens)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [
        Request(request_id=str(i), arrived_at=at, prompt_tokens=prompt, output_tokens=output)
        for i, (at, prompt, output) in enumerate(rows)
    ]


def _timed(replay: Callable[[], int], requests: int) -> dict[str, Any]:
    """CPU seconds of all threads. Raises PeerError unless every request was completed."""
    started_s = time.process_time()
    completed = replay()
    cpu_s = time.process_time() - started_s
    if completed != requests:
        raise PeerError(f"it completed {completed} of {requests} requests")
    return {
        "samples": [requests / cpu_s],
        "requests": requests,
        "peak_memory_mib": peak_memory_mib(),
    }
