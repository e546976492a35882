"""Beliefs: closed forms of the priors, and how they follow what is seen."""

from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet.domain import Tier, Whole
from fleet.estimates import WEIGHT, Belief, Estimates, load_of, transfer_s
from tests.machines.fleets import adapter, model, node

NODE = node(0)  # 10 bytes/s from the remote store, 40 from SSD, 80 over PCIe
OTHER = replace(node(1), kind="H100")
SPEC = model(0, Whole(1), weight_bytes=400)
TWIN = model(1, Whole(1), weight_bytes=400)


def test_the_slowest_hop_decides_a_pipelined_load() -> None:
    assert transfer_s(400, NODE, Tier.REMOTE) == 40.0
    assert transfer_s(400, NODE, Tier.SSD) == 10.0
    assert transfer_s(400, NODE, Tier.DRAM) == 5.0


def test_several_cards_share_what_comes_over_pcie() -> None:
    assert transfer_s(400, NODE, Tier.DRAM, gpus=4) == 1.25
    assert transfer_s(400, NODE, Tier.SSD, gpus=4) == 10.0


def test_a_kind_adds_what_it_takes_beside_moving_bytes() -> None:
    belief = Belief(startup_s=3.0, wake_s=0.5, attach_s=0.25)
    estimates = Estimates({"A40": belief})
    assert estimates.load_s(SPEC, NODE, Tier.DRAM) == 8.0
    assert estimates.load_s(SPEC, OTHER, Tier.DRAM) == 5.0
    assert estimates.wake_s(SPEC, NODE, Tier.DRAM) == 5.5
    assert estimates.attach_s(adapter(10, 2), NODE, Tier.SSD) == 0.25 + 5 / 40


def test_a_load_seen_corrects_its_model_and_gives_others_of_that_tier_a_start() -> None:
    estimates = Estimates({})
    estimates.saw_load(load_of(SPEC, Tier.SSD, 1), NODE, 30.0, queued_s=0.0)
    assert estimates.load_s(SPEC, NODE, Tier.SSD) == 30.0
    assert estimates.load_s(TWIN, NODE, Tier.SSD) == 30.0
    assert estimates.load_s(SPEC, NODE, Tier.DRAM) == 5.0
    assert estimates.load_s(SPEC, OTHER, Tier.SSD) == 10.0


def test_later_loads_are_averaged_in() -> None:
    estimates = Estimates({})
    for seen_s in (30.0, 10.0):
        estimates.saw_load(load_of(SPEC, Tier.SSD, 1), NODE, seen_s, queued_s=0.0)
    assert isclose(estimates.load_s(SPEC, NODE, Tier.SSD), 30.0 + WEIGHT * (10.0 - 30.0))


@given(st.floats(0.1, 100.0), st.integers(1, 60))
def test_a_steady_truth_is_learned(true_s: float, loads: int) -> None:
    estimates = Estimates({})
    estimates.saw_load(load_of(SPEC, Tier.SSD, 1), NODE, 10.0, queued_s=0.0)
    for _ in range(loads):
        estimates.saw_load(load_of(SPEC, Tier.SSD, 1), NODE, true_s, queued_s=0.0)
    off_s = (1.0 - WEIGHT) ** loads * abs(10.0 - true_s)
    assert abs(estimates.load_s(SPEC, NODE, Tier.SSD) - true_s) <= off_s * (1 + 1e-9) + 1e-9


def test_believed_waiting_is_not_learned_as_loading() -> None:
    estimates = Estimates({})
    estimates.saw_load(load_of(SPEC, Tier.SSD, 1), NODE, 25.0, queued_s=15.0)
    assert estimates.load_s(SPEC, NODE, Tier.SSD) == 10.0
    estimates.saw_load(load_of(TWIN, Tier.SSD, 1), NODE, 25.0, queued_s=24.0)
    assert estimates.load_s(TWIN, NODE, Tier.SSD) == 10.0, "no faster than the links allow"


def test_without_correction_the_priors_stay() -> None:
    estimates = Estimates({}, online=False)
    estimates.saw_load(load_of(SPEC, Tier.SSD, 1), NODE, 30.0, queued_s=0.0)
    assert estimates.load_s(SPEC, NODE, Tier.SSD) == 10.0


def test_the_pace_of_serving_follows_what_ends() -> None:
    estimates = Estimates({"A40": Belief(prefill_s_per_token=0.1, decode_s_per_token=0.5)})
    pace = estimates.pace(SPEC.id, "A40")
    estimates.saw_finish(SPEC.id, pace, 0.2, decode_s=9.0, tokens=10)
    assert pace.prefill_s_per_token == pytest.approx(0.1 + WEIGHT * 0.1)
    assert pace.decode_s_per_token == pytest.approx(0.5 + WEIGHT * 0.5)
    assert estimates.pace(SPEC.id, "A40") is pace
    assert estimates.pace(TWIN.id, "A40").decode_s_per_token == 0.5


def test_one_token_teaches_no_decoding() -> None:
    estimates = Estimates({})
    pace = estimates.pace(SPEC.id, "A40")
    before = pace.decode_s_per_token
    estimates.saw_finish(SPEC.id, pace, 0.0, decode_s=0.0, tokens=1)
    assert pace.decode_s_per_token == before


def test_the_length_of_answers_is_learned_from_the_first_on() -> None:
    estimates = Estimates({})
    pace = estimates.pace(SPEC.id, "A40")
    assert estimates.output_tokens(SPEC.id) == 128.0
    estimates.saw_finish(SPEC.id, pace, 0.0, 1.0, tokens=50)
    assert estimates.output_tokens(SPEC.id) == 50.0
    estimates.saw_finish(SPEC.id, pace, 0.0, 1.0, tokens=100)
    assert estimates.output_tokens(SPEC.id) == pytest.approx(50.0 + WEIGHT * 50.0)
