import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.traces.workloads import small, workloads
from traces.workload import (
    UNKNOWN_MODEL,
    LengthSample,
    TraceError,
    TraceMeta,
    Workload,
    name_missing_models,
)


def test_a_workload_knows_its_length_span_and_names() -> None:
    work = small(
        arrival_us=[0, 2_500_000],
        model_id=["m2", "m1"],
        adapter_ids=[("b", "a"), ("a",)],
        tenant_id=[None, "t"],
    )
    assert (len(work), work.duration_s) == (2, 2.5)
    assert work.models() == ("m1", "m2")
    assert work.adapters() == ("a", "b")
    assert work.tenants() == ("t",)
    assert work.arrivals_s.tolist() == [0.0, 2.5]


def test_a_workload_without_requests_has_no_span() -> None:
    empty = small(arrival_us=[1]).limit(0)
    assert (len(empty), empty.duration_s, empty.models()) == (0, 0.0, ())
    empty.validate()


@given(workloads())
@settings(max_examples=25)
def test_what_is_built_is_valid(work: Workload) -> None:
    work.validate()


def test_rows_out_of_order_are_invalid() -> None:
    work = small(arrival_us=[1, 2])
    backwards = Workload(work.frame.iloc[::-1].reset_index(drop=True), work.meta)
    with pytest.raises(TraceError, match="made, row 1, column 'arrival_us': 2 is not allowed"):
        backwards.validate()


def test_a_cell_changed_behind_the_back_is_invalid() -> None:
    work = small(arrival_us=[1, 2])
    broken = Workload(work.frame.assign(model_id=["m", ""]), work.meta)
    with pytest.raises(TraceError, match="row 2, column 'model_id'"):
        broken.validate()


def test_a_slice_starts_its_clock_at_its_own_start() -> None:
    work = small(arrival_us=[0, 1_000_000, 2_000_000, 3_000_000], turn=[1, None, None, None])
    part = work.between(1.0, 2.0)
    assert part.frame["arrival_us"].tolist() == [0, 1_000_000]
    assert part.frame["request_id"].tolist() == [1, 2]
    assert "turn" not in part.frame
    assert part.meta.notes["slice"] == "2 s from 1 s"
    part.validate()


@given(workloads(), st.floats(0.1, 1e4))
@settings(max_examples=25)
def test_slices_that_follow_each_other_hold_every_request_once(work: Workload, cut: float) -> None:
    before, after = work.between(0.0, cut), work.between(cut)
    ids = before.frame["request_id"].tolist() + after.frame["request_id"].tolist()
    assert ids == work.frame["request_id"].tolist()


@pytest.mark.parametrize(("start_s", "duration_s"), [(-1.0, 1.0), (math.nan, 1.0), (0.0, 0.0)])
def test_a_slice_of_no_time_is_refused(start_s: float, duration_s: float) -> None:
    with pytest.raises(TraceError, match="slice"):
        small(arrival_us=[0]).between(start_s, duration_s)


def test_compression_shrinks_arrivals_think_times_and_steps_but_no_service() -> None:
    work = small(arrival_us=[0, 4_000_000], think_time_us=[None, 3_000_000], service_s=[2.0, 2.0])
    meta = msgspec.structs.replace(work.meta, time_quantum_us=1_000_000, time_compression=2.0)
    fast = Workload(work.frame, meta).compress(4.0)
    assert fast.frame["arrival_us"].tolist() == [0, 1_000_000]
    assert fast.frame["think_time_us"].dropna().tolist() == [750_000]
    assert fast.frame["service_s"].tolist() == [2.0, 2.0]
    assert fast.meta.time_compression == 8.0
    assert fast.meta.time_quantum_us == 250_000
    assert work.frame["think_time_us"].dropna().tolist() == [3_000_000]


@given(workloads(), st.sampled_from([0.5, 3.0, 24.0]))
@settings(max_examples=25)
def test_compression_keeps_every_request_and_the_order_of_time(
    work: Workload, factor: float
) -> None:
    fast = work.compress(factor)
    fast.validate()
    assert sorted(fast.frame["request_id"]) == sorted(work.frame["request_id"])
    exact = work.frame["arrival_us"].to_numpy() / factor
    assert np.max(np.abs(fast.frame["arrival_us"].to_numpy() - exact)) <= 1.0


@pytest.mark.parametrize("factor", [0.0, -1.0, math.inf, math.nan])
def test_a_factor_that_is_no_speed_is_refused(factor: float) -> None:
    with pytest.raises(TraceError, match="compress"):
        small(arrival_us=[0]).compress(factor)


def _batches() -> Workload:
    work = small(arrival_us=[0, 0, 0, 3_000_000, 3_000_000])
    return Workload(work.frame, msgspec.structs.replace(work.meta, time_quantum_us=3_000_000))


def test_jitter_spreads_a_batch_within_its_step_and_keeps_its_order() -> None:
    spread = _batches().jitter(seed=5)
    arrivals = spread.frame["arrival_us"].to_numpy()
    assert len(set(arrivals.tolist())) == 5
    assert np.all(arrivals // 3_000_000 == [0, 0, 0, 1, 1])
    assert spread.frame["request_id"].tolist() == [0, 1, 2, 3, 4]
    assert spread.meta.time_quantum_us == 0
    assert "3000000" in spread.meta.notes["jitter"]
    assert "seed 5" in spread.meta.notes["jitter"]


def test_jitter_is_the_same_for_the_same_seed_only() -> None:
    work = _batches()
    assert work.jitter(1).frame.equals(work.jitter(1).frame)
    assert not work.jitter(1).frame.equals(work.jitter(2).frame)


def test_jitter_leaves_exact_stamps_alone() -> None:
    work = small(arrival_us=[0, 0])
    assert work.jitter(1) is work


SAMPLE = LengthSample("pairs", np.array([10, 20], np.int32), np.array([1, 2], np.int32))


def test_missing_lengths_are_drawn_as_pairs_and_declared_synthetic() -> None:
    drawn = small(arrival_us=list(range(200))).with_lengths(SAMPLE, seed=3)
    pairs = set(zip(drawn.frame["prompt_tokens"], drawn.frame["output_tokens"], strict=True))
    assert pairs == {(10, 1), (20, 2)}
    assert drawn.meta.synthetic_fields == ("prompt_tokens", "output_tokens")
    assert drawn.meta.notes["lengths"] == "pairs, seed 3"
    drawn.validate()


def test_lengths_that_are_there_stay() -> None:
    work = small(arrival_us=[0, 1], prompt_tokens=[7, None], output_tokens=[5, 6])
    drawn = work.with_lengths(SAMPLE, seed=3)
    assert drawn.frame["prompt_tokens"].tolist()[0] == 7
    assert drawn.frame["output_tokens"].tolist() == [5, 6]
    assert drawn.meta.synthetic_fields == ("prompt_tokens",)
    assert drawn.with_lengths(SAMPLE, seed=4) is drawn


def test_a_length_sample_has_as_many_outputs_as_prompts() -> None:
    with pytest.raises(TraceError, match="length sample 'odd': 2 prompt and 1 output"):
        LengthSample("odd", np.array([1, 2], np.int32), np.array([1], np.int32))


def test_a_limit_keeps_the_first_and_says_so() -> None:
    part = small(arrival_us=[3, 1, 2]).limit(2)
    assert part.frame["arrival_us"].tolist() == [1, 2]
    assert part.meta.notes["limit"] == "first 2 of 3 requests"
    with pytest.raises(TraceError, match="limit: -1"):
        part.limit(-1)


def test_a_second_note_under_one_key_continues_the_first() -> None:
    assert TraceMeta().noted("slice", "a").noted("slice", "b").notes == {"slice": "a; b"}


def test_a_synthetic_field_is_declared_once() -> None:
    meta = TraceMeta().with_synthetic("a", "b").with_synthetic("b", "c")
    assert meta.synthetic_fields == ("a", "b", "c")


def test_models_that_the_source_does_not_name_are_counted() -> None:
    named, meta = name_missing_models(["m", None], TraceMeta())
    assert named == ["m", UNKNOWN_MODEL]
    assert meta.notes["model_id"].startswith("1 requests name no model")
