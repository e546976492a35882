"""The duel itself: a fair one, that sees a real difference and denies one that is not there."""

import pytest

from fleet.domain import Tier, Whole
from policies import recipes
from policies.placement.anywhere import RandomPlacement
from tests.policies.clusters import spec
from tests.policies.duels import GB, Setting, a40, arrivals, gains, loses, play, with_

TWO_NODES = Setting(
    nodes=(a40(0), a40(1)),
    models=(spec(0, 13 * GB, Whole(1)), spec(1, 13 * GB, Whole(1))),
    resident=((0, 0, Tier.SSD), (1, 1, Tier.SSD)),
    arrivals=arrivals([(float(i * 60), i % 2) for i in range(10)]),
)


def test_a_duel_sees_that_looking_for_copies_pays() -> None:
    random = with_(recipes.serverlessllm(), placement=RandomPlacement())
    ours, theirs = gains(TWO_NODES, recipes.serverlessllm(), random, lambda p: p.mean_ttft_s)
    assert ours.finished == theirs.finished == 10
    loses(TWO_NODES, random, recipes.serverlessllm(), lambda p: p.mean_ttft_s)


def test_a_policy_does_not_gain_over_itself() -> None:
    with pytest.raises(AssertionError, match="times less than"):
        gains(TWO_NODES, recipes.serverlessllm(), recipes.serverlessllm(), lambda p: p.mean_ttft_s)
    first, again = (play(TWO_NODES, recipes.serverlessllm()) for _ in range(2))
    assert first.journal == again.journal
