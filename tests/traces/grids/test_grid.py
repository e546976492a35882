"""What a grid keeps of a run, and who has settled."""

import msgspec
import pytest

from tests.traces.gridded import Level, grid
from tests.traces.runs import two_request_story
from traces.grids.grid import (
    ATTAINMENT,
    GPU_S,
    PRICE,
    TTFT_P50,
    TTFT_P99,
    contested,
    others,
    partly,
    point_of,
    reason_of,
    unsettled,
)
from traces.metrics import summarise
from traces.summary import Held, Slo


def test_a_point_has_the_numbers_of_its_run_and_gpu_time_by_finished_requests() -> None:
    held = {"A40": Held(gpu_s={"serving": 6.0, "idle": 1.0})}
    summary = summarise(two_request_story().record(), Slo(10.0, 0.2), held)
    point = point_of("cell", "mine", 3, summary)
    assert (point.cell, point.policy, point.seed, point.saturated) == ("cell", "mine", 3, False)
    assert point.values[ATTAINMENT.path] == summary.objective.attainment
    assert point.values[GPU_S.path] == pytest.approx(1e3 * 7.0 / 2)
    assert msgspec.json.decode(msgspec.json.encode(point), type=type(point)) == point


def test_a_policy_is_unsettled_where_most_seeds_are_and_marked_where_some_are() -> None:
    levels = {"most": Level(saturates_at=1.0, seeds=4), "some": Level(saturates_at=1.0, seeds=3)}
    own = grid(levels | {"none": Level()}, seeds=6).of("")
    assert unsettled(own["most"]) == (
        "saturated in 4 of 6 seeds; seed 0: the queue grew by 3.1 requests/s to the end"
    )
    assert partly(own["most"]) == ""
    assert unsettled(own["some"]) == ""
    assert partly(own["some"]) == "saturated in 3 of 6 seeds, which its means include"
    assert unsettled(own["none"]) == partly(own["none"]) == ""


def test_a_reason_is_the_verdict_without_its_numbers() -> None:
    assert reason_of("Saturated: it grew; the mean wait was 3 s.") == "it grew"
    assert reason_of("words alone") == "words alone"


def test_a_cell_is_compared_over_the_seeds_that_all_its_policies_have() -> None:
    runs = grid({"a": Level(), "b": Level()}, seeds=4)
    fewer = msgspec.structs.replace(
        runs, points=[p for p in runs.points if p.seed or p.policy == "a"]
    )
    assert [point.seed for point in fewer.of("")["a"]] == [1, 2, 3]
    alone = msgspec.structs.replace(runs, points=[p for p in runs.points if p.policy == "a"])
    assert alone.of("") == {}


def test_cost_is_money_where_there_are_prices_and_gpu_time_elsewhere() -> None:
    runs = grid({"a": Level()})
    assert contested(runs) == [ATTAINMENT, TTFT_P50, TTFT_P99, PRICE]
    free = [msgspec.structs.replace(p, values={**p.values, PRICE.path: 0.0}) for p in runs.points]
    unpriced = msgspec.structs.replace(runs, points=free)
    assert contested(unpriced)[-1] == GPU_S
    assert GPU_S in others(runs)
