"""Bounds of a run as tables for the terminal. It shows what `traces.bounds` works out."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from traces.bounds.bounds import Bounds
from traces.bounds.cache_bounds import CacheGap, Missed, Reach
from traces.bounds.queueing import LEAST_REQUESTS, Queue
from traces.numerals import number
from traces.summary import Quantiles

NOTHING = "-"
QUANTILES = ("mean", "p50", "p90", "p99", "max")


def bounds_table(title: str, bounds: Bounds) -> Group:
    """Caches, start-ups, loads and queues, each with a line that says how to read it."""
    parts: list[RenderableType] = [Text(f"{title}: {bounds.requests:,} requests", style="bold")]
    for part in (_caches(bounds), _start_ups(bounds), _queues(bounds)):
        parts += [Text(""), *part]
    return Group(*parts)


def _table(*headings: str, words: int = 1) -> Table:
    """The first `words` columns hold words, the others numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for at, heading in enumerate(headings):
        table.add_column(heading, justify="left" if at < words else "right")
    return table


def _caches(bounds: Bounds) -> Iterator[RenderableType]:
    yield Text("Caches, as loads were placed: what was missed, and what had to be")
    if not bounds.caches:
        yield Text("  nothing was loaded")
        return
    table = _table(
        "cache", "kept", "accesses", "misses", "saved", "GB moved", "saved", "seconds", words=2
    )
    for gap in bounds.caches:
        for row in _cache_rows(gap):
            table.add_row(*row)
    yield table
    yield Text(
        "Seconds: bytes at the nominal bandwidth below the cache. The best schedule there is lies "
        "between the last two rows of a cache.",
        style="dim",
    )


def _cache_rows(gap: CacheGap) -> Iterator[tuple[str, ...]]:
    yield gap.tier, "as in this run", f"{gap.accesses:,}", *_missed(gap.happened, None)
    yield "", "with foresight (Belady)", "", *_missed(gap.belady, gap.belady)
    yield "", "at the least (PFOO-L)", "", *_missed(gap.least, gap.least)


def _missed(missed: Missed | Reach, reach: Reach | None) -> tuple[str, ...]:
    saved = (reach.saved_misses_pct, reach.saved_bytes_pct) if reach else (None, None)
    return (
        f"{missed.misses:,}",
        _percent(saved[0]),
        number(missed.bytes / 1e9),
        _percent(saved[1]),
        number(missed.seconds),
    )


def _start_ups(bounds: Bounds) -> Iterator[RenderableType]:
    start_ups, loads = bounds.start_ups, bounds.loads
    yield Text("Start-ups: nobody in the way, caches infinite from the first load on")
    table = _table("seconds", "count", *QUANTILES)
    rows = (
        ("TTFT of cold requests", start_ups.cold_requests, start_ups.ttft_s),
        ("  least wait for the load", start_ups.cold_requests, start_ups.least_ttft_s),
        ("loads", start_ups.loads, start_ups.load_s),
        ("  least load", start_ups.loads, start_ups.least_load_s),
    )
    for name, count, spread in rows:
        table.add_row(name, f"{count:,}", *_spread(spread))
    yield table
    yield Text(
        f"Loads: {loads.loads:,} in {number(loads.load_s)} s. At least {loads.least_loads:,} in "
        f"{number(loads.least_load_s)} s: {loads.models:,} models, and {loads.unbridged:,} of "
        f"{loads.gaps:,} gaps between their requests that no GPU memory was left to bridge."
    )


def _spread(spread: Quantiles | None) -> tuple[str, ...]:
    if spread is None:
        return (NOTHING,) * len(QUANTILES)
    return tuple(number(getattr(spread, name)) for name in QUANTILES)


def _queues(bounds: Bounds) -> Iterator[RenderableType]:
    yield Text("Stays beside textbook queues: models that one instance alone served for a while")
    if not bounds.queues:
        yield Text(f"  none did for {LEAST_REQUESTS} requests")
        return
    yield _queue_table(bounds.queues)
    for queue in bounds.queues:
        for doubt in queue.but:
            yield Text(f"  {queue.model}: {doubt}", style="dim")


def _queue_table(queues: tuple[Queue, ...]) -> Table:
    table = _table(
        "model", "requests", "req/s", "load", "seats", "stay (s)", "M/G/1-PS", "M/G/1", "M/M/c"
    )
    for queue in queues:
        table.add_row(
            queue.model,
            f"{queue.requests:,}",
            number(queue.arrivals_per_s),
            f"{queue.load:.2f}",
            NOTHING if queue.seats is None else f"{queue.seats:,}",
            number(queue.stay_s),
            *(_maybe(s) for s in (queue.ps_stay_s, queue.fcfs_stay_s, queue.mmc_stay_s)),
        )
    return table


def _maybe(value: float | None) -> str:
    return NOTHING if value is None else number(value)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} %"
