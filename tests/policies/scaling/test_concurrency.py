"""Replicas by concurrency: hand-computed answers, and where they help and hurt."""

from fleet.domain import ArtifactId, ModelId
from policies.scaling.concurrency import RayServeAutoscaler, TargetConcurrency
from tests.policies.bench import Bench, model, node
from tests.policies.duels import gains, loses
from tests.policies.scaling.settings import (
    PER_QUEUE,
    bursts,
    fall,
    mean_e2e_s,
    ramp,
    served,
    step,
    system,
)

M = ModelId(ArtifactId(0))


def busy(requests: int, replicas: int) -> Bench:
    bench = Bench([node(0, 8)], [model(0, slots=8)])
    each = requests // replicas
    for number in range(replicas):
        bench.run(0, 0, requests=each + (number < requests % replicas))
    return bench


def test_concurrency_by_hand_waits_for_its_delay_on_the_way_down() -> None:
    scaling = TargetConcurrency(target=2.0, every_s=10.0, window_s=20.0, down_delay_s=20.0)
    bench = busy(7, 4)
    scaling.tick(bench.view)
    assert scaling.wanted(M, bench.view) == 4  # ceil(7 / 2)
    quiet = Bench([node(0, 8)], [model(0, slots=8)]).at(10.0)
    scaling.tick(quiet.view)  # mean (7 + 0) / 2 = 3.5: two would do
    assert scaling.wanted(M, quiet.view) == 4
    quiet.at(20.0)
    scaling.tick(quiet.view)  # the second tick below, and the mean of the last 20 s is 0
    assert scaling.wanted(M, quiet.view) == 0
    quiet.ask(0)
    assert scaling.wanted(M, quiet.view) == 1, "nobody waits for a tick to get a first instance"


def test_concurrency_gains_cards_when_a_crowd_has_gone() -> None:
    """Its mean falls to what one replica serves; what the queue once asked for stays for ever."""
    setting = served(fall())
    gains(setting, system(TargetConcurrency()), PER_QUEUE, lambda p: p.gpu_s, by=2.0)


def test_concurrency_loses_time_when_the_load_grows() -> None:
    """A mean over ten minutes follows a ramp late, and nothing but the mean adds a replica."""
    setting = served(ramp())
    loses(setting, system(TargetConcurrency()), PER_QUEUE, lambda p: p.mean_ttft_s, by=2.0)


def test_ray_serve_by_hand_moves_by_the_error_after_its_delays() -> None:
    scaling = RayServeAutoscaler(target=2.0, look_back_s=5.0, up_delay_s=30.0)
    bench = busy(9, 2)
    for at, wanted in ((0.0, 2), (20.0, 2), (30.0, 5)):  # ceil(2 * 9 / (2 * 2)) = 5
        scaling.tick(bench.at(at).view)
        assert scaling.wanted(M, bench.view) == wanted


def test_ray_serve_gains_speed_for_many_on_one_engine() -> None:
    """Two requests a replica decode faster than sixty-four that never queue."""
    setting = served([(0.25 * i, 0) for i in range(300)], slots=64)
    scaling = RayServeAutoscaler(up_delay_s=10.0)
    gains(setting, system(scaling), PER_QUEUE, mean_e2e_s, by=1.05)


def test_ray_serve_loses_time_in_a_burst() -> None:
    """Its delay of 30 s before it adds a replica is longer than the burst."""
    loses(served(bursts()), system(RayServeAutoscaler()), PER_QUEUE, lambda p: p.mean_ttft_s)
    loses(served(step()), system(RayServeAutoscaler()), PER_QUEUE, lambda p: p.mean_ttft_s)
