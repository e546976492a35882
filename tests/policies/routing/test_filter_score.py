"""Parts put together: who is left, what they score, who is picked."""

from collections import Counter
from typing import Any

from policies.routing.filter_score import (
    FilterScore,
    LowKv,
    LowQueue,
    MaxScore,
    WeightedRandom,
)
from policies.routing.load import LeastLoaded
from policies.routing.scorers import (
    KvScorer,
    LoraAffinityScorer,
    PrefixScorer,
    QueueScorer,
)
from policies.routing.scoring import Scorer
from tests.policies.duels import gains, loses
from tests.policies.routing.sent import asked, send
from tests.policies.routing.test_hashing import conversations
from tests.policies.routing.test_load import Fleet
from tests.policies.warm import Row, begins, poisson, replicas, warm


def where(fleet: Fleet, policy: FilterScore, **more: Any) -> int | None:
    instance = policy.route(asked(fleet, **more), fleet.bench.view)
    return None if instance is None else fleet.instances.index(instance)


def weighed(prefix: float, queue: float) -> tuple[tuple[Scorer, ...], PrefixScorer]:
    known = PrefixScorer(prefix)
    return (known, QueueScorer(queue)), known


def test_filter_score_by_hand_adds_weighted_scores() -> None:
    """0 holds 2 of 4 blocks and has 3 requests; 1 has 1; 2 has none. Prefix 3, queue 2:
    3 * 0.5 + 0, 2 * 2/3 and 2 * 1. With a prefix weight of 5: 2.5 wins."""
    fleet = Fleet(3).load(1, 1)
    light, first = weighed(3.0, 2.0)
    heavy, second = weighed(5.0, 2.0)
    for _ in range(3):
        send(fleet, 0, [first, second], **begins(1, 2))
    assert where(fleet, FilterScore(scorers=light), **begins(1, 4)) == 2
    assert where(fleet, FilterScore(scorers=heavy), **begins(1, 4)) == 0


def test_filter_score_starts_from_what_llm_d_has() -> None:
    policy = FilterScore()
    assert [(type(s), s.weight) for s in policy.scorers] == [
        (PrefixScorer, 3.0),
        (QueueScorer, 2.0),
        (KvScorer, 2.0),
    ]
    assert policy.scorers[0] is not FilterScore().scorers[0], "each remembers for itself"


def test_a_filter_leaves_out_who_is_over_and_nobody_if_all_are() -> None:
    fleet = Fleet(3, weight_bytes=30, kv_bytes_per_token=1)
    send(fleet, 0, [], prompt_tokens=45)  # of 50 that fit
    for _ in range(2):
        send(fleet, 1, [], prompt_tokens=5)
    view, request = fleet.bench.view, asked(fleet)
    every = fleet.instances
    assert list(LowQueue(1).sift(request, every, view)) == [every[0], every[2]]
    assert list(LowKv(0.8).sift(request, every, view)) == every[1:]
    fleet.load(2, 3)
    alone = FilterScore(filters=(LowKv(), LowQueue(2)), scorers=(QueueScorer(),))
    assert where(fleet, alone) == 1
    nobody = FilterScore(filters=(LowQueue(0),), scorers=(QueueScorer(),))
    assert where(fleet, nobody) == 0, "the least loaded: the filter is passed over"


def test_without_scorers_the_least_loaded_serves() -> None:
    assert where(Fleet(3).load(0, 2).load(1, 1).load(2, 3), FilterScore(scorers=())) == 1
    assert where(Fleet(1).load(0, 4), FilterScore()) is None


def test_lora_affinity_finds_the_adapter_on_a_busier_instance() -> None:
    fleet = Fleet(2).load(0, 2, 20)
    affine = FilterScore(scorers=(LoraAffinityScorer(), QueueScorer(0.1)))
    assert where(fleet, affine, adapter=20) == 0
    assert where(fleet, affine, adapter=21) == 1
    assert where(fleet, affine) == 1


def test_the_highest_score_is_picked_and_of_equal_ones_the_first() -> None:
    fleet = Fleet(3)
    view, every = fleet.bench.view, fleet.instances
    assert MaxScore().pick(every, [0.5, 2.0, 2.0], view) is every[1]


def test_chance_picks_in_proportion_to_scores() -> None:
    """Of 400 draws at 3 : 1 : 0, three quarters are 300; 250 is 5.8 deviations below."""
    fleet = Fleet(3)
    view, every = fleet.bench.view, fleet.instances
    drawn = Counter(WeightedRandom().pick(every, [3.0, 1.0, 0.0], view).id for _ in range(400))
    assert 250 < drawn[every[0].id] < 350
    assert drawn[every[2].id] == 0
    even = {WeightedRandom().pick(every, [0.0, 0.0, 0.0], view).id for _ in range(50)}
    assert len(even) == 3


LEAST, OURS = replicas(4, routing=LeastLoaded()), replicas(4, routing=FilterScore())


def test_filter_score_gains_where_conversations_grow() -> None:
    setting = warm(conversations(12, 8), 4)
    gains(setting, OURS, LEAST, lambda p: p.mean_ttft_s, by=1.5)


def test_filter_score_loses_where_prompts_are_alike_and_nothing_is_cached() -> None:
    """The KV scorer takes a request that is nearly done for a heavier one than one that has just
    begun, so that prompts queue behind prompts."""
    rows: list[Row] = [(at, 30, {"prompt_tokens": 1000}) for at in poisson(6.0, 300)]
    loses(warm(rows, 4), OURS, LEAST, lambda p: p.mean_ttft_s, by=1.2)
