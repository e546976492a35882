"""The benchmark's results as tables for people. It knows the keys of the results, and no run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hotbed.bench.policies import slow

PEER_NAMES = {
    "dynamo_mocker": "Dynamo, blocks of 16",
    "dynamo_mocker.block_512": "Dynamo, blocks of 512",
    "sched_sim": "sched-sim, 4 copies",
}
MOST_MODULES = 12


def tables(results: dict[str, Any]) -> RenderableType:
    """All that was measured, each kind in a table of its own."""
    shown: list[RenderableType] = [_where(results)]
    if any(name in results for name in ("workload_w", "dynamo_mocker", "sched_sim")):
        shown.append(_w_table(results))
    if "fleet_10k" in results or "fleet_sizes" in results:
        shown.append(_fleet_table(results))
    if any(key.startswith("decisions_") for key in results):
        shown.append(_decision_table(results))
    for title, shares in _shares(results):
        shown.append(_share_table(title, shares))
    return Group(*shown)


def _where(results: dict[str, Any]) -> Text:
    seen = results["machine"]
    load = ", ".join(f"{each:.1f}" for each in seen["load_average"])
    return Text(
        f"{seen['cpu']}, {seen['cores']} cores (load {load}), Python {seen['python']}, "
        f"commit {results['commit'] or 'unknown'}, seed {results['seed']}"
    )


def _w_table(results: dict[str, Any]) -> Table:
    trace = results["trace"]
    title = f"Workload W: {trace['requests']:,} requests on 4 replicas ({trace['source']})"
    columns = ("requests\n/ CPU-s", "least - most", "hotbed\nis", "events", "peak\nMiB")
    table = _table(title, *columns)
    ours = results.get("workload_w")
    if ours is not None:
        table.add_row("hotbed, metrics on", *_speed(ours))
        table.add_row("hotbed, metrics off", *_speed(ours["without_recorder"]))
    for key, name in PEER_NAMES.items():
        outer, _, inner = key.partition(".")
        facts = results.get(outer, {})
        facts = facts.get(inner) if inner else facts
        if facts and facts["requests_per_cpu_s"] is None:
            table.add_row(name, "not run")
            table.caption = facts["missing"]
        elif facts:
            table.add_row(name, *_speed(facts))
    return table


def _speed(facts: dict[str, Any]) -> tuple[str, ...]:
    ratio = facts.get("ratio")
    events = facts.get("events_per_request")
    return (
        f"{facts['requests_per_cpu_s']:,.0f}",
        f"{facts['least']:,.0f} - {facts['most']:,.0f}",
        "" if ratio is None else f"{ratio:.1f} x",
        "" if events is None else f"{events:.2f}",
        f"{facts['peak_memory_mib']:,.0f}",
    )


def _fleet_table(results: dict[str, Any]) -> Table:
    columns = ("requests\n/ CPU-s", "us each", "events", "starts", "cold")
    more = ("DRAM,\nSSD", "bytes\neach", "peak\nMiB")
    title = "Cold starts, tiers, caches and metrics on: GPUs, and a fifth as many models"
    table = _table(title, *columns, *more, heading="GPUs")
    fleets = [*results.get("fleet_sizes", {}).values()]
    fleets += [results["fleet_10k"]] if "fleet_10k" in results else []
    for facts in sorted(fleets, key=lambda each: int(each["gpus"])):
        loads = facts["load_source_ratio"]
        table.add_row(
            f"{facts['gpus']:,}",
            f"{facts['requests_per_cpu_s']:,.0f}",
            f"{facts['cpu_us_per_request']:.1f}",
            f"{facts['events_per_request']:.2f}",
            f"{facts['starts']:,}",
            f"{facts['cold_request_ratio']:.0%}",
            f"{loads.get('dram', 0.0) + loads.get('ssd', 0.0):.0%}",
            f"{facts['memory_bytes_per_request']:,.0f}",
            f"{facts['peak_memory_mib']:,.0f}",
        )
    return table


def _decision_table(results: dict[str, Any]) -> Table:
    title = "One arrival in a fleet at work, microseconds of wall time"
    columns = ("placed", "p50", "p99", "dispatched", "p50", "p99")
    table = _table(title, *columns, heading="GPUs")
    for key, facts in results.items():
        if key.startswith("decisions_"):
            table.add_row(f"{facts['gpus']:,}", *_times(facts), *_times(facts["warm"]))
    return table


def _times(facts: dict[str, Any]) -> tuple[str, ...]:
    times = (facts["p50_us"], facts["p99_us"])
    return f"{facts['decisions']:,}", *("-" if us is None else f"{us:,.1f}" for us in times)


def _shares(results: dict[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    runs = {"workload W": results.get("workload_w"), "10,000 GPUs": results.get("fleet_10k")}
    for title, facts in runs.items():
        if facts is not None and "cpu_shares" in facts:
            yield title, facts["cpu_shares"]


def _share_table(title: str, shares: dict[str, float]) -> Table:
    table = _table(f"CPU time, {title}", "share", heading="module")
    for module, share in list(shares.items())[:MOST_MODULES]:
        table.add_row(module, f"{share:.1%}")
    table.add_row("the rest", f"{sum(list(shares.values())[MOST_MODULES:]):.1%}")
    return table


def _table(title: str, *columns: str, heading: str = "") -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left", box=SIMPLE_HEAD)
    table.add_column(heading)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def decision_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Microseconds; a star marks what takes over a millisecond on the path of requests."""
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.title = f"Controller's answers, CPU microseconds, {rows[0]['gpus']:,} GPUs"
    table.add_column("policy", no_wrap=True)
    kinds = {"cold": "placing arrival", "warm": "other arrival", "timer": "timer", "other": "rest"}
    for words in kinds.values():
        for quantile in ("p50", "p99"):
            table.add_column(f"{words} {quantile}", justify="right")
    for row in rows:
        cells = [_micros(row[kind][q]) for kind in kinds for q in ("p50_us", "p99_us")]
        table.add_row(row["policy"] + (" *" if slow(row) else ""), *cells)
    return table


def _micros(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
