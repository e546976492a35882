"""The reproduction as tables for the terminal: ours beside theirs, and every experiment."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from hotbed.reproduce.estimator import Errors
from hotbed.reproduce.findings import REFERENCE, Beside, Row, bound_words, bounds
from traces.numerals import number
from traces.statistics import Interval


def shown(value: Interval | None) -> str:
    """ "1.27 [1.1, 1.5]"; without bounds where there are too few seeds."""
    if value is None:
        return "-"
    if value.low is None or value.high is None:
        return number(value.estimate)
    return f"{number(value.estimate)} [{number(value.low)}, {number(value.high)}]"


def published_table(found: Sequence[Beside]) -> Table:
    table = _table("Published numbers beside ours (mean over seeds, 95 % interval)")
    for heading in ("experiment", "policy", "published", "ours", "where they differ"):
        table.add_column(
            heading, overflow="fold", ratio=None if heading != "where they differ" else 1
        )
    for one in found:
        claim = one.claim
        rate = f", {claim.rps:g} req/s" if claim.rps is not None else ", rate not known"
        where = f"{claim.what}, {claim.size}, {claim.data}{rate}"
        theirs = f"{number(claim.value)} {claim.unit} {claim.tag}"
        ours = "-" if one.verdict.startswith("no latency") else shown(one.ours)
        table.add_row(where, claim.policy, theirs, ours, one.verdict)
    return table


def scheduler_table(found: Sequence[Row]) -> Table:
    table = _table(f"Schedulers: start-up latency in s, and its P99's ratio to {REFERENCE}'s")
    words = ("size", "data", "arrivals", "policy")
    for heading in ("size", "data", "req/s", "arrivals", "policy", "mean s", "P99 s", "ratio"):
        table.add_column(heading, justify="left" if heading in words else "right")
    table.add_column("served", justify="right")
    for row in found:
        mark = f" ({row.saturated}/{row.seeds} unsettled)" if row.saturated else ""
        latencies = (shown(row.mean_s), shown(row.p99_s) + mark, shown(row.p99_ratio))
        if not row.settled:
            latencies = ("never settled", f"in {row.saturated} of {row.seeds}", "-")
        experiment = (row.size, row.data, f"{row.rps:g}", row.arrivals)
        served = "-" if row.served is None else f"{100 * row.served.estimate:.1f} %"
        table.add_row(*experiment, row.policy, *latencies, served)
    return table


def estimator_table(errors: Mapping[str, Errors]) -> Table:
    table = _table(
        "Error of the load-time estimate, ms: of n / b, and of q + n / b, queue included"
    )
    kinds = [f"{what} {q}" for what in ("n/b", "q+n/b") for q in ("P50", "mean", "P95")]
    for heading in ("source", "loads", *kinds):
        table.add_column(heading, justify="left" if heading == "source" else "right")
    table.add_column("beside the paper", overflow="fold")
    published = bounds()
    for source, own in errors.items():
        of_own = (own.own_p50_s, own.own_mean_s, own.own_p95_s)
        whole = (own.whole_p50_s, own.whole_mean_s, own.whole_p95_s)
        cells = (f"{1e3 * s:,.1f}" for s in (*of_own, *whole))
        words = bound_words(published[source], own) if source in published else "none published"
        table.add_row(source, f"{own.loads:,}", *cells, words)
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
