"""Who wins a cell, who is tied with the winner, and that chance wins nothing."""

from tests.traces.gridded import Level, grid
from traces.grids.contest import closeness, contests_of
from traces.grids.grid import ATTAINMENT, TTFT_P99


def test_a_clear_winner_beats_the_others_for_real_and_a_near_one_is_tied() -> None:
    levels = {"bad": Level(0.5), "best": Level(0.9), "near": Level(0.9)}
    (contest,) = contests_of(grid(levels, seeds=8), ATTAINMENT)
    assert contest.beaten == ("bad",)
    assert {contest.best, *contest.tied} == {"best", "near"}
    assert contest.rank("bad") == 3.0
    assert contest.real("bad", "best")
    assert not contest.real("near", "best")


def test_what_better_means_is_the_measures_own() -> None:
    levels = {"slow": Level(ttft_s=20.0), "fast": Level(ttft_s=5.0)}
    (contest,) = contests_of(grid(levels), TTFT_P99)
    assert (contest.best, contest.beaten) == ("fast", ("slow",))


def test_who_never_settled_has_a_reason_in_place_of_a_latency_and_shares_the_last_places() -> None:
    levels = {"a": Level(ttft_s=5.0), "b": Level(saturates_at=1.0), "c": Level(saturates_at=1.0)}
    runs = grid(levels)
    (latency,) = contests_of(runs, TTFT_P99)
    assert latency.standing("b").mean is None
    assert "queue grew by 3.1 requests/s" in latency.standing("b").note
    assert latency.rank("b") == latency.rank("c") == 2.5
    assert (latency.best, latency.tied, latency.beaten) == ("a", (), ())
    (attained,) = contests_of(runs, ATTAINMENT)
    assert attained.standing("b").mean is not None
    assert not attained.standing("b").settled


def test_a_cell_in_which_nobody_settled_has_no_winner() -> None:
    (contest,) = contests_of(grid({"a": Level(saturates_at=1.0)}), TTFT_P99)
    assert contest.best is None


def test_few_seeds_beat_nobody() -> None:
    levels = {"bad": Level(0.5), "best": Level(0.9)}
    (contest,) = contests_of(grid(levels, seeds=4), ATTAINMENT)
    assert contest.tied == ("bad",)


def test_forty_equal_policies_hardly_ever_beat_each_other() -> None:
    """2,340 pairs without any difference: uncorrected, some 120 would have p < 0.05."""
    levels = {f"p{i:02d}": Level() for i in range(40)}
    contests = contests_of(grid(levels, seeds=6, traces=("a", "b", "c"), noise=0.01), ATTAINMENT)
    claims = [pair for c in contests for pair in c.ps if c.ps[pair] < 0.05]
    assert sum(len(contest.ps) for contest in contests) == 2340
    assert len(claims) <= 1
    assert sum(len(contest.beaten) for contest in contests) <= 1


def test_closeness_is_1_for_the_best_and_0_for_the_worst() -> None:
    levels = {"slow": Level(ttft_s=16.0), "mid": Level(ttft_s=4.0), "fast": Level(ttft_s=1.0)}
    (contest,) = contests_of(grid(levels | {"never": Level(saturates_at=1.0)}), TTFT_P99)
    shares = closeness(contest)
    assert (shares["fast"], shares["slow"]) == (1.0, 0.0)
    assert abs(shares["mid"] - 0.5) < 0.02  # halfway in ratio
    assert "never" not in shares


def test_equal_policies_are_all_as_close_as_can_be() -> None:
    (contest,) = contests_of(grid({"a": Level()}), ATTAINMENT)
    assert closeness(contest) == {"a": 1.0}
