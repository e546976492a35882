"""Start-up phases that are learned one by one, and a bandwidth by tier."""

from math import isclose

import pytest
from msgspec.structs import replace

from fleet import commands as c
from fleet import events as e
from fleet.domain import LinkSpec, NodeId, Tier, Whole
from fleet.estimates import Belief, SlowestHop, load_of
from policies.estimation.phases import LearnedPhases
from sim.profiles import load_profile
from tests.policies.bench import Bench, model, node
from tests.policies.clusters import spec
from tests.policies.duels import GB, Setting, arrivals, replace_fields
from tests.policies.estimation.witness import believing, start_error_s


def test_phases_by_hand_every_phase_has_its_mean_and_a_tier_its_bandwidth() -> None:
    """80 bytes from SSD: 2 s at 40 bytes/s, 4 s were measured, after 3 s of start-up."""
    rule = LearnedPhases(chunk_bytes=0.0)
    bench = Bench(
        [node(0, 4)],
        [model(0), model(1, weight_bytes=40)],
        resident=[(0, 0, Tier.SSD), (1, 0, Tier.SSD)],
        policy=believing(rule),
    )
    (start,) = (x for x in bench.ask(0) if isinstance(x, c.StartInstance))
    phases = (("imports", 0.5), ("graphs", 2.5), ("weights", 4.0))
    bench.controller.handle(e.InstanceReady(7.0, start.id, start.instance, 7.0, phases))
    slow, prior = bench.view.node(NodeId(0)), Belief(startup_s=9.0)
    other = load_of(model(1, weight_bytes=40), Tier.SSD, 1)
    assert isclose(rule.load_s(other, slow, prior), 3.0 + 2.0)  # 40 bytes at 20 bytes/s
    assert rule.load_s(other, node(1, kind="fast"), prior) == 9.0 + 40 / 80


def test_phases_by_hand_a_mean_moves_a_fifth_of_the_way() -> None:
    rule = LearnedPhases(newest=0.2)
    assert rule._mean(None, 10.0) == 10.0
    assert rule._mean(10.0, 20.0) == 12.0


SLOW_STORE = LinkSpec(1.25e9, 7e9, 55e9, 1.25e9)
H100 = load_profile("h100")
#: The same machine with start-ups that hardly vary.
STEADY = replace(H100, phases=tuple(replace(phase, cv=0.02) for phase in H100.phases))
#: A server that reaches the store over 10 Gbit/s.
NODES = (replace_fields(H100.node_spec(NodeId(0), "n0"), {"links": SLOW_STORE}),)
#: Five small models, then four large ones; each is asked for once and loaded from the store.
SIZES_GB = (2, 2, 2, 2, 2, 30, 40, 50, 60)
POOLED = Setting(
    nodes=NODES,
    models=tuple(spec(n, gb * GB, Whole(1)) for n, gb in enumerate(SIZES_GB)),
    profiles=(STEADY,),
    arrivals=arrivals([(300.0 * n, n) for n in range(9)]),
    world=(("preserved", ("pool",)),),
)


def test_phases_gains_where_processes_are_kept_and_models_differ_in_size() -> None:
    """The priors do not know of a pool of warm processes. What a small model's start teaches, as
    one ratio, makes the loads of larger ones look as short as its start-up turned out to be."""
    ours, simplest = (start_error_s(POOLED, believing(r)) for r in (LearnedPhases(), SlowestHop()))
    assert ours * 1.5 < simplest


def test_phases_loses_where_the_priors_are_the_truth() -> None:
    """Nothing is kept and nothing is to be learned: means of few noisy start-ups against means."""
    setting = Setting(NODES, POOLED.models, POOLED.arrivals, profiles=(H100,))
    ours = start_error_s(setting, believing(LearnedPhases(), online_estimates=False))
    simplest = start_error_s(setting, believing(SlowestHop(), online_estimates=False))
    assert ours > 1.02 * simplest


def test_a_start_that_shared_its_link_does_not_make_the_tier_look_slow() -> None:
    """Two loads of 80 bytes at once: the second was believed to wait 3 s for the first."""
    rule = LearnedPhases(chunk_bytes=0.0)
    bench = Bench(
        [node(0, 4)],
        [model(0), model(1)],
        resident=[(0, 0, Tier.SSD), (1, 0, Tier.SSD)],
        policy=believing(rule),
    )
    starts = [x for m in (0, 1) for x in bench.ask(m) if isinstance(x, c.StartInstance)]
    for start in starts:
        phases = (("imports", 1.0), ("weights", 4.0))
        bench.controller.handle(e.InstanceReady(5.0, start.id, start.instance, 5.0, phases))
    seen = rule._slowness[Tier.SSD, "slow"]
    assert seen == pytest.approx(2.0 + 0.2 * (1.0 - 2.0))  # 4 / 2 for the first, 1 for the second
