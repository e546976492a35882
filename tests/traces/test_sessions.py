"""Sessions: who waits for whom, when they begin, and what a context leaves of a prompt."""

from typing import Any

import numpy as np
import pytest

from traces.schema import TraceError
from traces.sessions import NOBODY, begin, fit, predecessors, shrink
from traces.workload import TraceMeta, Workload


def work(**columns: list[Any]) -> Workload:
    rows = len(next(iter(columns.values())))
    made: dict[str, Any] = {
        "request_id": range(rows),
        "arrival_us": [row * 1_000_000 for row in range(rows)],
        "model_id": ["m"] * rows,
    }
    return Workload.of(made | columns, TraceMeta(source="made"))


def test_a_turn_with_a_think_time_waits_for_the_turn_before_it() -> None:
    sessions = work(session_id=["a", "b", "a", "b", None], think_time_us=[0, None, 5, None, 7])
    assert predecessors(sessions.frame).tolist() == [NOBODY, NOBODY, 0, NOBODY, NOBODY]


def test_turns_are_ordered_by_their_number_before_their_arrival() -> None:
    sessions = work(session_id=["a"] * 3, turn=[2, 0, 1], think_time_us=[1, 1, 1])
    assert predecessors(sessions.frame).tolist() == [2, NOBODY, 1]


def test_without_sessions_or_think_times_nobody_waits() -> None:
    assert predecessors(work(session_id=["a", "a"]).frame).tolist() == [NOBODY, NOBODY]
    assert predecessors(work(think_time_us=[1, 1]).frame).tolist() == [NOBODY, NOBODY]


def test_sessions_begin_as_a_poisson_process_and_keep_their_distances() -> None:
    names = [f"s{number}" for number in range(2_000) for _ in range(2)]
    both = work(session_id=names, arrival_us=[0, 3_000_000] * 2_000)
    begun = begin(both, 0.5, seed=1)
    starts = begun.frame.groupby("session_id")["arrival_us"].agg(["min", "max"])
    assert (starts["max"] - starts["min"] == 3_000_000).all()
    gaps_s = np.diff(np.sort(starts["min"].to_numpy())) / 1e6
    # 2,000 exponential gaps of mean 2: the mean is within 4 standard errors, the CV near 1.
    assert gaps_s.mean() == pytest.approx(2.0, abs=4 * 2.0 / 2_000**0.5)
    assert gaps_s.std() / gaps_s.mean() == pytest.approx(1.0, abs=0.1)
    assert begun.meta.synthetic_fields == ("arrival_us",)
    begun.validate()


def test_one_seed_draws_the_same_starts_and_another_draws_others() -> None:
    both = work(session_id=["a", "b", "c"])
    once, again, other = (begin(both, 0.1, seed).frame["arrival_us"] for seed in (1, 1, 2))
    assert once.equals(again)
    assert not once.equals(other)


def test_a_part_of_a_session_begins_with_it() -> None:
    both = work(session_id=["a", "a/agent-1", "b"], arrival_us=[0, 4_000_000, 0])
    at = begin(both, 0.01, seed=3).frame.set_index("session_id")["arrival_us"]
    assert at["a/agent-1"] - at["a"] == 4_000_000


def test_starts_need_a_session_and_a_rate() -> None:
    with pytest.raises(TraceError, match=r"row 2, column 'session_id': None is not allowed"):
        begin(work(session_id=["a", None]), 1.0, seed=0)
    with pytest.raises(TraceError, match=r"row 1, column 'session_id'"):
        begin(work(turn=[1]), 1.0, seed=0)
    with pytest.raises(TraceError, match="sessions_per_s: 0 is not allowed"):
        begin(work(session_id=["a"]), 0, seed=0)


def test_a_context_cuts_the_prompt_s_end_and_its_blocks() -> None:
    long = work(
        prompt_tokens=[10, 100, 7],
        output_tokens=[5, 8, 500],
        block_size=[4, 4, None],
        prefix_hash_ids=[(1, 2), tuple(range(25)), None],
    )
    cut = fit(long, 32)
    assert cut.frame["prompt_tokens"].tolist() == [10, 24, 1]
    assert cut.frame["output_tokens"].tolist() == [5, 8, 31]
    assert cut.frame["prefix_hash_ids"].tolist() == [(1, 2), (0, 1, 2, 3, 4, 5), None]
    assert cut.meta.notes["context"] == "2 of 3 requests cut to 32 tokens"
    cut.validate()


def test_what_fits_comes_back_as_it_is() -> None:
    short = work(prompt_tokens=[3], output_tokens=[4])
    assert fit(short, 7) is short


def test_a_context_needs_token_counts_and_two_tokens() -> None:
    with pytest.raises(TraceError, match="requests have no prompt_tokens"):
        fit(work(session_id=["a"]), 100)
    with pytest.raises(TraceError, match="context: 1 is not allowed"):
        fit(work(prompt_tokens=[3], output_tokens=[4]), 1)


def test_a_divisor_shortens_prompts_and_their_blocks_alike() -> None:
    long = work(
        prompt_tokens=[1000, 3, 129],
        output_tokens=[80, 4, 8],
        block_size=[64, None, 64],
        prefix_hash_ids=[tuple(range(15)), None, (0, 1)],
    )
    small = shrink(long, 8)
    assert small.frame["prompt_tokens"].tolist() == [125, 1, 16]
    assert small.frame["output_tokens"].tolist() == [10, 1, 1]
    assert small.frame["block_size"].fillna(0).tolist() == [8, 0, 8]
    assert small.frame["prefix_hash_ids"].tolist() == long.frame["prefix_hash_ids"].tolist()
    assert small.meta.notes["shrink"] == "token counts and blocks divided by 8"
    small.validate()
    assert shrink(long, 1) is long


def test_a_divisor_that_cuts_blocks_into_parts_is_refused() -> None:
    made = work(prompt_tokens=[9, 9], output_tokens=[9, 9], block_size=[None, 64])
    with pytest.raises(TraceError, match="shrink: 3 is not allowed: expected a divisor of 64-tok"):
        shrink(made, 3)
    with pytest.raises(TraceError, match="shrink: 0 is not allowed"):
        shrink(made, 0)
    with pytest.raises(TraceError, match="requests have no prompt_tokens"):
        shrink(work(turn=[1]), 2)
