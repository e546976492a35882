"""The cost of an engine by hand, and what dLoRA's dispatch is good and bad for."""

from math import isclose

import pytest

from fleet.domain import AdapterId, ArtifactId
from policies.routing.load import LeastLoaded
from policies.routing.merging import DloraDispatch
from tests.policies.adapters import replicas
from tests.policies.duels import gains, loses
from tests.policies.routing.test_ranks import HIGH, LOW, Fleet, hot, mean_tpot_s, six


@pytest.mark.parametrize(
    ("high", "low", "cost"),
    [
        (2, 2, 0.0),  # 3 + 2 requests of 8: no full batch
        (7, 0, 0.6),  # 8 of one adapter: merged
        (4, 4, 1.0),  # 5 + 4: a mixed batch
        (7, 7, 0.6),  # 8, and 7 that are no full batch
        (8, 7, 1.6),  # 8 merged, and 1 + 7 mixed
    ],
)
def test_dlora_dispatch_by_hand_counts_merged_and_mixed_batches(
    high: int, low: int, cost: float
) -> None:
    fleet = Fleet().load(0, HIGH, high).load(0, LOW, low)
    named = AdapterId(ArtifactId(HIGH))
    assert isclose(DloraDispatch().cost(fleet.instances[0], named, fleet.bench.view), cost)


def test_an_adapter_that_is_not_there_costs_its_bytes() -> None:
    """8 bytes at 16 a second."""
    fleet = Fleet().load(0, HIGH, 1)
    named = AdapterId(ArtifactId(HIGH))
    policy = DloraDispatch(swap_bytes_per_s=16.0)
    costs = [policy.cost(i, named, fleet.bench.view) for i in fleet.instances]
    assert costs == [0.0, 0.5]
    assert isclose(policy.cost(fleet.instances[0], None, fleet.bench.view), 0.0)


def test_dlora_dispatch_gains_the_loads_of_adapters_that_lie_somewhere_already() -> None:
    dlora = replicas(3, routing=DloraDispatch())
    least = replicas(3, routing=LeastLoaded())
    gains(six(), dlora, least, lambda p: p.summary.adapters.attaches, by=5.0)
    gains(six(), dlora, least, lambda p: p.mean_ttft_s, by=1.02)


def test_dlora_dispatch_loses_where_batches_are_large() -> None:
    """Up to 64 requests run where their adapter is, and two engines stand idle."""
    dlora = replicas(3, routing=DloraDispatch(batch=64))
    loses(hot(), dlora, replicas(3, routing=LeastLoaded()), mean_tpot_s, by=1.1)
