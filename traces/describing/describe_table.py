"""A description as tables for the terminal.

Knows how numbers read best; does not know how they are found.
"""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from traces.describing.describe import (
    ColdShares,
    Description,
    Popularity,
    Provenance,
    Sessions,
    TokenCounts,
)

LONG_NOTE = 160  # characters; `--json` has the whole


def render(description: Description) -> Group:
    """Everything on one or two screens; unknown figures show as a dash."""
    parts = [_overview(description), _popularity(description)]
    if description.sessions is not None:
        parts.append(_sessions(description.sessions))
    if description.prompt_tokens or description.output_tokens:
        parts.append(_lengths(description))
    parts += [_cold(description.cold), provenance_table(description.provenance)]
    return Group(*parts)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=any(columns))
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    return table


def _overview(seen: Description) -> Table:
    burst = seen.burstiness
    table = _table(seen.name, "", "")
    per_model = f"{number(burst.model_cv)} over {burst.cv_models} with 30 or more"
    rows = {
        "requests": f"{seen.requests:,}",
        "span": span_text(seen.span_s),
        "rate": f"{number(seen.rate_rps)} requests/s",
        "CV of gaps, whole trace": number(burst.cv),
        "CV of gaps per model": per_model if burst.cv_models else "-",
        "CV within 10 min, p50 / p95": _pair(burst.window_cv_p50, burst.window_cv_p95),
        "Fano factor, 1 s / 60 s": _pair(burst.fano_1s, burst.fano_60s),
        "fullest over mean minute": number(burst.peak_to_mean_60s),
        "requests with an adapter": percent(seen.adapter_share),
        "adapter uses on its first day": percent(seen.adapter_churn),
        "tenant repeats its last model": percent(seen.tenant_repeat_share),
    }
    for name, value in rows.items():
        if value != "-":
            table.add_row(name, value)
    return table


def _popularity(seen: Description) -> Table:
    table = _table("Popularity", "", "items", "uses", "top 1", "top 5", "top 10", "Zipf")
    kinds = {"models": seen.models, "adapters": seen.adapters, "tenants": seen.tenants}
    for name, of in kinds.items():
        if of is not None:
            table.add_row(name, *_popularity_cells(of))
    return table


def _popularity_cells(of: Popularity) -> tuple[str, ...]:
    tops = (of.top1_share, of.top5_share, of.top10_share)
    return (f"{of.items:,}", f"{of.uses:,}", *(percent(top) for top in tops), number(of.zipf))


def _sessions(of: Sessions) -> Table:
    table = _table("Sessions", "", "")
    rows = {
        "sessions": f"{of.sessions:,}",
        "turns a session, p50 / p95": _pair(of.turns_p50, of.turns_p95),
        "turns that wait for the one before": percent(of.waiting_share),
        "think time, p50 / p95": _pair(of.think_s_p50, of.think_s_p95, " s"),
    }
    for name, value in rows.items():
        if value != "-":
            table.add_row(name, value)
    return table


def _lengths(seen: Description) -> Table:
    quantiles = ("p5", "p25", "p50", "p75", "p90", "p95", "p99", "max")
    table = _table("Lengths, tokens", "", "requests", "mean", *quantiles)
    for name, of in (("prompt", seen.prompt_tokens), ("output", seen.output_tokens)):
        if of is not None:
            table.add_row(name, f"{of.requests:,}", *_length_cells(of))
    return table


def _length_cells(of: TokenCounts) -> tuple[str, ...]:
    figures = (of.mean, of.p5, of.p25, of.p50, of.p75, of.p90, of.p95, of.p99, of.max)
    return tuple(f"{figure:,.0f}" for figure in figures)


def _cold(cold: tuple[ColdShares, ...]) -> Table:
    title = "Cold share under a keep-alive, memory unlimited"
    table = _table(title, "keep-alive", "model", "model + adapters", "adapter")
    for of in cold:
        shares = (percent(of.model), percent(of.pair), percent(of.adapter))
        table.add_row(span_text(of.keep_alive_s), *shares)
    return table


def provenance_table(of: Provenance) -> Table:
    """Source, columns and notes; what is unknown takes no row."""
    table = Table(title="Where it comes from", title_justify="left", title_style="bold")
    table.show_header = False
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    quantum = f"steps of {of.time_quantum_us / 1e6:g} s: gaps below it say nothing until jittered"
    rows = {
        "source": of.source,
        "licence": of.licence,
        "columns": ", ".join(of.columns),
        "read from the file": ", ".join(of.columns_used),
        "ignored in the file": ", ".join(of.columns_ignored),
        "synthetic columns": ", ".join(of.synthetic_fields) or "none",
        "time stamps": quantum if of.time_quantum_us else "exact",
        "time compression": f"{of.time_compression:g} x" if of.time_compression != 1 else "",
        "seed": "" if of.seed is None else str(of.seed),
        **{f"note: {name}": _short(text) for name, text in of.notes.items()},
    }
    for name, value in rows.items():
        if value:
            # As text: a value in brackets is no markup.
            table.add_row(Text(name), Text(value))
    return table


def _short(text: str) -> str:
    return text if len(text) <= LONG_NOTE else f"{text[: LONG_NOTE - 3]}..."


def number(value: float | None) -> str:
    """Three digits that matter; a dash where it is unknown."""
    return "-" if value is None else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def percent(share: float | None) -> str:
    """A share of 1 with one decimal; a dash where it is unknown."""
    return "-" if share is None else f"{100 * share:.1f} %"


def _pair(first: float | None, second: float | None, unit: str = "") -> str:
    both = f"{number(first)} / {number(second)}{unit}"
    return "-" if first is None and second is None else both


def span_text(seconds: float) -> str:
    """In days from two of them on, and else in the largest unit of which there is one."""
    for unit, size_s, least in (("days", 86_400.0, 2), ("h", 3600.0, 1), ("min", 60.0, 1)):
        if seconds >= least * size_s:
            return f"{seconds / size_s:.3g} {unit}"
    return f"{seconds:.3g} s"
