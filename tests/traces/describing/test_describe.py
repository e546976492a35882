"""Descriptions of small traces worked out by hand, and of public ones against published figures."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from traces.describing.describe import Description, describe
from traces.formats.detect import read_workload
from traces.synthesis.recipe import Adapters, Bursty, Tenants
from traces.synthesis.synth import stream
from traces.workload import TraceMeta, Workload

DAY_US = 86_400_000_000


def workload_of(meta: TraceMeta | None = None, **columns: Any) -> Workload:
    size = len(columns["arrival_us"])
    given = {"request_id": range(size), "model_id": ["m"] * size, **columns}
    return Workload.of(given, meta or TraceMeta(trace_id="small"))


def public(name: str) -> Workload:
    data = os.environ.get("HOTBED_DATA")
    if not data:
        pytest.skip("HOTBED_DATA names no folder of public traces")
    return read_workload(Path(data) / "normalized" / f"{name}.parquet")


def test_a_small_trace_is_described_as_counted_by_hand() -> None:
    seen = describe(
        workload_of(
            arrival_us=[0, 1_000_000, 4_000_000, 5_000_000, 8_000_000],
            model_id=["a", "a", "b", "a", "c"],
            adapter_ids=[("x",), (), ("y", "x"), (), ()],
            tenant_id=["t", "t", "u", "t", None],
            prompt_tokens=[10, 20, 30, None, 40],
        )
    )
    assert (seen.name, seen.requests, seen.span_s, seen.rate_rps) == ("small", 5, 8.0, 5 / 8)
    assert seen.burstiness.cv == pytest.approx(0.5)
    assert seen.burstiness.model_cv is None
    assert (seen.models.items, seen.models.top1_share, seen.models.top5_share) == (3, 0.6, 1.0)
    assert seen.adapters is not None
    assert (seen.adapters.items, seen.adapters.uses) == (2, 3)
    assert seen.adapters.top1_share == pytest.approx(2 / 3)
    assert seen.tenants is not None
    assert (seen.tenants.items, seen.tenants.uses) == (2, 4)
    assert seen.adapter_share == pytest.approx(0.4)
    assert seen.tenant_repeat_share == 1.0
    assert seen.prompt_tokens is not None
    assert (seen.prompt_tokens.requests, seen.prompt_tokens.mean) == (4, 25.0)
    assert (seen.prompt_tokens.p50, seen.prompt_tokens.max) == (25.0, 40)
    assert seen.output_tokens is None


def test_a_pair_is_cold_where_its_adapter_set_is_new_whatever_its_order() -> None:
    seen = describe(
        workload_of(
            arrival_us=[0, 1_000_000, 2_000_000, 100_000_000],
            adapter_ids=[("x", "y"), ("y", "x"), (), ()],
        )
    )
    first, second, _ = seen.cold
    assert (first.keep_alive_s, first.model, first.pair) == (60.0, 0.5, 0.75)
    assert first.adapter == 0.5
    assert (second.keep_alive_s, second.model, second.pair) == (600.0, 0.25, 0.5)


def test_churn_counts_uses_after_the_first_day_on_their_adapter_s_first_day() -> None:
    arrivals = [0, 1, DAY_US, DAY_US + 1, 2 * DAY_US, 2 * DAY_US + 1]
    adapters = [("x",), ("z",), ("x",), ("y",), ("y",), ("w", "x")]
    seen = describe(workload_of(arrival_us=arrivals, adapter_ids=adapters))
    # After day 0: x old, y new, y old, w new, x old.
    assert seen.adapter_churn == pytest.approx(2 / 5)


def test_a_compressed_trace_has_shorter_days() -> None:
    adapters = [("x",), ("x",), ("y",)]
    arrivals = [0, DAY_US // 24, DAY_US // 24 + 1]
    slow = describe(workload_of(arrival_us=arrivals, adapter_ids=adapters))
    fast = describe(
        workload_of(
            TraceMeta(time_compression=24.0),
            **{
                "arrival_us": arrivals,
                "adapter_ids": adapters,
            },
        )
    )
    assert slow.adapter_churn is None
    assert fast.adapter_churn == pytest.approx(0.5)


def test_a_trace_without_requests_has_zeros_and_unknowns() -> None:
    seen = describe(workload_of(arrival_us=[]))
    assert (seen.requests, seen.span_s, seen.rate_rps) == (0, 0.0, None)
    assert seen.burstiness.cv is None
    assert seen.models.uses == 0
    assert seen.cold[0].model is None


def test_provenance_is_carried_over() -> None:
    meta = TraceMeta(
        source="there",
        columns_used=("a",),
        columns_ignored=("b",),
        synthetic_fields=("model_id",),
        time_quantum_us=3_000_000,
        time_compression=2.0,
    )
    of = describe(workload_of(meta, arrival_us=[0])).provenance
    assert (of.source, of.columns_used, of.columns_ignored) == ("there", ("a",), ("b",))
    assert (of.synthetic_fields, of.time_quantum_us) == (("model_id",), 3_000_000)
    assert of.columns == ("request_id", "arrival_us", "model_id", "adapter_ids")


def test_a_synthetic_trace_is_described_by_its_own_parameters_and_as_json() -> None:
    recipe = Bursty(
        rate_rps=10.0,
        cv=3.0,
        span_s=8000.0,
        adapters=Adapters(share=0.5, churn=0.42, day_s=400.0),
        tenants=Tenants(sticky=0.0),
    )
    seen = describe(stream(recipe))
    assert seen.rate_rps == pytest.approx(10.0, rel=0.05)
    assert seen.burstiness.cv == pytest.approx(3.0, rel=0.1)
    assert seen.burstiness.fano_60s == pytest.approx(9.0, rel=0.5)
    assert seen.models.zipf == pytest.approx(1.43, abs=0.05)
    assert seen.tenants is not None
    assert seen.tenants.zipf == pytest.approx(0.81, abs=0.05)
    assert seen.adapter_share == pytest.approx(0.5, abs=0.01)
    # Bases seldom used have their own first day later: those uses are all new.
    assert seen.adapter_churn == pytest.approx(0.42, abs=0.03)
    assert msgspec.json.decode(msgspec.json.encode(seen), type=Description) == seen


def test_azure_s_conversations_have_the_figures_of_their_card() -> None:
    seen = describe(public("azure_llm_2023_conv"))
    assert seen.rate_rps == pytest.approx(5.530, abs=0.001)
    assert seen.burstiness.cv == pytest.approx(1.094, abs=0.001)
    assert seen.burstiness.fano_1s == pytest.approx(1.385, abs=0.001)
    assert seen.burstiness.peak_to_mean_60s == pytest.approx(1.52, abs=0.005)
    prompt, output = seen.prompt_tokens, seen.output_tokens
    assert prompt is not None
    assert output is not None
    assert (prompt.p5, prompt.p50, prompt.p90, prompt.max) == (181, 1020, 2734.5, 14_050)
    assert prompt.mean == pytest.approx(1154.7, abs=0.01)
    assert (output.p25, output.p50, output.p99, output.max) == (85, 129, 601, 1000)
    assert seen.provenance.synthetic_fields == ("model_id",)


def test_gentd26_has_nearly_the_figures_of_its_card_which_is_of_more_days() -> None:
    seen = describe(public("gentd26_dev"))
    assert seen.rate_rps == pytest.approx(0.0135, rel=0.15)
    assert seen.burstiness.cv == pytest.approx(12.0, rel=0.02)
    assert seen.models.zipf == pytest.approx(1.43, abs=0.05)
    assert seen.models.top1_share == pytest.approx(0.273, abs=0.04)
    assert seen.models.top5_share == pytest.approx(0.712, abs=0.04)
    assert seen.models.top10_share == pytest.approx(0.845, abs=0.02)
    assert seen.adapters is not None
    assert seen.adapters.zipf == pytest.approx(0.92, abs=0.12)
    assert seen.adapters.top10_share == pytest.approx(0.28, abs=0.01)
    assert seen.tenants is not None
    assert seen.tenants.zipf == pytest.approx(0.81, abs=0.01)
    assert seen.adapter_share == pytest.approx(0.168, abs=0.01)
    assert seen.adapter_churn == pytest.approx(0.42, abs=0.06)
    assert seen.tenant_repeat_share == pytest.approx(0.72, abs=0.005)
    cold = [(of.model, of.pair, of.adapter) for of in seen.cold]
    assert cold[0] == pytest.approx((0.55, 0.60, 0.84), abs=0.02)
    assert cold[1] == pytest.approx((0.15, 0.19, 0.27), abs=0.02)
    assert cold[2] == pytest.approx((0.06, 0.10, 0.20), abs=0.01)
