"""What a grid says in words."""

import msgspec

from tests.traces.gridded import Level, grid
from traces.grids.contest import contests_of
from traces.grids.grid import ATTAINMENT, PRICE, TTFT_P99
from traces.grids.grid_findings import care_taken, caveats, domination, everywhere, names, winner
from traces.grids.pareto import front_of

LEVELS = {"best": Level(0.9), "near": Level(0.9), "bad": Level(0.5, ttft_s=20.0, price=2.0)}


def test_long_lists_of_names_are_cut() -> None:
    assert names(["a"]) == "a"
    assert names(["a", "b", "c"]) == "a, b and c"
    assert names([f"p{i}" for i in range(9)]) == "p0, p1, p2, p3, p4, p5 and 3 more"


def test_a_tie_is_said_and_who_is_worse_is_counted() -> None:
    (contest,) = contests_of(grid(LEVELS, seeds=8), ATTAINMENT)
    said = winner(contest)
    assert said.startswith(f"SLO attainment: {contest.best} has the best mean, ")
    assert f"{contest.tied[0]} cannot be told from it; 1 is worse for real." in said


def test_a_cell_without_a_settled_policy_says_so() -> None:
    (contest,) = contests_of(grid({"a": Level(saturates_at=1.0)}), TTFT_P99)
    assert winner(contest) == "TTFT p99: no policy settled, so there is no number to compare."


def test_who_is_best_in_all_cells_is_said_once() -> None:
    levels = {"best": Level(0.9), "bad": Level(0.5)}
    contests = contests_of(grid(levels, loads=(1.0, 2.0)), ATTAINMENT)
    assert everywhere(contests) == (
        "SLO attainment: best is the best, or cannot be told from it, in all 2 cells that have a "
        "number."
    )
    assert everywhere(contests[:1]) == ""
    assert everywhere(contests_of(grid(levels, loads=(1.0, 2.0), seeds=2), ATTAINMENT)) == ""


def test_saturation_few_seeds_and_what_is_missing_are_cautioned_of() -> None:
    runs = grid(LEVELS | {"hopeless": Level(saturates_at=2.0)}, loads=(1.0, 2.0), seeds=3)
    runs = msgspec.structs.replace(
        runs, points=[p for p in runs.points if p.cell == "load 2" or p.policy == "best"]
    )
    few, missing, never = caveats(runs)
    assert few.startswith("3 seeds are too few for intervals")
    assert missing == "load 1: no seed of all policies is done yet."
    assert "load 2: 1 of 4 policies never settled" in never
    assert "the queue grew by 3.1 requests/s to the end" in never


def test_the_correction_and_the_number_of_tests_are_named() -> None:
    said = care_taken(contests_of(grid(LEVELS, loads=(1.0, 2.0)), ATTAINMENT), 4)
    assert "Benjamini and Hochberg for all 6 pairs" in said


def test_the_dominated_are_named_with_whom_they_lose_to() -> None:
    levels = LEVELS | {"hopeless": Level(saturates_at=1.0), "near": Level(ttft_s=5.0, price=1.5)}
    runs = grid(levels)
    (cost,), (latency,) = contests_of(runs, PRICE), contests_of(runs, TTFT_P99)
    said = domination(front_of(cost, latency))
    assert said[0] == "Nobody beats best and near at both."
    assert said[1] == "near is cheaper and faster, for real, than bad."
    assert said[2].startswith("hopeless is not drawn: saturated in 6 of 6 seeds")
