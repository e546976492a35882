"""Instances started before they are asked for: by hand and in the simulator."""

from dataclasses import replace

from fleet.commands import Sleep, StartInstance, Wake
from fleet.domain import ArtifactId, ModelId, Tier
from fleet.plans import NOTHING, UNNUMBERED, Plan
from policies.keep_alive.histogram import History, HybridHistogram
from policies.keep_alive.idle_time import FixedKeepAlive
from policies.upkeep.prewarm import Prewarm
from tests.policies.bench import Bench, model, node, still
from tests.policies.duels import gains, loses
from tests.policies.keep_alive.idling import EVERY_90_S, after, asked_at, gpu_s, kept, mean_ttft_s

MODEL = ModelId(ArtifactId(0))


def expecting() -> Prewarm:
    """Ten idle times of ten minutes: the window is from 540 s to 726 s after the last end."""
    policy = Prewarm(every_s=5.0)
    history = policy._histories[MODEL] = History(240)
    for _ in range(10):
        history.add(600.0, 60.0, 0.3)
    history.ended_at = 0.0
    return policy


def started(bench: Bench, policy: Prewarm, at: float) -> list[Plan]:
    return list(policy.tend(bench.at(at).view))


def test_prewarm_by_hand_the_last_tick_that_is_early_enough() -> None:
    """The window opens at 540 s. From the SSD of node 1 a load takes 1 + 80 / 40 = 3 s: begun at
    532 s it is ready at 535, and the next tick, at 537, would be in time too: ready at 540."""
    bench = Bench([node(0), node(1)], [model(0)], resident=[(0, 1, Tier.SSD)])
    policy = expecting()
    assert started(bench, policy, 531.9) == []
    (plan,) = started(bench, policy, 532.1)
    (step,) = plan.steps
    assert isinstance(step.command, StartInstance)
    assert step.command.shards[0].node == 1
    assert plan.ready_at == 532.1 + 3.0
    assert started(bench, policy, 535.0) == []  # once for each time it goes idle


def test_nothing_is_started_that_is_there_or_too_late_or_has_no_card() -> None:
    bench = Bench([node(0)], [model(0)])
    assert started(bench, expecting(), 726.1) == []
    assert len(started(bench, expecting(), 725.0)) == 1
    bench.run(0, 0)
    assert started(bench, expecting(), 725.5) == []
    full = Bench([node(0)], [model(0), model(1)])
    full.run(1, 0)
    assert started(full, expecting(), 600.0) == []


def test_a_model_whose_next_request_has_come_is_not_expected() -> None:
    bench = Bench([node(0)], [model(0)])
    policy = expecting()
    policy._histories[MODEL].ended_at = None
    assert started(bench, policy, 600.0) == []


def test_a_sleeper_is_woken_if_that_is_sooner() -> None:
    keep = FixedKeepAlive(10.0, sleep_level=1)
    bench = Bench([node(0)], [model(0)], policy=replace(still(), keep_alive=keep))
    instance = bench.run(0, 0)
    assert instance is not None
    bench.finish(bench.begin(NOTHING.then(Sleep(UNNUMBERED, instance.id, 1), 0.0)))
    (plan,) = started(bench, expecting(), 600.0)
    assert [type(s.command) for s in plan.steps] == [Wake]


ALONE, OURS = kept(HybridHistogram()), kept(HybridHistogram(), Prewarm())


def test_prewarm_gains_where_requests_come_at_regular_times() -> None:
    """The histogram alone stops each instance at once, so each start but the first two is cold."""
    ours, _ = gains(asked_at(after(*EVERY_90_S)), OURS, ALONE, mean_ttft_s, by=2.0)
    assert ours.commands["StartInstance"] == 10


def test_prewarm_loses_where_the_request_does_not_come() -> None:
    """Model 0 is asked for every 90 s, then never again; an instance waits for it in vain."""
    setting = asked_at(after(*[90.0] * 4), after(1500.0))
    loses(setting, OURS, ALONE, gpu_s, by=1.02)
