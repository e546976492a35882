"""Policies in order over cells, and in groups."""

import pytest

from tests.traces.gridded import Level, grid
from traces.grids.contest import contests_of
from traces.grids.grid import ATTAINMENT, TTFT_P99
from traces.grids.ranking import grouped, ranking

LEVELS = {"a-1": Level(0.5), "b-1": Level(0.8), "a-2": Level(0.9), "c-1": Level(0.7)}


def test_the_mean_rank_is_over_cells_and_groups_follow_their_best() -> None:
    runs = grid(LEVELS, traces=("x", "y"))
    found = ranking(contests_of(runs, ATTAINMENT), runs.study.groups)
    assert [own.policy for own in found] == ["a-2", "b-1", "c-1", "a-1"]
    assert [own.mean_rank for own in found] == [1.0, 2.0, 3.0, 4.0]
    assert [own.best_in for own in found] == [2, 0, 0, 0]
    groups = grouped(found)
    assert list(groups) == ["a", "b", "c"]
    assert [own.policy for own in groups["a"]] == ["a-2", "a-1"]


def test_a_policy_without_a_number_is_last_and_counted() -> None:
    runs = grid({"good": Level(), "bad": Level(ttft_s=1.0, saturates_at=2.0)}, loads=(1.0, 2.0))
    by_name = {own.policy: own for own in ranking(contests_of(runs, TTFT_P99), runs.study.groups)}
    assert by_name["bad"].mean_rank == pytest.approx(1.5)
    assert (by_name["bad"].no_number_in, by_name["good"].no_number_in) == (1, 0)
