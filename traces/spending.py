"""What a run loaded, moved, held and paid: the resource side of the summary.

Knows no latency objective; the request side is `traces.metrics`.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from traces.quantiles import quantiles, ratio
from traces.record import Cold, Load, LoadEnd, MoveEnd, Requests, RunRecord, Source
from traces.summary import (
    Adapters,
    Cache,
    Caches,
    ColdStarts,
    Cost,
    Held,
    Migrations,
    Quantiles,
    SourceLoads,
)


def cold_starts_of(record: RunRecord) -> ColdStarts:
    requests = record.requests
    cold = requests.cold == Cold.COLD
    dispatched = int(requests.dispatched.sum())
    adapter_cold = int((requests.cold == Cold.ADAPTER_COLD).sum())
    ready = record.ready_loads
    waited_for = len(np.unique(requests.load[cold]))
    n_cold = int(cold.sum())
    first_s = requests.first_token_at - requests.arrived_at
    done = requests.finished
    return ColdStarts(
        requests=n_cold,
        ratio=ratio(n_cold, dispatched),
        adapter_requests=adapter_cold,
        adapter_ratio=ratio(adapter_cold, dispatched),
        ttft_s=quantiles(first_s[cold & done]),
        warm_ttft_s=quantiles(first_s[(requests.cold == Cold.WARM) & done]),
        load_s=_load_quantiles(ready),
        loads=len(ready),
        wakes=sum(load.wakes for load in ready),
        loads_failed=sum(load.end is LoadEnd.FAILED for load in record.loads),
        loads_waited_for=waited_for,
        load_ratio=ratio(waited_for, len(ready)),
        loads_per_cold_request=ratio(waited_for, n_cold),
        by_source=_by_source(record),
    )


def _load_quantiles(loads: Iterable[Load]) -> Quantiles | None:
    return quantiles(np.array([load.load_s for load in loads], np.float64))


def _by_source(record: RunRecord) -> dict[str, SourceLoads]:
    requests = record.requests
    cold = (requests.cold == Cold.COLD) & requests.finished
    first_s = requests.first_token_at - requests.arrived_at
    by_source = {}
    for source in Source:
        loads = [load for load in record.ready_loads if load.source is source]
        if loads:
            phases = record.phase_s.get(source, {})
            starts = sum(not load.wakes for load in loads)
            by_source[source.name.lower()] = SourceLoads(
                loads=len(loads),
                load_s=_load_quantiles(loads),
                cold_ttft_s=quantiles(first_s[cold & (requests.source == source)]),
                phase_mean_s={name: total / starts for name, total in phases.items()},
            )
    return by_source


def cost_of(record: RunRecord, held: Mapping[str, Held], good_requests: int) -> Cost:
    """`held` is by node kind; a card costs its node's price / its node's cards."""
    price_per_gpu_s = _price_per_gpu_s(record)
    gpu_s = _add_up(own.gpu_s for own in held.values())
    price = _add_up(
        {cause: seconds * price_per_gpu_s.get(kind, 0.0) for cause, seconds in own.gpu_s.items()}
        for kind, own in held.items()
    )
    total_s, paid = sum(gpu_s.values()), sum(price.values())
    fleet_gpu_s = sum(
        record.nodes[node].gpus * (until - since)
        for node, (since, until) in record.nodes_seen_s.items()
    )
    finished = record.requests.finished
    tokens = int(record.requests.tokens[finished].sum())
    return Cost(
        gpu_s=gpu_s,
        gpu_s_total=total_s,
        fleet_gpu_s=fleet_gpu_s,
        held_ratio=ratio(total_s, fleet_gpu_s),
        price=price,
        price_total=paid,
        per_1k_requests=ratio(1e3 * paid, int(finished.sum())),
        per_1m_tokens=ratio(1e6 * paid, tokens),
        per_good_request=ratio(paid, good_requests),
        dram_byte_s=_add_up(own.dram_byte_s for own in held.values()),
        ssd_byte_s=_add_up(own.ssd_byte_s for own in held.values()),
    )


def _price_per_gpu_s(record: RunRecord) -> dict[str, float]:
    """By kind: the mean over its nodes."""
    paid: dict[str, float] = {}
    cards: dict[str, int] = {}
    for node in record.nodes.values():
        paid[node.kind] = paid.get(node.kind, 0.0) + node.price_per_s
        cards[node.kind] = cards.get(node.kind, 0) + node.gpus
    return {kind: paid[kind] / n for kind, n in cards.items() if n}


def _add_up(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for cause, amount in part.items():
            total[cause] = total.get(cause, 0.0) + amount
    return total


def migrations_of(record: RunRecord) -> Migrations:
    moves = record.moves
    moved = moves[moves["outcome"] == MoveEnd.MOVED]
    failed = int((moves["outcome"] == MoveEnd.FAILED).sum())
    overtaken = int((moves["outcome"] == MoveEnd.OVERTAKEN).sum())
    return Migrations(
        moved=len(moved),
        failed=failed,
        overtaken=overtaken,
        abort_ratio=ratio(failed + overtaken, len(moved) + failed + overtaken),
        pause_s=quantiles(moved["pause_s"]),
        total_s=quantiles(moved["done_at"] - moved["started_at"]),
        rounds=quantiles(moved["rounds"].astype(np.float64)),
        bytes_moved=int(moved["bytes_moved"].sum()),
    )


def caches_of(record: RunRecord, span_s: float) -> Caches:
    ready = record.ready_loads
    sources = np.array([load.source for load in ready], np.int64)
    load_bytes = np.array([load.weight_bytes or 0 for load in ready], np.int64)
    attach_bytes = _attach_bytes(record)
    copies = record.copies
    per_min = 60.0 / span_s if span_s else 0.0
    return Caches(
        models=_cache(sources, load_bytes),
        adapters=_cache(record.attaches["source"].astype(np.int64), attach_bytes),
        fetches=copies.fetches,
        fetched_bytes=copies.fetched_bytes,
        drops=copies.drops,
        drops_per_min={tier: n * per_min for tier, n in copies.drops.items()},
        prefix_hit_ratio=_prefix_hit_ratio(record.requests),
    )


def _prefix_hit_ratio(requests: Requests) -> float | None:
    if not requests.prefix_tokens.any():
        return None
    finished = requests.finished
    prompt_tokens = int(requests.prompt_tokens[finished].sum())
    return ratio(int(requests.cached_tokens[finished].sum()), prompt_tokens)


def _attach_bytes(record: RunRecord) -> NDArray[np.int64]:
    adapters, of_attach = np.unique(record.attaches["adapter"], return_inverse=True)
    specs = [record.adapters.get(int(adapter)) for adapter in adapters]
    sizes = np.array([spec.weight_bytes if spec else 0 for spec in specs], np.int64)
    return sizes[of_attach]


def _cache(sources: NDArray[np.int64], loaded_bytes: NDArray[np.int64]) -> Cache:
    names = [source.name.lower() for source in Source]
    loads = np.bincount(sources, minlength=len(names))
    by_source = np.array([loaded_bytes[sources == source].sum() for source in Source], np.int64)
    local = [Source.SSD, Source.DRAM, Source.GPU]
    n, total = int(loads.sum()), int(by_source.sum())
    return Cache(
        loads={name: int(count) for name, count in zip(names, loads, strict=True) if count},
        load_bytes={name: int(size) for name, size in zip(names, by_source, strict=True) if size},
        share={name: int(count) / n for name, count in zip(names, loads, strict=True) if count},
        hit_ratio=ratio(int(loads[local].sum()), n),
        byte_hit_ratio=ratio(int(by_source[local].sum()), total),
    )


def adapters_of(record: RunRecord) -> Adapters:
    requests = record.requests
    using = requests.adapter >= 0
    sent = using & requests.dispatched
    cold = using & (requests.cold == Cold.ADAPTER_COLD)
    first_s = requests.first_token_at - requests.arrived_at
    mean, most = _imbalance(requests.adapter[sent], requests.instance[sent])
    return Adapters(
        requests=int(using.sum()),
        unique=len(np.unique(requests.adapter[using])),
        attaches=len(record.attaches),
        attaches_failed=record.attaches_failed,
        cold_ratio=ratio(int(cold.sum()), int(sent.sum())),
        ttft_s=quantiles(first_s[using & requests.finished]),
        attach_s=quantiles(record.attaches["load_s"]),
        attach_s_by_rank=_attach_s_by_rank(record),
        imbalance_mean=mean,
        imbalance_max=most,
    )


def _attach_s_by_rank(record: RunRecord) -> dict[str, Quantiles]:
    adapters, of_attach = np.unique(record.attaches["adapter"], return_inverse=True)
    specs = [record.adapters.get(int(adapter)) for adapter in adapters]
    ranks = np.array([spec.rank if spec else -1 for spec in specs], np.int64)[of_attach]
    by_rank = {}
    for rank in np.unique(ranks[ranks >= 0]):
        spread = quantiles(record.attaches["load_s"][ranks == rank])
        if spread is not None:
            by_rank[str(rank)] = spread
    return by_rank


def _imbalance(
    adapter: NDArray[np.int32], instance: NDArray[np.int32]
) -> tuple[float | None, float | None]:
    """Max / mean requests an instance, over adapters on two instances or more."""
    width = int(instance.max(initial=0)) + 1
    pairs, requests = np.unique(adapter.astype(np.int64) * width + instance, return_counts=True)
    adapters, starts, replicas = np.unique(pairs // width, return_index=True, return_counts=True)
    if not len(adapters):
        return None, None
    total = np.add.reduceat(requests, starts)
    skew = np.maximum.reduceat(requests, starts) * replicas / total
    shared = replicas >= 2
    if not shared.any():
        return None, None
    return float(np.average(skew[shared], weights=total[shared])), float(skew[shared].max())
