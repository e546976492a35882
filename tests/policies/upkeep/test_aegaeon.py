"""Turns on a card: quotas by hand, whose turn ends, and what round robin gives and takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.commands import Keep, Preempt, Sleep, StartInstance, Wake
from fleet.domain import Tier, Whole
from policies import recipes
from policies.placement.aegaeon import AegaeonPrefill
from policies.upkeep.aegaeon import AegaeonDecode, quotas_s
from tests.policies.bench import Bench, model, node
from tests.policies.clusters import spec
from tests.policies.duels import GB, Played, Setting, a40, arrival, gains, loses, with_


def test_aegaeon_decode_by_hand_quotas_are_in_inverse_proportion_to_the_slack() -> None:
    """n = 8 and 4 tokens in the time of one, 1 s of switching: alpha = 1 / 16 + 3 / 8 is below its
    floor of 1/2, so q = 1 / (8 / 8) and 1 / (4 / 8) s."""
    assert quotas_s([8.0, 4.0], 1.0, 4.0) == [1.0, 2.0]
    # 4 s of switching: alpha = 1/4 + 3/8, and the longest turn is the most allowed.
    assert quotas_s([8.0, 4.0], 4.0, 4.0) == [2.0, 4.0]
    assert quotas_s([8.0], 0.0, 4.0) == [4.0]


@given(
    tokens=st.lists(st.floats(2.0, 50.0), min_size=1, max_size=5), switch_s=st.floats(0.01, 20.0)
)
def test_each_model_decodes_its_share_of_a_round(tokens: list[float], switch_s: float) -> None:
    """q_i * n_i / (sum of q + c) is the same for all, 1 / alpha: what the quotas were derived from.

    No turn is longer than the most allowed.
    """
    quotas = quotas_s(tokens, switch_s, 4.0)
    round_s = sum(quotas) + switch_s
    shares = [q * n / round_s for q, n in zip(quotas, tokens, strict=True)]
    assert shares == pytest.approx([shares[0]] * len(shares))
    assert shares[0] <= 2.0 + 1e-9  # alpha is at least 1/2
    assert max(quotas) <= 4.0 + 1e-9


def starved(rule: AegaeonDecode) -> Bench:
    """Model 1 has the only card and runs two requests; one waits for model 0."""
    bench = Bench([node(0)], [model(0), model(1)], resident=[(0, 0, Tier.DRAM)])
    bench.run(1, 0, requests=2)
    bench.ask(0)
    return bench


def test_aegaeon_decode_by_hand_a_turn_ends_with_its_quota() -> None:
    """0.1 s a token, 0.4 s due: n = 4 for both; a round's two wakes of 1.25 s make alpha =
    2.5 / 16 + 1/2, and the turn 2.5 / (4 * 2.5 / 16) = 4 s."""
    rule = AegaeonDecode(tbt_slo_s=0.4)
    bench = starved(rule)
    assert list(rule.tend(bench.at(3.9).view)) == []
    (plan,) = rule.tend(bench.at(4.0).view)
    kinds = [type(step.command) for step in plan.steps]
    assert kinds == [Preempt, Preempt, Sleep, StartInstance]
    assert all(s.command.keep is Keep.KV for s in plan.steps if isinstance(s.command, Preempt))
    bench.finish(bench.begin(plan))
    assert len(bench.view.ready(bench.need(0).model.id)) == 1
    assert bench.view.queued(bench.need(1).model.id) == 2


def test_aegaeon_decode_by_hand_the_next_turn_is_a_wake() -> None:
    rule = AegaeonDecode(tbt_slo_s=0.4)
    bench = starved(rule)
    (plan,) = rule.tend(bench.at(4.0).view)
    bench.finish(bench.begin(plan))
    (back,) = rule.tend(bench.at(8.0).view)
    assert [type(step.command) for step in back.steps] == [Sleep, Wake]


def test_aegaeon_decode_by_hand_nobody_gives_way_beside_a_free_card_or_after_too_many_turns() -> (
    None
):
    roomy = Bench([node(0), node(1)], [model(0), model(1)])
    roomy.run(1, 0, requests=1)
    roomy.ask(0)
    assert list(AegaeonDecode().tend(roomy.at(100.0).view)) == []
    tired = AegaeonDecode(most_turns=1)
    assert list(tired.tend(starved(tired).at(100.0).view)) == []


NONE = with_(recipes.keep_alive(30.0), placement=AegaeonPrefill())
TURNS = with_(NONE, upkeep=(AegaeonDecode(),))
ONE_CARD = (a40(0, gpus=1),)
MODELS = tuple(spec(n, 13 * GB, Whole(1), slots=8) for n in range(2))
ON_SSD = tuple((n, 0, Tier.SSD) for n in range(2))


def test_aegaeon_decode_gains_for_short_requests_behind_a_long_one() -> None:
    """A request of 3,000 tokens holds the only card for two minutes; short ones of another model
    come meanwhile."""
    setting = Setting(
        nodes=ONE_CARD,
        models=MODELS,
        resident=ON_SSD,
        arrivals=(arrival(0, 0.0, 0, 3000), *(arrival(n, 15.0 * n, 1, 30) for n in range(1, 5))),
    )
    mine, theirs = gains(setting, TURNS, NONE, lambda p: p.mean_ttft_s, by=3.0)
    assert mine.finished == theirs.finished == 5
    assert mine.commands["Wake"] > 0


def mean_end_s(played: Played) -> float:
    quantiles = played.summary.latency.e2e_s
    assert quantiles is not None
    return quantiles.mean


def test_aegaeon_decode_loses_where_both_have_long_to_go() -> None:
    """Of two equal requests one after the other ends the first at half the time; in turns both end
    last, and later by all the switches."""
    setting = Setting(
        nodes=ONE_CARD,
        models=MODELS,
        resident=ON_SSD,
        arrivals=(arrival(0, 0.0, 0, 600), arrival(1, 0.0, 1, 600)),
    )
    loses(setting, TURNS, NONE, mean_end_s, by=1.1)


def test_a_turn_begins_with_the_wake_and_not_with_the_first_start() -> None:
    rule = AegaeonDecode(tbt_slo_s=0.4)
    bench = starved(rule)
    (instance,) = bench.view.ready(bench.need(1).model.id)
    rule._turn_at[instance.id] = 3.0  # as it would be after a wake
    assert list(rule.tend(bench.at(6.9).view)) == []
    assert len(list(rule.tend(bench.at(7.0).view))) == 1
