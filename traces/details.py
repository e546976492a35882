"""Which numbers of a summary the report's table of everything shows, in what order and unit."""

from typing import Final, NamedTuple


class Detail(NamedTuple):
    """`scale` turns the summary's unit into `unit`."""

    group: str
    label: str
    path: str
    unit: str = ""
    scale: float = 1.0


def _spread(group: str, label: str, path: str, unit: str = "s") -> list[Detail]:
    points = (("mean", "mean"), ("p50", "p50"), ("p90", "p90"), ("p95", "p95"), ("p99", "p99"))
    return [Detail(group, f"{label} {name}", f"{path}.{field}", unit) for name, field in points]


def _percent(group: str, label: str, path: str) -> Detail:
    return Detail(group, label, path, "%", 100.0)


_GIB_H: Final = 1 / 2**30 / 3600

DETAILS: Final = (
    *(
        Detail("Requests", name.replace("_", " "), f"requests.{name}")
        for name in (
            "arrived",
            "finished",
            "rejected",
            "timed_out",
            "failed",
            "abandoned",
            "unfinished",
        )
    ),
    Detail("Requests", "preemptions", "preemptions"),
    *_spread("Latency", "TTFT", "latency.ttft_s"),
    *_spread("Latency", "TPOT", "latency.tpot_s"),
    *_spread("Latency", "inter-token", "latency.itl_s"),
    Detail("Latency", "longest gap of a request p99", "latency.longest_gap_s.p99", "s"),
    Detail("Latency", "longest gap of all", "latency.longest_gap_s.max", "s"),
    *_spread("Latency", "end to end", "latency.e2e_s"),
    Detail("Latency", "end to end / tokens, mean", "latency.per_token_s.mean", "s"),
    *_spread("Latency", "queue (without load)", "latency.queue_s"),
    _percent("Objective", "attainment", "objective.attainment"),
    _percent("Objective", "TTFT attainment", "objective.ttft_attainment"),
    _percent("Objective", "TPOT attainment", "objective.tpot_attainment"),
    _percent("Objective", "token attainment", "objective.token_attainment"),
    Detail("Objective", "goodput", "objective.goodput_requests_per_s", "req/s"),
    Detail("Objective", "goodput", "objective.goodput_tokens_per_s", "tokens/s"),
    Detail("Throughput", "offered", "throughput.offered_requests_per_s", "req/s"),
    Detail("Throughput", "finished", "throughput.requests_per_s", "req/s"),
    Detail("Throughput", "output", "throughput.output_tokens_per_s", "tokens/s"),
    Detail("Cold starts", "cold requests", "cold.requests"),
    _percent("Cold starts", "cold ratio", "cold.ratio"),
    Detail("Cold starts", "cold TTFT p50", "cold.ttft_s.p50", "s"),
    Detail("Cold starts", "cold TTFT p99", "cold.ttft_s.p99", "s"),
    Detail("Cold starts", "warm TTFT p99", "cold.warm_ttft_s.p99", "s"),
    Detail("Cold starts", "load time p50", "cold.load_s.p50", "s"),
    Detail("Cold starts", "load time p99", "cold.load_s.p99", "s"),
    Detail("Cold starts", "loads", "cold.loads"),
    Detail("Cold starts", "of them wakes", "cold.wakes"),
    Detail("Cold starts", "loads failed", "cold.loads_failed"),
    _percent("Cold starts", "loads waited for", "cold.load_ratio"),
    Detail("Cold starts", "loads / cold request", "cold.loads_per_cold_request"),
    *(
        Detail("Cache", f"loads from {name}", f"caches.models.loads.{source}")
        for source, name in (
            ("remote", "the remote store"),
            ("ssd", "SSD"),
            ("peer", "another node"),
            ("dram", "DRAM"),
            ("gpu", "GPU"),
        )
    ),
    _percent("Cache", "hit ratio (on the node)", "caches.models.hit_ratio"),
    _percent("Cache", "byte hit ratio", "caches.models.byte_hit_ratio"),
    _percent("Cache", "prompt tokens found in engines", "caches.prefix_hit_ratio"),
    Detail("Cache", "drops from DRAM", "caches.drops_per_min.dram", "1/min"),
    Detail("Cache", "drops from SSD", "caches.drops_per_min.ssd", "1/min"),
    Detail("Adapters", "requests with one", "adapters.requests"),
    Detail("Adapters", "unique", "adapters.unique"),
    Detail("Adapters", "attaches", "adapters.attaches"),
    _percent("Adapters", "cold ratio", "adapters.cold_ratio"),
    Detail("Adapters", "attach time p99", "adapters.attach_s.p99", "s"),
    _percent("Adapters", "hit ratio (on the node)", "caches.adapters.hit_ratio"),
    Detail("Adapters", "load skew, max / mean", "adapters.imbalance_mean"),
    *(
        Detail("GPU time", cause, f"cost.gpu_s.{cause}", "GPU-s")
        for cause in ("serving", "loading", "idle", "migration", "training", "wasted")
    ),
    Detail("GPU time", "held", "cost.gpu_s_total", "GPU-s"),
    _percent("GPU time", "held of the fleet", "cost.held_ratio"),
    Detail("Cost", "total", "cost.price_total", "$"),
    Detail("Cost", "1,000 finished requests", "cost.per_1k_requests", "$"),
    Detail("Cost", "1 M output tokens", "cost.per_1m_tokens", "$"),
    Detail("Cost", "1,000 requests within the objective", "cost.per_good_request", "$", 1e3),
    *(
        Detail("Memory", f"{tier.upper()} {cause}", f"cost.{tier}_byte_s.{cause}", "GiB-h", _GIB_H)
        for tier in ("dram", "ssd")
        for cause in ("serving", "loading", "idle", "migration", "wasted")
    ),
    Detail("Migration", "moved", "migrations.moved"),
    _percent("Migration", "aborted", "migrations.abort_ratio"),
    Detail("Migration", "pause p50", "migrations.pause_s.p50", "s"),
    Detail("Migration", "pause p99", "migrations.pause_s.p99", "s"),
    Detail("Migration", "pause max", "migrations.pause_s.max", "s"),
    Detail("Migration", "rounds mean", "migrations.rounds.mean"),
    Detail("Migration", "bytes moved", "migrations.bytes_moved", "GiB", 1 / 2**30),
    Detail("Fairness", "Jain index, attainment", "tenants.jain_attainment"),
    Detail("Fairness", "Jain index, service", "tenants.jain_service"),
    Detail("Fairness", "worst tenant's p99 TTFT / all", "tenants.worst_p99_ratio"),
)
