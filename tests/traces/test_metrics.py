"""The numbers of a run, against hand-worked cases."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet import commands as c
from fleet.domain import CommandId, RequestId
from tests.traces.runs import Story, finish, ready, request, send, start, two_request_story
from traces.metrics import jain, summarise
from traces.summary import Held, Slo, Summary, value_of

SLO = Slo(ttft_s=1.0, tpot_s=0.1)


def summary_of(story: Story, slo: Slo = SLO) -> Summary:
    return summarise(story.record(), slo)


def test_latencies_follow_their_definitions() -> None:
    latency = summary_of(two_request_story()).latency
    assert latency.ttft_s is not None
    assert latency.tpot_s is not None
    assert latency.e2e_s is not None
    assert latency.per_token_s is not None
    assert latency.queue_s is not None
    assert (latency.ttft_s.n, latency.ttft_s.mean, latency.ttft_s.max) == (2, 2.5, 4.5)
    assert latency.tpot_s.mean == pytest.approx((0.1 + 0.05) / 2)
    assert latency.e2e_s.max == 5.5
    assert latency.per_token_s.max == 0.5
    assert latency.queue_s.max == 0.25  # the 4 s of load are not queueing


def test_gaps_are_quantiles_of_all_tokens_within_a_bin() -> None:
    itl = summary_of(two_request_story()).latency.itl_s
    assert itl is not None
    assert itl.n == 30
    assert itl.mean == pytest.approx((10 * 0.1 + 20 * 0.05) / 30)
    assert itl.p50 == pytest.approx(0.05, rel=0.1)
    assert itl.p99 == pytest.approx(0.1, rel=0.1)
    assert itl.max == pytest.approx(0.1)


def test_every_arrived_request_counts_for_attainment() -> None:
    story = two_request_story().arrive(
        request(2, 8.5), c.Reject(CommandId(9), RequestId(2), "queue full")
    )
    story.arrive(request(3, 8.5))
    objective = summary_of(story).objective
    assert objective.attainment == 0.25
    assert objective.ttft_attainment == 0.25
    assert objective.tpot_attainment == 0.5
    assert objective.goodput_requests_per_s == pytest.approx(1 / 7.5)
    assert objective.goodput_tokens_per_s == pytest.approx(21 / 7.5)


def test_a_model_can_have_its_own_objective() -> None:
    summary = summarise(two_request_story().record(), SLO, slo_of_model={0: Slo(0.1, 0.1)})
    assert summary.objective.attainment == 0.0
    assert summary.models["opt-0"].attainment == 0.0


def test_cold_starts_are_counted_by_request_and_by_load() -> None:
    story = Story().arrive(request(0, 1.0), start(10, 0), start(11, 1)).arrive(request(1, 2.0))
    story.tell(ready(5.0, 10, 0, 4.0, ("weights", 4.0)), send(12, 0, 0), send(13, 1, 0))
    story.tell(ready(6.0, 11, 1, 5.0, ("weights", 5.0)))
    story.tell(finish(0, 0, 5.0, 5.5, 6.0, 2)).tell(finish(1, 0, 5.0, 5.5, 6.5, 2))
    cold = summary_of(story).cold
    assert (cold.requests, cold.ratio) == (2, 1.0)
    assert (cold.loads, cold.loads_waited_for, cold.load_ratio) == (2, 1, 0.5)
    assert cold.loads_per_cold_request == 0.5
    assert cold.ttft_s is not None
    assert cold.ttft_s.mean == 4.0
    assert cold.warm_ttft_s is None
    remote = cold.by_source["remote"]
    assert remote.phase_mean_s == {"weights": 4.5}
    assert remote.load_s is not None
    assert remote.load_s.mean == 4.5


def test_cost_adds_kinds_and_divides_by_what_was_done() -> None:
    record = two_request_story().record()  # two nodes of two cards: 0.001 a card-second
    held = {"A40": Held({"serving": 4.0, "idle": 6.0}, {"idle": 2e9}), "H100": Held({"idle": 1.0})}
    cost = summarise(record, Slo(5.0, 0.2), held).cost
    assert cost.gpu_s == {"serving": 4.0, "idle": 7.0}
    assert cost.price_total == pytest.approx(0.01)
    assert cost.fleet_gpu_s == pytest.approx(4 * 8.5)
    assert cost.held_ratio == pytest.approx(11 / 34)
    assert cost.per_1k_requests == pytest.approx(5.0)
    assert cost.per_1m_tokens == pytest.approx(0.01 * 1e6 / 32)
    assert cost.per_good_request == pytest.approx(0.005)
    assert cost.dram_byte_s == {"idle": 2e9}


def test_an_empty_run_is_all_none_and_no_nan() -> None:
    summary = summary_of(Story())
    text = msgspec.json.encode(summary).decode()
    assert "NaN" not in text
    parsed = json.loads(text)
    assert parsed["latency"]["ttft_s"] is None
    assert parsed["objective"]["attainment"] is None


def test_a_summary_survives_json() -> None:
    summary = summary_of(two_request_story())
    assert msgspec.json.decode(msgspec.json.encode(summary), type=Summary) == summary


def test_a_number_is_found_by_its_path_and_a_wrong_path_is_refused() -> None:
    summary = summarise(two_request_story().record(), SLO, {"A40": Held({"idle": 3.0})})
    assert value_of(summary, "latency.ttft_s.max") == 4.5
    assert value_of(summary, "cost.gpu_s.idle") == 3.0
    assert value_of(summary, "cost.gpu_s.training") is None
    assert value_of(summary, "migrations.pause_s.p99") is None
    with pytest.raises(ValueError, match=r"'latency\.ttft': Latency has no field 'ttft'"):
        value_of(summary, "latency.ttft")
    with pytest.raises(ValueError, match="not one number"):
        value_of(summary, "latency.ttft_s")


def test_tenants_that_are_served_alike_are_fair_and_others_not() -> None:
    story = Story().tick(0.0, start(1, 0)).tell(ready(0.5, 1, 0, 0.5))
    for number in range(40):
        at = 1.0 + number
        story.arrive(request(number, at, tenant=number % 2), send(2, number, 0))
        late_s = 0.1 if number % 2 else 3.0
        story.tell(finish(number, 0, at, at + late_s, at + late_s + 0.1, 3))
    tenants = summary_of(story).tenants
    assert (tenants.tenants, tenants.jain_service, tenants.jain_attainment) == (2, 1.0, 0.5)
    assert tenants.worst_p99_ratio == pytest.approx(1.0)


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_jains_index_lies_between_one_over_n_and_one(shares: list[float]) -> None:
    index = jain(np.array(shares))
    assert index is not None
    assert 1 / len(shares) - 1e-12 <= index <= 1 + 1e-12


@given(
    first_s=st.floats(0.01, 3.0),
    step_s=st.floats(0.01, 0.3),
    tokens=st.integers(1, 60),
)
@settings(max_examples=100, deadline=None)
def test_token_attainment_agrees_with_counting_tokens(
    first_s: float, step_s: float, tokens: int
) -> None:
    story = Story().arrive(request(0, 0.0), send(1, 0, 0))
    end = first_s + step_s * (tokens - 1)
    story.tell(finish(0, 0, 0.0, first_s, end, tokens))
    measured = summary_of(story).objective.token_attainment
    slack = 1e-9
    surely = sum(first_s + k * step_s <= 1.0 + k * 0.1 - slack for k in range(tokens))
    perhaps = sum(first_s + k * step_s <= 1.0 + k * 0.1 + slack for k in range(tokens))
    assert measured is not None
    assert surely - 1e-9 <= measured * tokens <= perhaps + 1e-9


def test_counts_by_outcome_add_up() -> None:
    story = two_request_story().arrive(request(2, 9.0))
    counts = summary_of(story).requests
    assert (counts.arrived, counts.finished, counts.unfinished) == (3, 2, 1)
