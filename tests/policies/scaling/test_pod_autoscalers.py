"""KPA and APA: hand-computed answers, and where they help and hurt."""

from fleet.domain import ArtifactId, ModelId
from policies.scaling.pod_autoscalers import AibrixPodAutoscaler, KnativePodAutoscaler
from tests.policies.bench import Bench, model, node
from tests.policies.duels import gains, loses
from tests.policies.scaling.settings import PER_QUEUE, bursts, fall, served, system

M = ModelId(ArtifactId(0))


def crowd(requests: int, replicas: int) -> Bench:
    """Ready instances of eight slots that are full, and the rest in the queue."""
    bench = Bench([node(0, 8)], [model(0, slots=8)])
    for _ in range(replicas):
        bench.run(0, 0, requests=8)
    for _ in range(requests - 8 * replicas):
        bench.ask(0)
    return bench


def test_kpa_by_hand_panics_at_twice_what_there_is_and_calms_down_after_a_window() -> None:
    scaling = KnativePodAutoscaler(target=4.0, utilisation=1.0)
    bench = crowd(16, 2)
    scaling.tick(bench.at(0.0).view)  # ceil(16 / 4) = 4 is twice the two there are
    assert scaling.wanted(M, bench.view) == 4
    less = crowd(8, 1).at(2.0)
    scaling.tick(less.view)
    assert scaling.wanted(M, less.view) == 4, "never fewer in a panic"
    for at in range(4, 64, 2):
        scaling.tick(less.at(float(at)).view)
    # The panic ended 60 s after its last alarm; ceil(8 / 4) = 2 was alarming for one replica too.
    assert scaling.wanted(M, less.view) == 4
    calm = crowd(8, 1)
    fresh = KnativePodAutoscaler(target=8.0, utilisation=1.0)
    fresh.tick(calm.view)
    assert fresh.wanted(M, calm.view) == 1


def test_kpa_by_hand_halves_at_most_on_the_way_down() -> None:
    scaling = KnativePodAutoscaler(target=8.0, utilisation=1.0)
    scaling.tick(crowd(32, 4).view)
    idle = Bench([node(0, 8)], [model(0, slots=8)])
    for _ in range(4):
        idle.run(0, 0)
    scaling.tick(idle.at(100.0).view)  # the busy sample is older than the stable window
    assert scaling.wanted(M, idle.view) == 2


def test_kpa_gains_cards_when_a_crowd_has_gone() -> None:
    setting = served(fall())
    gains(setting, system(KnativePodAutoscaler()), PER_QUEUE, lambda p: p.gpu_s, by=2.0)


def test_kpa_loses_time_when_bursts_come_back() -> None:
    """Between bursts, 200 s apart, its windows see nothing, and the next one starts cold."""
    setting = served(bursts())
    loses(setting, system(KnativePodAutoscaler()), PER_QUEUE, lambda p: p.mean_ttft_s, by=2.0)


def test_apa_by_hand_stays_within_its_tolerance_and_doubles_at_most() -> None:
    scaling = AibrixPodAutoscaler(target=4.0)
    wanted = []
    for requests, replicas in ((8, 1), (16, 2)):
        bench = crowd(requests, replicas)
        scaling.tick(bench.view)
        wanted.append(scaling.wanted(M, bench.view))
    assert wanted == [2, 4]  # 8 on one replica of 4: twice; 16 on two: twice
    assert scaling._decide(1.05, 4) == scaling._decide(0.95, 4) == 4
    assert scaling._decide(5.0, 4) == 8
    assert scaling._decide(0.1, 5) == 2


def test_apa_gains_cards_when_a_crowd_has_gone() -> None:
    gains(served(fall()), system(AibrixPodAutoscaler()), PER_QUEUE, lambda p: p.gpu_s, by=3.0)


def test_apa_loses_time_when_bursts_come_back() -> None:
    """It halves what is idle every 10 s, so each burst finds one replica or none."""
    setting = served(bursts())
    loses(setting, system(AibrixPodAutoscaler()), PER_QUEUE, lambda p: p.mean_ttft_s, by=2.0)
