"""Scaling by KV memory: hand-computed answers, and where it helps and hurts."""

from fleet.domain import ArtifactId, ModelId
from policies.scaling.memory import BlitzBounds, FreenessScaling
from tests import specs
from tests.policies.bench import Bench, node
from tests.policies.duels import gains, loses
from tests.policies.scaling.settings import (
    PER_QUEUE,
    bursts,
    mean_e2e_s,
    ramp,
    served,
    system,
)

M = ModelId(ArtifactId(0))
#: 80-byte cards less 16 of weights: 640 tokens of 0.1 byte would be less than one; 64 of 1 byte.
SMALL = specs.model(0, weight_bytes=16, slots=16, kv_bytes_per_token=1)


def holding(requests: int, prompt: int, replicas: int = 1) -> Bench:
    bench = Bench([node(0, 8)], [SMALL])
    for number in range(replicas):
        bench.run(0, 0, requests=requests if not number else 0, prompt=prompt)
    return bench


def test_freeness_by_hand_steps_at_its_two_thresholds() -> None:
    scaling = FreenessScaling(least=0.5, most=60.0)
    bench = holding(2, 20)  # (64 - 40) / 16 / 2 = 0.75 blocks a request
    scaling.tick(bench.view)
    assert scaling.wanted(M, bench.view) == 1
    fuller = holding(3, 20)  # (64 - 60) / 16 / 3 = 0.08
    scaling.tick(fuller.view)
    assert scaling.wanted(M, fuller.view) == 2
    idle = holding(0, 0, replicas=3)
    scaling.tick(idle.view)
    assert scaling.wanted(M, idle.view) == 2, "one at a time"
    last = holding(0, 0)
    scaling.tick(last.view)
    assert scaling.wanted(M, last.view) == 1, "not below `fewest`"


def test_freeness_gains_cards_between_bursts() -> None:
    setting = served(bursts())
    gains(setting, system(FreenessScaling()), PER_QUEUE, lambda p: p.gpu_s, by=1.5)


def test_freeness_loses_time_when_the_load_grows() -> None:
    """One more every 10 s, and not before memory is short."""
    loses(served(ramp()), system(FreenessScaling()), PER_QUEUE, lambda p: p.mean_ttft_s, by=2.0)


def test_blitz_bounds_by_hand_jump_up_to_the_middle_and_step_down() -> None:
    scaling = BlitzBounds(lower=0.25, upper=0.5)
    bench = holding(3, 20)  # 60 tokens of 64: lo = ceil(60 / 32) = 2, hi = ceil(60 / 16) = 4
    scaling.tick(bench.view)
    assert scaling.wanted(M, bench.view) == 3  # (2 + 4 + 1) // 2
    five = holding(3, 20, replicas=6)
    scaling.tick(five.view)
    assert scaling.wanted(M, five.view) == 5
    idle = holding(0, 0)
    scaling.tick(idle.view)
    assert scaling.wanted(M, idle.view) == 0


def test_blitz_bounds_gains_speed_where_long_outputs_fill_an_engine() -> None:
    """It adds replicas at a share of memory, before anybody queues, and batches stay small."""
    setting = served([(1.0 * i, 0) for i in range(150)], slots=64, output_tokens=1500)
    gains(setting, system(BlitzBounds()), PER_QUEUE, mean_e2e_s, by=1.1)


def test_blitz_bounds_loses_time_when_bursts_come_back() -> None:
    """Nothing runs between bursts, so nothing is kept."""
    loses(served(bursts()), system(BlitzBounds()), PER_QUEUE, lambda p: p.mean_ttft_s, by=2.0)
