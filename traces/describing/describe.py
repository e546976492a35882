"""What a trace holds, in numbers: rate, burstiness, popularity, lengths, warmth and provenance.

Knows a workload; does not know how the numbers are shown (`describe_table`) or drawn
(`describe_plots`).
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from traces.describing.burstiness import (
    cold_share,
    fano,
    interarrival_cv,
    peak_to_mean,
    weighted_cv,
    window_cvs,
)
from traces.sessions import NOBODY, predecessors
from traces.synthesis.popularity import Ints, top_share, zipf_exponent
from traces.workload import US_PER_S, TraceMeta, Workload

DAY_S = 86_400.0
CV_WINDOW_S = 600.0
KEEP_ALIVES_S = (60.0, 600.0, 3600.0)


class Popularity(msgspec.Struct, frozen=True, kw_only=True):
    """Uses over items. `zipf` is the maximum-likelihood exponent over the items that occur."""

    items: int
    uses: int
    top1_share: float
    top5_share: float
    top10_share: float
    zipf: float | None


class TokenCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Of the requests that have the count, in tokens."""

    requests: int
    mean: float
    p5: float
    p25: float
    p50: float
    p75: float
    p90: float
    p95: float
    p99: float
    max: int


class Burstiness(msgspec.Struct, frozen=True, kw_only=True):
    """CV of gaps overall and per model (share-weighted over `cv_models` models with 30 or more).

    The window CVs are quantiles over the 10-minute windows with 30 requests or more. Fano factors
    are variance over mean of the counts per window (1: Poisson); the peak is the fullest minute
    over the mean one. None where the trace is too short to say.
    """

    cv: float | None
    model_cv: float | None
    cv_models: int
    window_cv_p50: float | None
    window_cv_p95: float | None
    fano_1s: float | None
    fano_60s: float | None
    peak_to_mean_60s: float | None


class ColdShares(msgspec.Struct, frozen=True, kw_only=True):
    """Share of uses not preceded by another within the keep-alive, with memory for everything.

    `adapter` is over uses of adapters, `pair` over requests by model and adapter set.
    """

    keep_alive_s: float
    model: float | None
    pair: float | None
    adapter: float | None


class Sessions(msgspec.Struct, frozen=True, kw_only=True):
    """Conversations. `waiting_share`: of all requests, those sent after the end of another.

    Think times are those requests'; None where there are none.
    """

    sessions: int
    turns_p50: float
    turns_p95: float
    waiting_share: float
    think_s_p50: float | None
    think_s_p95: float | None


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Where the columns came from; `columns` are those that the requests have."""

    source: str
    licence: str
    columns: tuple[str, ...]
    columns_used: tuple[str, ...]
    columns_ignored: tuple[str, ...]
    synthetic_fields: tuple[str, ...]
    time_quantum_us: int
    time_compression: float
    seed: int | None
    notes: dict[str, str]


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one trace; JSON-able. Times in seconds of the trace as it is replayed.

    `span_s` is from time 0 to the last arrival. `adapter_share` is that of the requests with an
    adapter; `adapter_churn` the share of adapter uses, after the first day, on the first day of
    their adapter, a day being 24 h over the time compression (None within the first day).
    `tenant_repeat_share`: of requests with an earlier one of their tenant, those that ask for
    the same model as it did.
    """

    name: str
    requests: int
    span_s: float
    rate_rps: float | None
    burstiness: Burstiness
    models: Popularity
    adapters: Popularity | None
    tenants: Popularity | None
    adapter_share: float
    adapter_churn: float | None
    tenant_repeat_share: float | None
    prompt_tokens: TokenCounts | None
    output_tokens: TokenCounts | None
    cold: tuple[ColdShares, ...]
    sessions: Sessions | None
    provenance: Provenance


def describe(workload: Workload) -> Description:
    """All figures of a workload; a trace without requests has zeros and Nones."""
    frame, span_s = workload.frame, workload.duration_s
    model = _codes(frame["model_id"])
    uses = _adapter_uses(workload)
    return Description(
        name=workload.meta.trace_id or workload.meta.source or "trace",
        requests=len(workload),
        span_s=span_s,
        rate_rps=len(workload) / span_s if span_s else None,
        burstiness=_burstiness(workload, model),
        models=popularity_of(model),
        adapters=popularity_of(uses.adapter) if len(uses.adapter) else None,
        tenants=popularity_of(_codes(frame["tenant_id"])) if "tenant_id" in frame else None,
        adapter_share=len(np.unique(uses.request)) / len(workload) if len(workload) else 0.0,
        adapter_churn=_churn(workload, uses),
        tenant_repeat_share=_tenant_repeats(frame),
        prompt_tokens=_token_counts(frame, "prompt_tokens"),
        output_tokens=_token_counts(frame, "output_tokens"),
        cold=_cold(workload, model, uses),
        sessions=_sessions(frame),
        provenance=provenance_of(frame, workload.meta),
    )


def popularity_of(codes: Ints) -> Popularity:
    """Of items given as codes from 0; a negative code is no use."""
    counts = np.bincount(codes[codes >= 0])
    return Popularity(
        items=int((counts > 0).sum()),
        uses=int(counts.sum()),
        top1_share=top_share(counts, 1),
        top5_share=top_share(counts, 5),
        top10_share=top_share(counts, 10),
        zipf=zipf_exponent(counts),
    )


class _Uses(msgspec.Struct, frozen=True):
    """One row per adapter of a request, in arrival order: row of the request, and code."""

    request: Ints
    adapter: Ints


def _adapter_uses(workload: Workload) -> _Uses:
    sets = workload.frame["adapter_ids"]
    request = np.repeat(np.arange(len(sets)), sets.map(len).to_numpy(dtype=np.int64))
    names = [name for adapters in sets for name in adapters]
    return _Uses(request, _codes(names))


def _codes(values: "pd.Series[Any] | Sequence[object] | NDArray[Any]") -> Ints:
    """Items numbered from 0 in order of first use; a missing one is -1."""
    codes, _ = pd.factorize(np.asarray(values, dtype=object))
    return codes.astype(np.int64)


def _burstiness(workload: Workload, model: Ints) -> Burstiness:
    arrivals_s = workload.arrivals_s
    model_cv, cv_models = weighted_cv(arrivals_s, model)
    within, _ = window_cvs(arrivals_s, CV_WINDOW_S)
    return Burstiness(
        cv=interarrival_cv(arrivals_s),
        model_cv=model_cv,
        cv_models=cv_models,
        window_cv_p50=float(np.median(within)) if len(within) else None,
        window_cv_p95=float(np.percentile(within, 95)) if len(within) else None,
        fano_1s=fano(arrivals_s, 1.0),
        fano_60s=fano(arrivals_s, 60.0),
        peak_to_mean_60s=peak_to_mean(arrivals_s, 60.0),
    )


def _churn(workload: Workload, uses: _Uses) -> float | None:
    if not len(uses.adapter):
        return None
    day_us = DAY_S / workload.meta.time_compression * US_PER_S
    arrival_us = workload.frame["arrival_us"].to_numpy()[uses.request]
    day = np.floor(arrival_us / day_us).astype(np.int64)
    first = np.full(int(uses.adapter.max()) + 1, day[-1])
    np.minimum.at(first, uses.adapter, day)
    later = day > 0
    return float((first[uses.adapter] == day)[later].mean()) if later.any() else None


def _tenant_repeats(frame: pd.DataFrame) -> float | None:
    if "tenant_id" not in frame:
        return None
    last = frame.groupby("tenant_id")["model_id"].shift()
    known = last.notna()
    return float((frame["model_id"] == last)[known].mean()) if known.any() else None


def _token_counts(frame: pd.DataFrame, column: str) -> TokenCounts | None:
    if column not in frame:
        return None
    tokens: NDArray[np.int64] = frame[column].dropna().to_numpy(dtype=np.int64)
    p5, p25, p50, p75, p90, p95, p99 = np.percentile(tokens, (5, 25, 50, 75, 90, 95, 99)).tolist()
    return TokenCounts(
        requests=len(tokens),
        mean=float(tokens.mean()),
        p5=p5,
        p25=p25,
        p50=p50,
        p75=p75,
        p90=p90,
        p95=p95,
        p99=p99,
        max=int(tokens.max()),
    )


def _cold(workload: Workload, model: Ints, uses: _Uses) -> tuple[ColdShares, ...]:
    arrivals_s = workload.arrivals_s
    names = zip(workload.frame["model_id"], workload.frame["adapter_ids"], strict=True)
    pairs = np.empty(len(workload), dtype=object)
    pairs[:] = [(name, tuple(sorted(adapters))) for name, adapters in names]
    pair = _codes(pairs)
    return tuple(
        ColdShares(
            keep_alive_s=keep_alive_s,
            model=cold_share(arrivals_s, model, keep_alive_s),
            pair=cold_share(arrivals_s, pair, keep_alive_s),
            adapter=cold_share(arrivals_s[uses.request], uses.adapter, keep_alive_s),
        )
        for keep_alive_s in KEEP_ALIVES_S
    )


def _sessions(frame: pd.DataFrame) -> Sessions | None:
    if "session_id" not in frame:
        return None
    turns = frame["session_id"].value_counts().to_numpy(dtype=np.int64)
    waiting = predecessors(frame) != NOBODY
    think_s = np.empty(0)
    if waiting.any():
        think_s = frame["think_time_us"][waiting].to_numpy(dtype=np.float64) / US_PER_S
    p50, p95 = np.percentile(think_s, (50, 95)).tolist() if len(think_s) else (None, None)
    return Sessions(
        sessions=len(turns),
        turns_p50=float(np.percentile(turns, 50)),
        turns_p95=float(np.percentile(turns, 95)),
        waiting_share=float(waiting.mean()),
        think_s_p50=p50,
        think_s_p95=p95,
    )


def provenance_of(frame: pd.DataFrame, meta: TraceMeta) -> Provenance:
    """What is known of where the columns of a frame came from."""
    return Provenance(
        source=meta.source,
        licence=meta.licence,
        columns=tuple(str(name) for name in frame),
        columns_used=meta.columns_used,
        columns_ignored=meta.columns_ignored,
        synthetic_fields=meta.synthetic_fields,
        time_quantum_us=meta.time_quantum_us,
        time_compression=meta.time_compression,
        seed=meta.seed,
        notes=meta.notes,
    )
