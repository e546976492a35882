"""From a `RunRecord` to a `Summary`: the definitions of the field, in columns.

Knows no journal, no policy and no plot. Percentiles are numpy's (linear interpolation).
"""

from collections.abc import Mapping

import numpy as np

from traces.quantiles import of_gaps, quantiles, ratio
from traces.record import Bools, Cold, Floats, Ints, Outcome, Requests, RunRecord
from traces.saturation import saturation_of
from traces.spending import adapters_of, caches_of, cold_starts_of, cost_of, migrations_of
from traces.summary import (
    Counts,
    Held,
    Latency,
    ModelSummary,
    Objective,
    Slo,
    Summary,
    Tenants,
    Throughput,
)

#: A tenant with fewer finished requests has no P99 worth a comparison.
MIN_TENANT_REQUESTS = 20


def summarise(
    record: RunRecord,
    slo: Slo,
    held: Mapping[str, Held] | None = None,
    slo_of_model: Mapping[int, Slo] | None = None,
) -> Summary:
    """Every number of a run.

    `slo` holds for every model that `slo_of_model` does not name. `held` is the ledger by node
    kind; cards are priced by the record's nodes.
    """
    requests = record.requests
    span_s = span_of(record)
    good = meets(requests, slo, slo_of_model or {})
    finished = requests.finished
    return Summary(
        requests=_counts(requests),
        span_s=span_s,
        prompt_tokens=int(requests.prompt_tokens.sum()),
        output_tokens=int(requests.tokens[finished].sum()),
        latency=_latency(record),
        objective=_objective(requests, slo, good, span_s),
        throughput=_throughput(requests, span_s),
        cold=cold_starts_of(record),
        cost=cost_of(record, held or {}, int(good.sum())),
        migrations=migrations_of(record),
        preemptions=int(requests.preemptions.sum()),
        preempted_requests=int((requests.preemptions > 0).sum()),
        caches=caches_of(record, span_s),
        adapters=adapters_of(record),
        tenants=_tenants(requests, good),
        saturation=saturation_of(record),
        models=_models(record, good),
    )


def span_of(record: RunRecord) -> float:
    """Seconds from the first arrival to the last arrival or end of a request."""
    requests = record.requests
    if not len(requests):
        return 0.0
    ends = requests.ended_at[np.isfinite(requests.ended_at)]
    last = max(requests.arrived_at.max(), ends.max(initial=0.0))
    return float(last - requests.arrived_at.min())


def ttft_s(requests: Requests) -> Floats:
    """Arrival to first token, shape (n,); nan unless finished."""
    return np.where(requests.finished, requests.first_token_at - requests.arrived_at, np.nan)


def tpot_s(requests: Requests) -> Floats:
    """(End - first token) / (tokens - 1), shape (n,); nan unless finished with two tokens."""
    gaps = np.where(requests.finished & (requests.tokens >= 2), requests.tokens - 1.0, np.nan)
    gap_s: Floats = (requests.ended_at - requests.first_token_at) / gaps
    return gap_s


def meets(requests: Requests, slo: Slo, slo_of_model: Mapping[int, Slo]) -> Bools:
    """Which requests met their objective, shape (n,). One token or none has no TPOT to miss."""
    first_limit_s, gap_limit_s = _limits(requests, slo, slo_of_model)
    in_time = ttft_s(requests) <= first_limit_s  # nan compares false
    return in_time & ~(tpot_s(requests) > gap_limit_s)


def _limits(requests: Requests, slo: Slo, slo_of_model: Mapping[int, Slo]) -> tuple[Floats, Floats]:
    n = len(requests)
    first_limit_s, gap_limit_s = np.full(n, slo.ttft_s), np.full(n, slo.tpot_s)
    for model, own in slo_of_model.items():
        of_model = requests.model == model
        first_limit_s[of_model] = own.ttft_s
        gap_limit_s[of_model] = own.tpot_s
    return first_limit_s, gap_limit_s


def _counts(requests: Requests) -> Counts:
    by_outcome = np.bincount(requests.outcome, minlength=len(Outcome)).tolist()
    return Counts(len(requests), *by_outcome)


def _latency(record: RunRecord) -> Latency:
    requests = record.requests
    done = requests.finished
    e2e_s = (requests.ended_at - requests.arrived_at)[done]
    tokens = requests.tokens[done]
    queue_s = (requests.scheduled_at - requests.arrived_at - requests.load_wait_s)[done]
    longest_s = requests.longest_gap_s[done & (requests.tokens >= 2)]
    streaming_s = float((requests.ended_at - requests.first_token_at)[done].sum())
    gaps = int(np.maximum(tokens - 1, 0).sum())
    return Latency(
        ttft_s=quantiles(ttft_s(requests)),
        tpot_s=quantiles(tpot_s(requests)),
        itl_s=of_gaps(record.gaps, streaming_s / gaps if gaps else 0.0, longest_s),
        longest_gap_s=quantiles(longest_s),
        e2e_s=quantiles(e2e_s),
        per_token_s=quantiles(e2e_s[tokens > 0] / tokens[tokens > 0]),
        queue_s=quantiles(np.maximum(queue_s, 0.0)),
    )


def _objective(requests: Requests, slo: Slo, good: Bools, span_s: float) -> Objective:
    arrived = len(requests)
    n_good = int(good.sum())
    in_time = int((ttft_s(requests) <= slo.ttft_s).sum())
    in_pace = int((requests.finished & ~(tpot_s(requests) > slo.tpot_s)).sum())
    return Objective(
        ttft_s=slo.ttft_s,
        tpot_s=slo.tpot_s,
        attainment=ratio(n_good, arrived),
        ttft_attainment=ratio(in_time, arrived),
        tpot_attainment=ratio(in_pace, arrived),
        token_attainment=_token_attainment(requests, slo),
        goodput_requests_per_s=ratio(n_good, span_s),
        goodput_tokens_per_s=ratio(int(requests.tokens[good].sum()), span_s),
    )


def _token_attainment(requests: Requests, slo: Slo) -> float | None:
    """Token k (from 0) comes at first + k * tpot and is due at arrival + S1 + k * S2."""
    done = requests.finished & (requests.tokens > 0)
    tokens = requests.tokens[done].astype(np.float64)
    spare_s = slo.ttft_s - ttft_s(requests)[done]
    loss_s = np.nan_to_num(tpot_s(requests)[done]) - slo.tpot_s  # a token; < 0 catches up
    turn = np.full(len(tokens), np.inf)
    np.divide(spare_s, loss_s, out=turn, where=loss_s != 0)
    falls_behind = np.where(spare_s >= 0, np.minimum(tokens, np.floor(turn) + 1), 0.0)
    catches_up = tokens - np.clip(np.ceil(turn), 0.0, tokens)
    steady = np.where(spare_s >= 0, tokens, 0.0)
    kept = np.where(loss_s > 0, falls_behind, np.where(loss_s < 0, catches_up, steady))
    return ratio(float(kept.sum()), float(tokens.sum()))


def _throughput(requests: Requests, span_s: float) -> Throughput:
    done = requests.finished
    return Throughput(
        offered_requests_per_s=ratio(len(requests), span_s),
        requests_per_s=ratio(int(done.sum()), span_s),
        prompt_tokens_per_s=ratio(int(requests.prompt_tokens[done].sum()), span_s),
        output_tokens_per_s=ratio(int(requests.tokens[done].sum()), span_s),
    )


def _tenants(requests: Requests, good: Bools) -> Tenants:
    tenants, of_request = np.unique(requests.tenant, return_inverse=True)
    n = len(tenants)
    if n < 2:
        return Tenants(n, None, None, None)
    asked = np.bincount(of_request)
    asked_tokens = np.bincount(of_request, requests.prompt_tokens)
    served_tokens = np.bincount(of_request, requests.prompt_tokens * requests.finished)
    asking = asked_tokens > 0
    return Tenants(
        tenants=n,
        jain_attainment=jain(np.bincount(of_request, good) / asked),
        jain_service=jain(served_tokens[asking] / asked_tokens[asking]),
        worst_p99_ratio=_worst_p99_ratio(ttft_s(requests), of_request, n),
    )


def jain(shares: Floats) -> float | None:
    """(sum x)^2 / (n sum x^2): 1 when all are equal, 1/n when one has everything."""
    squares = float((shares**2).sum())
    return ratio(float(shares.sum()) ** 2, len(shares) * squares)


def _worst_p99_ratio(first_s: Floats, of_request: Ints, n: int) -> float | None:
    done = np.isfinite(first_s)
    if not done.any():
        return None
    p99_s = [
        np.percentile(own, 99)
        for own in groups(first_s[done], of_request[done], n)
        if len(own) >= MIN_TENANT_REQUESTS
    ]
    if not p99_s:
        return None
    return ratio(float(max(p99_s)), float(np.percentile(first_s[done], 99)))


def groups(values: Floats, group: Ints, n: int) -> list[Floats]:
    """The values of each of `n` groups."""
    order = np.argsort(group, kind="stable")
    edges = np.searchsorted(group[order], np.arange(1, n))
    return np.split(values[order], edges)


def _models(record: RunRecord, good: Bools) -> dict[str, ModelSummary]:
    requests = record.requests
    models, of_request = np.unique(requests.model, return_inverse=True)
    n = len(models)
    asked = np.bincount(of_request, minlength=n)
    kept = np.bincount(of_request, good, minlength=n)
    sent = np.bincount(of_request, requests.dispatched, minlength=n)
    cold = np.bincount(of_request, requests.cold == Cold.COLD, minlength=n)
    first_s = groups(ttft_s(requests), of_request, n)
    return {
        record.model_name(int(model)): ModelSummary(
            requests=int(asked[i]),
            attainment=ratio(float(kept[i]), int(asked[i])),
            cold_ratio=ratio(float(cold[i]), float(sent[i])),
            ttft_s=quantiles(first_s[i]),
        )
        for i, model in enumerate(models)
    }
