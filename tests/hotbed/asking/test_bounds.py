"""`hotbed bounds`: printed and as JSON; and no simulated run does better than its bounds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet import commands as c
from fleet.commands import Command
from fleet.controller import Controller
from fleet.events import Event
from hotbed.binding import Bound, bind
from policies import catalog
from sim.cluster import Cluster
from tests.hotbed.small import hotbed, refused, small, written
from traces.bounds.bounds import Bounds, bounds_of
from traces.bounds.startup_bounds import CopiesLog, least_waits_s
from traces.collector import record_of

Pairs = list[tuple[Event, Sequence[Command]]]

RECIPES: tuple[str | dict[str, Any], ...] = (
    "serverlessllm",
    "serverlessllm_no_migration",
    "shepherd_star",
    "serverless",
    "ray_serve",
    "ray_serve_cached",
    "gdsf",
    "adapter_affinity",
    "keep_alive",
    "static",
    {"recipe": "gdsf", "keep_alive": {"name": "fixed", "keep_alive_s": 1, "sleep_level": 1}},
    {
        "recipe": "serverlessllm",
        "keep_alive": {"name": "fixed", "keep_alive_s": 1, "sleep_level": 2},
    },
    {"recipe": "serverless", "upkeep": {"name": "prefetch_popular", "every_s": 5}},
)


FAULTS = {
    "faults": "{engine_crash_per_instance_hour: 30, load_failure_probability: 0.1,"
    " slow_load_probability: 0.2, slow_load_factor: 3, late_report_probability: 0.2,"
    " late_report_s: 1, fetch_failure_probability: 0.2, node_loss_per_node_hour: 30, repair_s: 5}"
}


def journal_of(bound: Bound, recipe: str | dict[str, Any]) -> Pairs:
    pairs: Pairs = []
    controller = Controller(bound.setup, catalog.build(recipe))
    Cluster(controller, bound.world, lambda event, given: pairs.append((event, given))).run(
        bound.arrivals()
    )
    return pairs


def short_of_memory(seed: int, dram_gb: int, ssd_gb: int, **changes: str) -> Bound:
    scenario = small(
        **{
            "fleet[0].dram": f"{dram_gb}GB",
            "fleet[0].ssd": f"{ssd_gb}GB",
            "workload.params.rate_rps": "0.7",
            **changes,
        }
    )
    return bind(scenario, Path(), seed)


@settings(max_examples=60, deadline=None)
@given(
    recipe=st.sampled_from(RECIPES),
    seed=st.integers(0, 1000),
    dram_gb=st.sampled_from([14, 30, 60]),
    ssd_gb=st.sampled_from([14, 45]),
    faults=st.booleans(),
)
def test_no_run_is_better_than_its_bounds(
    recipe: str | dict[str, Any], seed: int, dram_gb: int, ssd_gb: int, faults: bool
) -> None:
    bound = short_of_memory(seed, dram_gb, ssd_gb, **(FAULTS if faults else {}))
    pairs = journal_of(bound, recipe)
    assert_caches_hold(bound, pairs)
    assert_start_ups_hold(bound, pairs)


def assert_caches_hold(bound: Bound, pairs: Pairs) -> None:
    for gap in bounds_of(bound.setup, pairs).caches:
        assert gap.least.misses <= gap.happened.misses
        assert gap.least.bytes <= gap.happened.bytes * (1 + 1e-9)
        assert gap.least.misses <= gap.belady.misses


def assert_start_ups_hold(bound: Bound, pairs: Pairs) -> None:
    record = record_of(pairs, bound.setup.nodes, (*bound.setup.models, *bound.setup.adapters))
    log = CopiesLog(bound.setup)
    for event, given_ in pairs:
        log.observe(event, given_)
    assert len(log.loads) == len(record.ready_loads)
    for load in log.loads.values():
        assert load.load_s is not None
        assert load.least_s <= load.load_s + 1e-9
    ttft_s = record.requests.first_token_at - record.requests.arrived_at
    waits_s = least_waits_s(log, record)
    cold = np.isfinite(waits_s)
    assert (waits_s[cold] <= ttft_s[cold] + 1e-9).all()
    loads = bounds_of(bound.setup, pairs).loads
    assert loads.least_loads <= loads.loads
    assert loads.least_load_s <= loads.load_s + 1e-9


def bounds_of_recipe(recipe: str, **changes: str) -> Bounds:
    bound = short_of_memory(3, 30, 45, **changes)
    return bounds_of(bound.setup, journal_of(bound, recipe))


def test_those_runs_sleep_wake_and_fetch() -> None:
    given_ = {
        type(command)
        for recipe in RECIPES[-3:]
        for _, commands in journal_of(short_of_memory(3, 60, 45), recipe)
        for command in commands
    }
    assert given_ >= {c.Sleep, c.Wake, c.Fetch}


def test_bounds_of_a_busy_fleet_say_something() -> None:
    bounds = bounds_of_recipe("serverlessllm")
    assert {gap.tier for gap in bounds.caches} >= {"node DRAM", "node SSD", "all"}
    assert bounds.loads.least_loads >= bounds.loads.models == 3
    assert bounds.loads.unbridged > 0
    assert bounds.start_ups.cold_requests > 10
    assert bounds.start_ups.least_load_s is not None


def test_one_model_kept_is_a_queue() -> None:
    changes = {"workload.params.span_s": "400", "models[0].count": "1"}
    assert any(queue.requests >= 50 for queue in bounds_of_recipe("static", **changes).queues)


def test_the_command_prints_tables_and_json(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl.zst"
    assert hotbed("simulate", written(tmp_path), "--journal", path).exit_code == 0
    said = hotbed("bounds", path)
    assert said.exit_code == 0, said.output
    for part in ("node DRAM", "PFOO-L", "least load", "At least", "textbook"):
        assert part in said.stdout
    found = json.loads(hotbed("bounds", path, "--json").stdout)
    assert list(found) == ["requests", "caches", "start_ups", "loads", "queues"]
    assert found["loads"]["least_loads"] <= found["loads"]["loads"]


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refused("bounds", tmp_path / "none.jsonl")
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(b"")
    assert "is empty" in refused("bounds", empty)


def test_a_run_without_requests_has_bounds() -> None:
    bound = short_of_memory(0, 30, 45)
    bounds = bounds_of(bound.setup, [])
    assert (bounds.requests, bounds.caches, bounds.queues) == (0, (), ())
    assert bounds.loads.least_loads == 0
    assert bounds.start_ups.ttft_s is None
