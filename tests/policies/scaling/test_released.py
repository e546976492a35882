"""ServerlessLLM's released autoscaler: one step a second."""

from fleet.domain import ArtifactId, ModelId
from policies.scaling.released import OneStepATick
from tests.policies.bench import Bench, model, node
from tests.policies.duels import gains, loses
from tests.policies.scaling.settings import PER_QUEUE, bursts, served, system

M = ModelId(ArtifactId(0))


def test_serverlessllm_by_hand_takes_one_step_a_tick() -> None:
    scaling = OneStepATick(target=2.0, keep_alive_s=2.0)
    bench = Bench([node(0, 8)], [model(0, slots=8)])
    for _ in range(40):
        bench.ask(0)
    assert scaling.wanted(M, bench.view) == 0, "a first request waits for the next tick"
    scaling.tick(bench.view)
    assert scaling.wanted(M, bench.view) == 1, "forty requests, and one instance more"
    idle = Bench([node(0, 8)], [model(0, slots=8)])
    for _ in range(3):
        idle.run(0, 0)
    for wanted in (3, 2):  # idle for one tick, then for two: the keep-alive is over
        scaling.tick(idle.view)
        assert scaling.wanted(M, idle.view) == wanted


def test_serverlessllm_gains_cards_between_bursts() -> None:
    gains(served(bursts()), system(OneStepATick()), PER_QUEUE, lambda p: p.gpu_s, by=3.0)


def test_serverlessllm_loses_time_in_a_burst() -> None:
    """A tick to notice, and another for the second instance."""
    loses(served(bursts()), system(OneStepATick()), PER_QUEUE, lambda p: p.mean_ttft_s, by=2.0)
