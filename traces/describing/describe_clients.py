"""What a table of clients' rates holds, in numbers and as tables for the terminal.

It knows clients and windows. It knows no request and no fleet.
"""

import msgspec
import numpy as np
from rich.console import Group
from rich.table import Table

from traces.describing.describe_table import number, percent, span_text
from traces.synthesis.clients import ClientWindows
from traces.synthesis.popularity import top_share, zipf_exponent
from traces.synthesis.renewal import Floats, weibull_cv


class SourceDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The clients of one source model.

    Rates are those of all of them together in a window, requests a second; windows without
    telemetry (nobody asks, amid others in which somebody does) count in `silent_windows` only.
    Shares are of the requests expected. `cv_p50` and `cv_p95` are of the gaps of one client in
    one window: by the law that the table has for it, weighing every window alike.
    """

    source: str
    clients: int
    rate_p5_rps: float
    rate_p50_rps: float
    rate_p95_rps: float
    peak_to_mean: float
    top1_share: float
    top10_share: float
    zipf: float | None
    cv_p50: float | None
    cv_p95: float | None
    silent_windows: int


class ClientsDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A whole table; `weibull_share` is of the windows with a rate, the others are Gamma."""

    name: str
    span_s: float
    window_s: int
    weibull_share: float
    sources: tuple[SourceDescription, ...]
    licence: str


def describe_clients(windows: ClientWindows) -> ClientsDescription:
    """All figures of a table that has a row."""
    asked = windows.rate_rps > 0
    return ClientsDescription(
        name=windows.meta.trace_id or windows.meta.source,
        span_s=float(windows.windows * windows.window_s),
        window_s=windows.window_s,
        weibull_share=float(windows.weibull[asked].mean()) if asked.any() else 0.0,
        sources=tuple(_source(windows, source) for source in windows.sources),
        licence=windows.meta.licence,
    )


def render_clients(seen: ClientsDescription) -> Group:
    """Everything on one screen."""
    about = Table(title=seen.name, title_justify="left", title_style="bold", show_header=False)
    about.add_row("holds", "rates of clients, no requests: `hotbed traces synth servegen` draws")
    about.add_row("span", f"{span_text(seen.span_s)} in windows of {span_text(seen.window_s)}")
    about.add_row("gaps", f"Weibull in {percent(seen.weibull_share)} of the windows, else Gamma")
    about.add_row("licence", seen.licence)
    table = Table(title="Clients", title_justify="left", title_style="bold")
    heads = ("source", "clients", "rps p5 / p50 / p95", "peak", "top 1 / 10", "Zipf")
    for index, name in enumerate((*heads, "CV p50 / p95", "silent")):
        table.add_column(name, justify="right" if index else "left", overflow="fold")
    for of in seen.sources:
        rates = (of.rate_p5_rps, of.rate_p50_rps, of.rate_p95_rps)
        table.add_row(
            of.source,
            f"{of.clients:,}",
            " / ".join(map(number, rates)),
            f"{number(of.peak_to_mean)} x",
            f"{percent(of.top1_share)} / {percent(of.top10_share)}",
            number(of.zipf),
            f"{number(of.cv_p50)} / {number(of.cv_p95)}",
            f"{of.silent_windows:,}",
        )
    return Group(about, table)


def _source(windows: ClientWindows, source: str) -> SourceDescription:
    rows = np.flatnonzero([client.source == source for client in windows.clients])
    own = windows.of(rows, 0, windows.windows)
    _, silent = own.mended()
    together = own.rate_rps.sum(axis=0)
    seen = together[together > 0]
    expected = np.rint(own.rate_rps.sum(axis=1) * own.window_s).astype(np.int64)
    cvs = _cvs(own)
    p5, p50, p95 = np.percentile(seen, (5, 50, 95)).tolist() if len(seen) else (0.0, 0.0, 0.0)
    return SourceDescription(
        source=source,
        clients=len(rows),
        rate_p5_rps=p5,
        rate_p50_rps=p50,
        rate_p95_rps=p95,
        peak_to_mean=float(seen.max() / seen.mean()) if len(seen) else 0.0,
        top1_share=top_share(expected, 1),
        top10_share=top_share(expected, 10),
        zipf=zipf_exponent(expected),
        cv_p50=float(np.percentile(cvs, 50)) if len(cvs) else None,
        cv_p95=float(np.percentile(cvs, 95)) if len(cvs) else None,
        silent_windows=silent,
    )


def _cvs(windows: ClientWindows) -> Floats:
    asked = windows.rate_rps > 0
    gamma = windows.shape[asked & ~windows.weibull] ** -0.5
    weibull = [weibull_cv(shape) for shape in windows.shape[asked & windows.weibull].tolist()]
    return np.append(gamma, weibull)
