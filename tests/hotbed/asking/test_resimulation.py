"""A journal's requests once more: their lengths, and whether a run again is the journal."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from fleet.journal import Entry, Header, encode
from hotbed.asking.recorded import header_of, recorded
from hotbed.asking.resimulation import Comparing, base_again, with_true_lengths, workload_of
from hotbed.journals import reading, writing
from hotbed.worlds import world_of
from tests.hotbed.small import SMALL, hotbed, written


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resimulation")
    path = folder / "run.jsonl"
    scenario = written(folder, SMALL.replace("max_age: 120s", "max_age: 20s"))
    assert hotbed("simulate", scenario, "--journal", path).exit_code == 0
    return path


def entries_of(path: Path) -> list[Entry]:
    with recorded(path, "reading") as (_, entries):
        return list(entries)


def quiet(arrived: int, at: float) -> None:
    """No progress is shown."""


def test_requests_that_were_given_up_get_their_true_length_from_the_workload(
    journal: Path,
) -> None:
    header = header_of(journal)
    workload = workload_of(entries_of(journal))
    assert workload.unknown > 0
    known = world_of(header, journal)
    true = with_true_lengths(workload, known, header.setup.seed)
    assert true.unknown == 0
    assert [one.request for one in true.arrivals] == [one.request for one in workload.arrivals]
    side, check = base_again(journal, header, known, true, quiet)
    assert check.same
    assert len(side.record.requests) == len(workload.arrivals)


def test_a_workload_that_disagrees_is_not_believed(journal: Path) -> None:
    header = header_of(journal)
    workload = workload_of(entries_of(journal))
    known = world_of(header, journal)
    assert with_true_lengths(workload, known, header.setup.seed + 1) is workload


def test_a_mean_is_of_the_model_and_no_longer_than_allowed(journal: Path) -> None:
    workload = workload_of(entries_of(journal))
    finished = [one for one in workload.arrivals if one.request.id not in workload.guessed]
    for one in workload.arrivals:
        if one.request.id in workload.guessed:
            own = [o.output_tokens for o in finished if o.request.model == one.request.model]
            own = own or [o.output_tokens for o in finished]
            assert one.output_tokens == max(1, round(sum(own) / len(own)))
        assert 1 <= one.output_tokens <= one.request.max_tokens


def compared(entries: list[Entry], lines: Iterator[bytes]) -> Comparing:
    comparing = Comparing(lines)
    for entry in entries:
        comparing.see(entry.event, entry.commands)
    return comparing


def test_the_check_says_where_a_run_leaves_the_journal(journal: Path) -> None:
    entries = entries_of(journal)
    lines = [encode(entry.event, entry.commands) for entry in entries]
    assert compared(entries, iter(lines)).verdict(9.0).same
    other = [*lines[:4], lines[4].replace(b'"at":', b'"at": '), *lines[5:]]
    found = compared(entries, iter(other)).verdict(9.0)
    assert (found.same, found.line, found.at) == (False, 6, entries[4].event.at)
    short = compared(entries, iter(lines[:10])).verdict(9.0)
    assert (short.ended, short.line) == (True, 11)
    assert "up to its end in line 11" in str(short)
    more = compared(entries[:-1], iter(lines)).verdict(9.0)
    assert (more.same, more.ended, more.line) == (False, False, len(lines) + 1)


def test_events_that_no_simulated_world_makes_are_counted(journal: Path) -> None:
    from fleet.domain import ArtifactId
    from fleet.events import ArtifactRemoved

    entries = [*entries_of(journal), Entry(ArtifactRemoved(1e6, ArtifactId(0)), ())]
    assert workload_of(entries).unmade == {"ArtifactRemoved": 1}


def test_a_header_survives_being_written_again(journal: Path, tmp_path: Path) -> None:
    """What is simulated again starts from the header as it was read."""
    again = tmp_path / "again.jsonl"
    with reading(journal) as lines, writing(again) as write:
        header = msgspec.json.decode(next(lines), type=Header)
        write(msgspec.json.encode(header) + b"\n")
    assert header_of(again) == header_of(journal)
