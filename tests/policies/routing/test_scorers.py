"""Each scorer alone, on loads, tokens, prefixes and adapters that a test has put there."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from policies.routing.scorers import (
    KvScorer,
    LoadAwareScorer,
    LoraAffinityScorer,
    NoHitLruScorer,
    PrefixScorer,
    QueueScorer,
)
from policies.routing.scoring import Scorer, open_to
from tests.policies.routing.sent import asked, send
from tests.policies.routing.test_load import Fleet
from tests.policies.warm import begins

EVERY = (
    QueueScorer(),
    KvScorer(),
    PrefixScorer(),
    LoraAffinityScorer(),
    LoadAwareScorer(),
    NoHitLruScorer(),
)


def scored(scorer: Scorer, fleet: Fleet, **more: Any) -> Sequence[float]:
    return scorer.scores(asked(fleet, **more), fleet.instances, fleet.bench.view)


def test_a_queue_scores_between_the_longest_and_the_shortest() -> None:
    assert scored(QueueScorer(), Fleet(3).load(0, 4).load(1, 1)) == [0.0, 0.75, 1.0]
    assert scored(QueueScorer(), Fleet(2).load(0, 1).load(1, 1)) == [1.0, 1.0]


def test_a_kv_cache_scores_what_is_left_of_it() -> None:
    """Fifty tokens fit; a prompt of 20 takes two fifths, two of 40 more than all."""
    fleet = Fleet(3, weight_bytes=30, kv_bytes_per_token=1)
    send(fleet, 0, [], prompt_tokens=20)
    for _ in range(2):
        send(fleet, 1, [], prompt_tokens=40)
    assert scored(KvScorer(), fleet) == [0.6, 0.0, 1.0]
    assert scored(KvScorer(), Fleet(1).load(0, 4)) == [1.0], "no KV cache, none in use"


def test_a_prefix_scores_the_share_that_was_sent_there() -> None:
    fleet, scorer = Fleet(3), PrefixScorer()
    send(fleet, 0, [scorer], **begins(1, 2))
    send(fleet, 1, [scorer], **begins(1, 8))
    assert scored(scorer, fleet, **begins(1, 4)) == [0.5, 1.0, 0.0]
    assert scored(scorer, fleet) == [0.0, 0.0, 0.0]
    request = asked(fleet, **begins(1, 4))
    nominated = scorer.nominated(request, fleet.bench.view)
    assert [fleet.instances.index(i) for i in nominated] == [1, 0]


def test_lora_affinity_scores_attached_free_coming_and_full() -> None:
    """1.0, 0.8, 0.6 and 0 in that order, as llm-d has it."""
    fleet = Fleet(4).load(0, 1, 20).load(3, 1, 21)
    fleet.bench.aim.at = fleet.instances[2]
    attach = fleet.bench.ask(0, adapter=22)
    fleet.bench.aim.at = None
    adapter = {n: asked(fleet, adapter=n) for n in (20, 22)}
    of = LoraAffinityScorer()._score
    assert [of(adapter[20], i) for i in fleet.instances] == [1.0, 0.8, 0.0, 0.0]
    assert of(adapter[22], fleet.instances[2]) == 0.6
    fleet.bench.finish(attach)
    assert of(adapter[22], fleet.instances[2]) == 1.0
    assert scored(LoraAffinityScorer(), fleet) == [1.0] * 4


def test_load_aware_scores_half_for_nobody_and_nothing_from_the_threshold_on() -> None:
    fleet = Fleet(3).load(0, 2).load(1, 4)
    assert scored(LoadAwareScorer(threshold=4), fleet) == [0.25, 0.0, 0.5]
    assert scored(LoadAwareScorer(threshold=2), fleet) == [0.0, 0.0, 0.5]


def test_no_hit_lru_goes_round_with_prompts_that_are_cached_nowhere() -> None:
    fleet, scorer = Fleet(3), NoHitLruScorer()
    assert scored(scorer, fleet, **begins(1, 2)) == [1.0, 0.5, 0.0]
    send(fleet, 1, [scorer], **begins(1, 2))
    send(fleet, 0, [scorer], **begins(2, 2))
    assert scored(scorer, fleet, **begins(3, 2)) == [0.0, 0.5, 1.0]
    send(fleet, 1, [scorer], **begins(2, 2))  # a hit moves nobody
    assert scored(scorer, fleet, **begins(3, 2)) == [0.0, 0.5, 1.0]
    assert scored(scorer, fleet, **begins(2, 2)) == [0.5, 0.5, 0.5]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=10), st.integers(0, 3))
def test_every_score_lies_between_nought_and_one(sent: list[tuple[int, int]], text: int) -> None:
    fleet = Fleet(4, weight_bytes=30, kv_bytes_per_token=1)
    for to, of in sent:
        if fleet.instances[to].load < 4:
            send(fleet, to, list(EVERY), **begins(of, 1 + of, 5))
    request = asked(fleet, **begins(text, 3))
    found = open_to(request, fleet.bench.view, EVERY)
    for scorer in EVERY:
        scores = scorer.scores(request, found, fleet.bench.view) if found else []
        assert len(scores) == len(found)
        assert all(0.0 <= score <= 1.0 for score in scores)
