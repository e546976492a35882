"""One seed, one journal, byte for byte; and a journal alone is enough for the same commands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleet import events as e
from fleet.controller import Controller
from fleet.journal import decode, first_difference, replay
from policies.catalog import build
from tests.journaled import journal

ROOT = Path(__file__).parent.parent


def in_a_process(seed: int, hash_seed: str) -> list[bytes]:
    """The journal as another process writes it."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.journaled", str(seed)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    return done.stdout.splitlines(keepends=True)


def test_processes_with_other_hash_seeds_write_the_same_bytes() -> None:
    here = journal(1)
    for hash_seed in ("0", "4242"):
        assert first_difference(here, in_a_process(1, hash_seed)) is None


def test_the_run_has_what_could_go_differently() -> None:
    """Else the other tests here would say little."""
    _, entries = decode(journal(1))
    kinds = {type(entry.event) for entry in entries}
    assert {
        e.Migrated,
        e.NodeLost,
        e.NodeJoined,
        e.InstanceLost,
        e.CommandFailed,
        e.AdapterAttached,
        e.Slept,
        e.Awake,
        e.RequestFinished,
    } <= kinds


def test_two_seeds_part_at_a_line_that_is_named() -> None:
    left, right = journal(1), journal(2)
    difference = first_difference(left, right)
    assert difference is not None
    assert left[: difference.line - 1] == right[: difference.line - 1]
    assert left[difference.line - 1] != right[difference.line - 1]
    assert str(difference).startswith(f"line {difference.line}:\n- ")


@pytest.mark.parametrize("seed", range(4))
def test_a_journal_replays_to_the_same_commands(seed: int) -> None:
    header, entries = decode(journal(seed))
    assert replay(entries, Controller(header.setup, build(header.policy))) is None


def test_a_replay_under_another_policy_says_where_it_parts() -> None:
    lines = journal(1)
    header, entries = decode(lines)
    other = {**header.policy, "placement": {"name": "earliest_ready"}}
    difference = replay(entries, Controller(header.setup, build(other)))
    assert difference is not None
    assert 1 < difference.line <= len(lines)
