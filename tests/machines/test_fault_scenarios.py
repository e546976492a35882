"""Random fleets, workloads, faults and policies: nothing is lost, nothing is over-committed."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.domain import ArtifactId, Part, Place, Tier, Whole
from fleet.limits import Limits
from policies.library import RECIPES
from sim.faults import FaultRates
from tests.machines.simulated import KINDS, Scenario, play
from tests.sim.worlds import adapter, model, node, setup

MODELS = (
    model(0, kv_bytes_per_token=1),
    model(1, Whole(2), weight_bytes=90, slots=1),
    model(2, Part(30), weight_bytes=15, adapters=1),
    model(3, Part(40), weight_bytes=20, slots=3, kv_bytes_per_token=1),
    model(4, weight_bytes=80, stages=2),
    model(5, weight_bytes=50, slots=3, adapters=2),
)
ADAPTERS = (
    adapter(10, 2, weight_bytes=5),
    adapter(11, 2, weight_bytes=5),
    adapter(12, 5, weight_bytes=5),
    adapter(13, 5, weight_bytes=9),
)
NODE: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    gpus=st.integers(1, 4),
    kind=st.sampled_from(sorted(KINDS)),
    dram_bytes=st.sampled_from([60, 120, 300, 0]),
    ssd_bytes=st.sampled_from([160, 400, 50]),
)
NODES: st.SearchStrategy[list[dict[str, Any]]] = st.sampled_from([3, 4, 2, 5, 1]).flatmap(
    lambda count: st.lists(NODE, min_size=count, max_size=count)
)

ROOMS = [
    {"name": "migrate", "by": "tokens"},
    {"name": "migrate", "by": "kv"},
    {"name": "preempt"},
    {"name": "evict_idle"},
    {"name": "none"},
    {"name": "cheapest", "rooms": ["evict_idle", {"name": "migrate", "by": "kv"}, "preempt"]},
]
ANSWERS: dict[str, list[Any]] = {
    "admission": ["admit_all", {"name": "bounded_hold", "most_held": 5}],
    "routing": ["least_loaded", "adapter_affinity"],
    "scaling": ["per_queue", {"name": "bounded", "most": 2}, {"name": "fixed", "replicas": 2}],
    "placement": ["earliest_ready", "random"],
    "room": ROOMS,
    "retention": [
        "lru",
        "gdsf",
        "nothing",
        *({"name": "lru", "tiers": [t]} for t in ("dram", "ssd")),
    ],
    "keep_alive": [
        "forever",
        "load_time",
        *(
            {"name": "fixed", "keep_alive_s": kept_s, "sleep_level": level, "asleep_s": 20.0}
            for kept_s in (0.0, 3.0)
            for level in (0, 1, 2)
        ),
    ],
    "upkeep": [[{"name": "prefetch_popular", "every_s": every_s}] for every_s in (3.0, 20.0)],
}
POLICIES = st.fixed_dictionaries(
    {"recipe": st.sampled_from(["serverlessllm", *sorted(RECIPES)])},
    optional={question: st.sampled_from(answers) for question, answers in ANSWERS.items()},
)
FAULTS = st.builds(
    FaultRates,
    node_loss_per_node_hour=st.sampled_from([0.0, 5.0, 60.0]),
    repair_s=st.sampled_from([None, 10.0]),
    engine_crash_per_instance_hour=st.sampled_from([0.0, 20.0, 200.0]),
    load_failure_probability=st.sampled_from([0.0, 0.2]),
    slow_load_probability=st.sampled_from([0.0, 0.2]),
    slow_load_factor=st.just(3.0),
    late_report_probability=st.sampled_from([0.0, 0.3]),
    late_report_s=st.sampled_from([0.5, 4.0]),
    fetch_failure_probability=st.sampled_from([0.0, 0.3]),
    full_disk_probability=st.sampled_from([0.0, 0.3]),
)
LIMITS = st.builds(
    Limits,
    max_age_s=st.sampled_from([None, 150.0, 40.0]),
    max_waiting=st.sampled_from([1000, 1000, 10]),
    max_attempts=st.sampled_from([3, 10]),
    max_answers=st.just(2000),
)


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    nodes = [node(i, **spec) for i, spec in enumerate(draw(NODES))]
    models = draw(st.permutations(MODELS))[: draw(st.sampled_from([4, 6, 3, 2, 1]))]
    known = {m.id for m in models}
    on_disk = st.sampled_from([True, False])
    resident = [
        (ArtifactId(m.id), Place(nodes[at % len(nodes)].id, Tier.SSD))
        for at, m in enumerate(models)
        if m.weight_bytes <= nodes[at % len(nodes)].ssd_bytes / len(models) and draw(on_disk)
    ]
    return Scenario(
        setup(nodes, models, [a for a in ADAPTERS if a.model in known], resident, draw(LIMITS)),
        draw(POLICIES),
        draw(FAULTS),
        requests=draw(st.sampled_from([60, 40, 20, 5, 1])),
        per_s=draw(st.sampled_from([0.2, 0.7, 3.0])),
        seed=draw(st.integers(0, 99)),
        kv_blocks=draw(st.sampled_from([100, 20, 6, None])),
        store_bytes_per_s=draw(st.sampled_from([None, 15.0])),
    )


QUICK = settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@QUICK
@given(scenarios())
def test_random_faults_lose_nothing(scenario: Scenario) -> None:
    play(scenario)


@pytest.mark.soak
@settings(QUICK, max_examples=10_000, derandomize=False)
@given(scenarios())
def test_thousands_of_random_faults_lose_nothing(scenario: Scenario) -> None:
    play(scenario)
