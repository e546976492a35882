"""Arrivals of a bound scenario: what a request tells, and whom it waits for."""

from pathlib import Path
from typing import Any

import pytest

from fleet.scenario import ScenarioError, parse
from hotbed.binding import Bound, bind
from hotbed.running import run
from sim.calendar import Arrival
from tests.hotbed.small import hotbed, refused, small, written
from traces.formats import normalised
from traces.workload import TraceMeta, Workload

SESSIONS = """\
name: sessions
fleet: [{profile: osdi24-a40, count: 1, gpus: 1}]
models: [{name: m, weights: 13.3GB, layers: 32, kv_heads: 32}, {name: n, weights: 1GB}]
workload: {trace: sessions.parquet}
slo: {ttft: 5s, models: {n: {ttft: 60s}}}
policy: keep_alive
"""


def bound(folder: Path, **changes: str) -> Bound:
    """Three turns of session b, one of a, one of nobody."""
    columns: dict[str, Any] = {
        "request_id": range(5),
        "arrival_us": [0, 1_000_000, 2_000_000, 3_000_000, 4_000_000],
        "model_id": ["m", "m", "n", "m", "m"],
        "session_id": ["b", "a", None, "b", "b"],
        "turn": [0, 0, None, 1, 2],
        "think_time_us": [0, None, None, 250_000, 4_000_000],
        "prompt_tokens": [40, 40, 40, 70, 90],
        "output_tokens": [5] * 5,
        "block_size": [16, None, None, 16, 16],
        "prefix_hash_ids": [(1, 2, 3), None, None, (1, 2, 3, 4), (1, 2, 3, 4, 5)],
        "slo_class": ["chat", "batch", None, "chat", "chat"],
    }
    normalised.write(Workload.of(columns, TraceMeta(source="made")), folder / "sessions.parquet")
    return bind(parse(SESSIONS, "sessions.yaml", changes), folder, 0)


def by_id(made: Bound) -> dict[int, Arrival]:
    return {int(arrival.request.id): arrival for arrival in made.arrivals()}


def test_a_session_s_turns_stand_behind_the_turn_they_follow(tmp_path: Path) -> None:
    rows = list(bound(tmp_path).arrivals())
    assert [row.request.id for row in rows] == [0, 3, 4, 1, 2]
    assert [(row.after, row.think_s) for row in rows[:3]] == [(None, 0.0), (0, 0.25), (3, 4.0)]


def test_an_open_loop_keeps_the_recorded_times(tmp_path: Path) -> None:
    rows = list(bound(tmp_path, **{"workload.closed_loop": "false"}).arrivals())
    assert [row.request.id for row in rows] == [0, 1, 2, 3, 4]
    assert all(row.after is None for row in rows)


def test_a_closed_loop_needs_think_times() -> None:
    with pytest.raises(ScenarioError, match=r"workload\.closed_loop is true; no request"):
        bind(small(**{"workload.closed_loop": "true"}), Path(), 1)


def test_a_request_tells_its_session_prefix_and_deadline(tmp_path: Path) -> None:
    rows = by_id(bound(tmp_path))
    assert [rows[number].request.session for number in range(5)] == [1, 0, None, 1, 1]
    assert [rows[number].request.deadline_at for number in range(3)] == [5.0, 6.0, 62.0]
    # 40 tokens fill two blocks of 16.
    assert rows[0].request.prefix == (1, 2)
    assert rows[0].request.block_tokens == 16
    assert rows[3].request.prefix == (1, 2, 3, 4)
    assert (rows[1].request.prefix, rows[1].request.block_tokens) == ((), 0)


def test_priorities_go_by_class(tmp_path: Path) -> None:
    rows = by_id(bound(tmp_path, **{"workload.priorities": "{chat: 2, batch: -1}"}))
    assert [rows[number].request.priority for number in range(5)] == [2, -1, 0, 2, 2]
    with pytest.raises(ScenarioError, match="unknown class 'chatt'; classes: batch, chat"):
        bound(tmp_path, **{"workload.priorities": "{chatt: 2}"})


def test_a_run_measures_from_the_moment_a_turn_was_sent(tmp_path: Path) -> None:
    made = bound(tmp_path)
    finished = run(made, {"recipe": "keep_alive"}, lambda arrived, at: None)
    requests = finished.record.requests
    row = {int(number): index for index, number in enumerate(requests.id)}
    first, second, third = (row[number] for number in (0, 3, 4))
    assert requests.arrived_at[second] == requests.ended_at[first] + 0.25
    assert requests.arrived_at[third] == requests.ended_at[second] + 4.0
    # The first turn waits for a load; the next finds the model warm.
    ttft_s = requests.first_token_at - requests.arrived_at
    assert 0 < ttft_s[third] < 1 < ttft_s[first]
    assert finished.summary.requests.arrived == 5


def test_a_closed_loop_is_rerun_from_its_journal(tmp_path: Path) -> None:
    bound(tmp_path)
    written(tmp_path, SESSIONS)
    journal = tmp_path / "run.jsonl"
    assert hotbed("simulate", tmp_path / "small.yaml", "--journal", journal).exit_code == 0
    again = hotbed("rerun", journal)
    assert again.exit_code == 0, again.output


def test_what_a_workload_cannot_give_is_one_line_before_the_run(tmp_path: Path) -> None:
    path = written(tmp_path)
    line = refused("simulate", path, "--set", "workload.closed_loop=true")
    assert "no request of this workload has a session with a turn before it" in line


def test_sessions_without_a_common_clock_are_given_one(tmp_path: Path) -> None:
    changes = {"workload.sessions_per_s": "0.1", "workload.context": "32", "workload.shrink": "2"}
    bound(tmp_path)
    text = SESSIONS.replace("sessions.parquet", "whole.parquet")
    columns: dict[str, Any] = {
        "request_id": range(4),
        "arrival_us": [0, 0, 5_000_000, 5_000_000],
        "model_id": ["m"] * 4,
        "session_id": ["a", "b", "a", "b"],
        "think_time_us": [0, 0, 1_000_000, 1_000_000],
        "prompt_tokens": [100] * 4,
        "output_tokens": [4] * 4,
    }
    normalised.write(Workload.of(columns, TraceMeta(source="made")), tmp_path / "whole.parquet")
    made = bind(parse(text, "whole.yaml", changes), tmp_path, 0)
    rows = list(made.arrivals())
    assert {row.request.prompt_tokens for row in rows} == {30}  # of 50, with 2 to come
    assert {row.output_tokens for row in rows} == {2}
    roots = [row.request.arrived_at for row in rows if row.after is None]
    assert len(set(roots)) == 2
    assert "arrival_us" in made.requests.meta.synthetic_fields
