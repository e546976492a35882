"""BurstGPT, in its older layout and with sessions."""

import pytest

from traces.formats.burstgpt import read
from traces.formats.content import Content
from traces.formats.detect import Format, detect
from traces.schema import TraceError
from traces.sessions import predecessors
from traces.workload import Workload

HEAD = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type"


def burst(*lines: str, head: str = HEAD) -> Workload:
    return read(Content("b.csv", "\n".join((head, *lines, "")).encode()))


def test_the_older_layout_has_no_sessions() -> None:
    work = burst("5,ChatGPT,472,18,490,API log", "9,GPT-4,30,0,30,Conversation log")
    assert work.models() == ("ChatGPT", "GPT-4")
    assert "session_id" not in work.frame
    assert "think_time_us" not in work.frame
    assert work.frame["slo_class"].tolist() == ["API log", "Conversation log"]
    assert work.meta.columns_ignored == ("Total tokens",)
    assert work.meta.synthetic_fields == ("status",)


def test_the_stamp_may_have_its_unit_in_its_name() -> None:
    head = HEAD.replace("Timestamp", "Timestamp(s)")
    content = Content("b.csv", f"{head}\n5,GPT-4,1,2,3,API log\n".encode())
    assert detect(content) == Format.BURSTGPT
    assert read(content).frame["arrival_us"].tolist() == [5_000_000]


def test_a_response_of_no_tokens_is_a_failure() -> None:
    work = burst("5,ChatGPT,472,18,490,API log", "9,GPT-4,30,0,30,API log")
    assert work.frame["status"].tolist() == ["finished", "failed"]
    assert work.meta.notes["status"].startswith("1 failed")


def test_think_times_run_from_the_end_of_the_session_s_request_before() -> None:
    work = burst(
        "5,GPT-4,1,2,3,Conversation log,s1,1.5",
        "6,GPT-4,1,2,3,Conversation log,s2,9",
        "10,GPT-4,1,2,3,Conversation log,s1,2",
        "11,GPT-4,1,2,3,Conversation log,s2,1",
        "12,GPT-4,1,2,3,API log,,3",
        head=f"{HEAD},Session ID,Elapsed time",
    )
    assert work.frame["session_id"].tolist()[:4] == ["s1", "s2", "s1", "s2"]
    think_us = work.frame["think_time_us"]
    assert think_us.isna().tolist() == [True, True, False, False, True]
    # s2 asked again before its first answer was over.
    assert think_us.dropna().tolist() == [3_500_000, 0]
    assert predecessors(work.frame).tolist() == [-1, -1, 0, 1, -1]
    assert "think_time_us" in work.meta.synthetic_fields


def test_a_request_every_second_is_called_no_recording() -> None:
    """As in the file that a repository spreads under this data set's name."""
    made = burst(*(f"{second},ChatGPT,100,50,150,API log" for second in range(250)))
    assert "this is no recording of BurstGPT" in made.meta.notes["suspicious"]
    real = burst(*(f"{second + second % 3},ChatGPT,9,5,14,API log" for second in range(250)))
    assert "suspicious" not in real.meta.notes


def test_a_cell_that_is_no_number_is_refused_with_its_place() -> None:
    with pytest.raises(TraceError, match=r"b\.csv, row 1, column 'Request tokens': 'x'"):
        burst("5,ChatGPT,x,18,490,API log")
