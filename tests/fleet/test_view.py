"""What a policy can work out of the picture: memory in use, and when loads would be ready."""

from math import inf, isclose

import numpy as np
import pytest

from fleet.domain import NodeId, Shard
from fleet.plans import NOTHING
from tests import specs
from tests.policies.bench import Bench, model, node
from tests.policies.placement.test_earliest import place, plan_of

KV = specs.model(0, weight_bytes=16, slots=4, kv_bytes_per_token=2)


def test_context_is_the_prompts_and_what_was_decoded_since() -> None:
    bench = Bench([node(0)], [KV])
    instance = bench.run(0, 0, requests=1, prompt=10)
    assert instance is not None
    assert bench.view.context_tokens(instance) == 10.0
    bench.at(2.0)  # 0.1 s a token
    bench.aim.at = instance
    bench.ask(0, prompt=5)
    assert isclose(bench.view.context_tokens(instance), 10 + 20 + 5)
    bench.at(3.0)
    assert isclose(bench.view.context_tokens(instance), 10 + 30 + 5 + 10)
    assert bench.view.kv_tokens(instance) == (80 - 16) / 2


def test_a_model_without_a_kv_size_has_all_the_memory_there_is() -> None:
    bench = Bench([node(0)], [model(0)])
    instance = bench.run(0, 0)
    assert instance is not None
    assert bench.view.kv_tokens(instance) == inf


def test_the_smallest_stage_decides_how_many_tokens_fit() -> None:
    """Stages of 80 and 30 bytes hold what two of 30 do, 16 of them weights."""
    bench = Bench([node(0), node(1)], [KV])
    shards = Shard(NodeId(0), (0,), 80), Shard(NodeId(1), (0,), 30)
    assert bench.view.kv_tokens(bench.run_on(0, shards)) == (2 * 30 - 16) / 2


def test_a_load_is_ready_behind_those_under_way() -> None:
    bench = Bench([node(0, 2), node(1)], [model(0), model(1)])
    assert bench.view.ready_at(NodeId(0), 3.0) == 3.0
    bench.begin(NOTHING.beside(plan_of(place(bench))))  # 1 + 80 / 10 s on node 0
    assert bench.state.nodes.loads.tolist() == [1.0, 0.0]
    assert bench.view.ready_at(NodeId(0), 3.0) == 12.0
    assert bench.view.ready_at(NodeId(0), 3.0, begin_at=20.0) == 23.0
    column = bench.view.ready_column(np.array([3.0, 3.0]))
    assert column.tolist() == pytest.approx([12.0, 3.0])


def test_loads_that_end_early_shorten_the_queue_behind_them() -> None:
    bench = Bench([node(0, 3)], [model(n) for n in range(3)])
    starts = [bench.begin(plan_of(place(bench, n)))[0] for n in range(3)]
    assert bench.state.nodes.loading_until[0] == 27.0  # 9 s each, one after another
    bench.at(5.0).answer(starts[0])
    assert bench.state.nodes.loading_until[0] == 23.0
    bench.at(40.0).answer(starts[1])
    assert bench.state.nodes.loading_until[0] == 49.0, "late: the last one begins its 9 s"
    bench.answer(starts[2])
    assert bench.state.nodes.loading_until[0] == 40.0
