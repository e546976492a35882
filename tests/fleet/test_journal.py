"""The record of a run: lines there and back, replay to the same commands, where two runs part."""

from typing import get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet import commands as c
from fleet import events as e
from fleet.controller import Controller
from fleet.domain import ModelSpec, NodeSpec
from fleet.journal import (
    Header,
    JournalError,
    decode,
    encode,
    encode_header,
    first_difference,
    replay,
)
from fleet.limits import Limits
from tests.machines.driver import HandDriver
from tests.machines.fleets import MODELS, setup
from tests.machines.plain import Fixed, plain

# JSON has no infinities. For the whole session: no other test draws floats by their type.
st.register_type_strategy(float, st.floats(0.0, 1e12))

LIMITS = Limits()
EVENTS = st.one_of([st.from_type(kind) for kind in get_args(e.AnyEvent)])
COMMANDS = st.one_of([st.from_type(kind) for kind in get_args(c.AnyCommand)])
HEADER = Header(setup(limits=LIMITS), {"recipe": "plain"}, ("one", "two"), {"trace": "made"})


def lines_of(driver: HandDriver) -> list[bytes]:
    header = Header(driver.setup, {"recipe": "plain"})
    return [encode_header(header), *(encode(event, out) for event, out in driver.history)]


def short_run(seed: int = 0) -> HandDriver:
    driver = HandDriver(setup((2,), MODELS, LIMITS, seed=seed), plain(keep_alive=Fixed(4.0)))
    for number in (0, 2, 0, 3):
        driver.arrive(number, 10 if number == 2 else None)
        driver.wait(0.1)
    for _ in range(25):
        if driver.open():
            driver.succeed(driver.open()[0])
        elif driver.books.timers:
            driver.tick()
    return driver


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(EVENTS, st.lists(COMMANDS, max_size=3))
def test_every_event_and_command_comes_back_as_it_was(
    event: e.Event, commands: list[c.Command]
) -> None:
    _, entries = decode([encode_header(HEADER), encode(event, commands)])
    entry = next(entries)
    assert entry.event == event
    assert type(entry.event) is type(event)
    assert list(entry.commands) == commands
    assert [type(o) for o in entry.commands] == [type(o) for o in commands]


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(st.lists(st.from_type(NodeSpec), max_size=2), st.lists(st.from_type(ModelSpec), max_size=2))
def test_a_header_comes_back_as_it_was(nodes: list[NodeSpec], models: list[ModelSpec]) -> None:
    start = msgspec.structs.replace(HEADER.setup, nodes=tuple(nodes), models=tuple(models))
    header = msgspec.structs.replace(HEADER, setup=start)
    read, entries = decode([encode_header(header)])
    assert read == header
    assert list(entries) == []


def test_the_same_run_writes_the_same_bytes() -> None:
    assert lines_of(short_run()) == lines_of(short_run())


def test_a_journal_replays_to_its_commands() -> None:
    driver = short_run()
    header, entries = decode(lines_of(driver))
    assert replay(entries, Controller(header.setup, plain(keep_alive=Fixed(4.0)))) is None


def test_a_replay_with_another_policy_says_where_it_parts() -> None:
    driver = short_run()
    header, entries = decode(lines_of(driver))
    difference = replay(entries, Controller(header.setup, plain(keep_alive=Fixed(9.0))))
    assert difference is not None
    idle = next(
        number
        for number, (_, out) in enumerate(driver.history)
        if any(isinstance(o, c.SetTimer) and o.timer.startswith("idle") for o in out)
    )
    assert difference.line == idle + 2, "the header is line 1"
    assert "SetTimer" in difference.left
    assert str(difference).startswith(f"line {difference.line}:")


def test_the_first_difference_is_the_first() -> None:
    left = [b"a\n", b"b\n", b"c\n"]
    found = first_difference(left, [b"a\n", b"x\n", b"y\n"])
    assert found is not None
    assert (found.line, found.left, found.right) == (2, "b", "x")


def test_a_journal_that_ends_early_differs_at_its_end() -> None:
    found = first_difference([b"a\n", b"b\n"], [b"a\n"])
    assert found is not None
    assert (found.line, found.right) == (2, "(no such line)")


@given(st.lists(st.sampled_from([b"a\n", b"b\n"]), max_size=6))
def test_a_journal_does_not_differ_from_itself(lines: list[bytes]) -> None:
    assert first_difference(lines, list(lines)) is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "is empty"),
        ([b"{}\n"], "line 1 is no journal header"),
        ([b"not json\n"], "line 1 is no journal header"),
        ([encode_header(msgspec.structs.replace(HEADER, version=99))], "has version 99"),
    ],
)
def test_what_is_no_journal_is_refused_with_its_name(lines: list[bytes], message: str) -> None:
    with pytest.raises(JournalError, match=f"run.jsonl.*{message}"):
        decode(lines, "run.jsonl")


def test_a_bad_line_is_named() -> None:
    good = encode(e.NodeLost(1.0, HEADER.setup.nodes[0].id), [])
    _, entries = decode([encode_header(HEADER), good, b'[{"type":"Nonsense"},[]]\n'], "run.jsonl")
    assert isinstance(next(entries).event, e.NodeLost)
    with pytest.raises(JournalError, match=r"run.jsonl line 3 is no journal entry"):
        next(entries)


def test_a_header_of_a_run_without_bounds_can_be_read_back() -> None:
    """JSON has no infinity: what is unbounded must be said in another way."""
    header = Header(setup((1,)), {"recipe": "static"})
    assert header.setup.limits.max_age_s is None
    assert decode([encode_header(header)])[0] == header
