"""A run's summary as tables for the terminal.

It knows a `Summary` and how to show it; the numbers themselves are `traces`' own.
"""

from collections.abc import Iterator, Mapping

import msgspec
from rich.console import Group
from rich.table import Table
from rich.text import Text

from traces.numerals import number
from traces.summary import Quantiles, Summary

NOTHING = "-"
BYTES_A_GIB_H = 2**30 * 3600
QUANTILES = ("p50", "p90", "p99", "max", "mean")


def run_table(title: str, summary: Summary) -> Group:
    """Requests and objective, latencies, loads by source, and the ledger."""
    tables = [_facts(summary), _latencies(summary)]
    if summary.cold.by_source:
        tables.append(_loads(summary))
    tables.append(_ledger(summary))
    return Group(Text(title, style="bold"), *tables)


def _plain(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(headings[0])
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    return table


def _facts(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("")
    table.add_column("")
    for name, value in _fact_lines(summary):
        table.add_row(name, value)
    return table


def _fact_lines(summary: Summary) -> Iterator[tuple[str, str]]:
    ends = msgspec.structs.asdict(summary.requests)
    arrived = ends.pop("arrived")
    others = ", ".join(
        f"{count:,} {name.replace('_', ' ')}" for name, count in ends.items() if count
    )
    yield "requests", f"{arrived:,} arrived: {others}" if others else "none"
    objective = summary.objective
    yield (
        "objective",
        f"{_percent(objective.attainment)} with TTFT <= {number(objective.ttft_s)} s and "
        f"TPOT <= {number(objective.tpot_s)} s",
    )
    cold = summary.cold
    yield "cold requests", f"{_percent(cold.ratio)}, {cold.loads:,} loads"
    if summary.adapters.requests:
        attaches = summary.adapters.attaches
        yield "adapter-cold", f"{_percent(cold.adapter_ratio)}, {attaches:,} attaches"
    found = summary.caches.prefix_hit_ratio
    if found is not None:
        yield "prefix caches", f"{_percent(found)} of the prompt tokens found"
    moves = summary.migrations
    if moves.moved or moves.failed or moves.overtaken:
        pause = f", pause p99 {number(moves.pause_s.p99)} s" if moves.pause_s else ""
        yield (
            "migrations",
            f"{moves.moved:,}, {moves.failed + moves.overtaken:,} not completed{pause}",
        )
    if summary.preemptions:
        yield "preemptions", f"{summary.preemptions:,} of {summary.preempted_requests:,} requests"
    yield "load", summary.saturation.in_words


def _latencies(summary: Summary) -> Table:
    table = _plain("seconds", *QUANTILES)
    latency = summary.latency
    rows: dict[str, Quantiles | None] = {
        "TTFT": latency.ttft_s,
        "TTFT, cold": summary.cold.ttft_s,
        "TPOT": latency.tpot_s,
        "end to end": latency.e2e_s,
        "queue (without load)": latency.queue_s,
    }
    for name, spread in rows.items():
        if spread is not None:
            table.add_row(name, *(number(getattr(spread, field)) for field in QUANTILES))
    return table


def _loads(summary: Summary) -> Table:
    table = _plain("loads from", "count", "load p50 (s)", "p99 (s)")
    for source, loads in summary.cold.by_source.items():
        spread = loads.load_s
        times = (number(spread.p50), number(spread.p99)) if spread else (NOTHING, NOTHING)
        table.add_row(source, f"{loads.loads:,}", *times)
    return table


def _ledger(summary: Summary) -> Table:
    """Who held what, and for which part of all that was held."""
    table = _plain("held for", "GPU-s", "share", "cost", "DRAM GiB-h", "SSD GiB-h")
    cost = summary.cost
    for cause in cost.gpu_s:
        gpu_s = cost.gpu_s[cause]
        share = gpu_s / cost.gpu_s_total if cost.gpu_s_total else None
        caches = (_gib_h(held, cause) for held in (cost.dram_byte_s, cost.ssd_byte_s))
        price = f"{cost.price.get(cause, 0.0):.2f}"
        table.add_row(cause, number(gpu_s), _percent(share), price, *caches)
    table.add_row(
        "total",
        number(cost.gpu_s_total),
        f"{_percent(cost.held_ratio)} of fleet",
        f"{cost.price_total:.2f}",
        number(sum(cost.dram_byte_s.values()) / BYTES_A_GIB_H),
        number(sum(cost.ssd_byte_s.values()) / BYTES_A_GIB_H),
    )
    return table


def _gib_h(held: Mapping[str, float], cause: str) -> str:
    return number(held.get(cause, 0.0) / BYTES_A_GIB_H)


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{100 * share:.1f} %"
