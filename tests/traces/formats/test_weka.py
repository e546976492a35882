"""WEKA sessions: turns, think times, block ids and sub-agents."""

import json
from typing import Any

import pytest

from traces.formats.content import Content
from traces.formats.weka import read
from traces.schema import TraceError
from traces.sessions import predecessors
from traces.workload import Workload


def turn(t: float, ids: int = 2, **more: Any) -> dict[str, Any]:
    base = {"t": t, "type": "s", "model": "opus", "in": ids * 64 + 5, "out": 7, "stop": "tool_use"}
    return base | {"hash_ids": list(range(1, ids + 1)), "api_time": 1.5} | more


def session(name: str, *turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "models": ["opus"],
        "block_size": 64,
        "hash_id_scope": "local",
        "requests": list(turns),
    } | more


def sessions(*lines: dict[str, Any]) -> Workload:
    return read(Content("w.jsonl", b"\n".join(json.dumps(line).encode() for line in lines)), "m")


def test_turns_wait_for_each_other_and_share_the_beginning_of_their_prompts() -> None:
    work = sessions(
        session("a", turn(0.0, 2, think_time=0.0), turn(9.5, 3, think_time=4.0)),
        session("b", turn(0.0, 4)),
    )
    columns = {str(name): work.frame[name].tolist() for name in work.frame}
    assert columns["session_id"] == ["a", "b", "a"]
    assert columns["turn"] == [0, 0, 1]
    assert columns["arrival_us"] == [0, 0, 9_500_000]
    assert columns["think_time_us"][2] == 4_000_000
    assert columns["prefix_hash_ids"][2][:2] == columns["prefix_hash_ids"][0]
    assert columns["prompt_tokens"] == [133, 261, 197]
    assert columns["service_s"] == [1.5] * 3
    assert columns["block_size"] == [64] * 3
    assert sorted(predecessors(work.frame).tolist()) == [-1, -1, 0]
    assert "draw when they begin" in work.meta.notes["clock"]
    assert work.meta.synthetic_fields == ()


def test_local_block_ids_of_two_sessions_are_different_blocks() -> None:
    work = sessions(session("a", turn(0.0)), session("b", turn(0.0, out=9)))
    a, b = (set(ids) for ids in work.frame["prefix_hash_ids"])
    assert a.isdisjoint(b)
    shared = {"hash_id_scope": "global"}
    work = sessions(session("a", turn(0.0), **shared), session("b", turn(0.0, out=9), **shared))
    assert work.frame["prefix_hash_ids"].tolist() == [(1, 2), (1, 2)]


def test_a_session_that_is_there_twice_is_read_once() -> None:
    work = sessions(session("a", turn(0.0)), session("b", turn(0.0)), session("c", turn(0.0, 3)))
    assert work.frame["session_id"].tolist() == ["a", "c"]
    assert work.meta.notes["duplicates"] == "1 left out: equal to another session"


def test_a_think_time_that_is_missing_follows_from_the_stamps() -> None:
    work = sessions(session("a", turn(0.0), turn(10.0), turn(11.0)))
    assert work.frame["think_time_us"].fillna(-1).tolist() == [-1, 8_500_000, 0]
    assert work.meta.synthetic_fields == ("think_time_us",)


def test_a_sub_agent_is_a_part_of_its_session() -> None:
    agent = {"t": 3.0, "type": "subagent", "requests": [turn(3.0), turn(5.0, think_time=1.0)]}
    work = sessions(session("a", turn(0.0), agent, turn(20.0, think_time=2.0)))
    names = work.frame["session_id"].tolist()
    assert names == ["a", "a/agent-1", "a/agent-1", "a"]
    assert predecessors(work.frame).tolist() == [-1, -1, 1, 0]
    assert work.meta.notes["sub_agents"].startswith("1,")


def test_one_session_may_fill_a_file(tmp_path: Any) -> None:
    text = json.dumps(session("a", turn(0.0)), indent=2).encode()
    assert len(read(Content("w.json", text), "m")) == 1


def test_a_model_that_nobody_names_is_synthetic() -> None:
    work = sessions(session("a", turn(0.0, model=None), models=[]))
    assert work.models() == ("m",)
    assert work.meta.synthetic_fields == ("model_id",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (session("a", turn(-1.0)), "row 1: Expected `float` >= 0.0 - at `$.requests[0].t`"),
        (session("a", turn(0.0, hash_ids=["x"])), "row 1: Expected `int`, got `str`"),
        (session("a", turn(0.0) | {"in": None}), "turn 1 of session 'a' has no 'in' or 'out'"),
        (session("a", turn(0.0), block_size=0), "row 1: Expected `int` >= 1 - at `$.block_size`"),
        (session("a"), "empty, expected one session"),
    ],
)
def test_a_bad_session_is_refused_with_its_place(line: dict[str, Any], message: str) -> None:
    with pytest.raises(TraceError) as caught:
        sessions(line)
    assert message in str(caught.value)
