"""One run: its record, its journal, and what is left when it is stopped."""

from pathlib import Path

import pytest

from fleet.journal import Entry, Header, decode, first_difference
from hotbed.binding import Bound, bind
from hotbed.interrupts import Stopped
from hotbed.journals import reading, writing
from hotbed.running import run
from policies.catalog import resolve
from tests.hotbed.small import small
from traces.collector import record_of
from traces.summary import Counts

#: Enough events that a run is asked more than once whether it should stop.
LONG = {"workload.params.rate_rps": "20"}


def bound(**changes: str) -> Bound:
    return bind(small(**changes), Path(), seed=1)


def nothing(arrived: int, now: float) -> None:
    """A tick that never stops a run."""


def journal_of(path: Path) -> tuple[Header, list[Entry]]:
    with reading(path) as lines:
        header, entries = decode(lines, str(path))
        return header, list(entries)


def test_every_request_ends_and_every_gpu_second_has_a_cause() -> None:
    one = bound()
    finished = run(one, {"recipe": "serverlessllm"}, nothing)
    summary = finished.summary
    assert summary.requests == Counts(len(one.requests), len(one.requests), 0, 0, 0, 0, 0)
    assert not finished.partial
    cost = summary.cost
    assert cost.gpu_s_total == pytest.approx(sum(cost.gpu_s.values()))
    assert 0 < cost.gpu_s_total <= cost.fleet_gpu_s
    # Two nodes of one card at the profile's price for the whole machine.
    assert cost.price_total == pytest.approx(cost.gpu_s_total * 1.76 / 3600)


def test_a_journal_holds_the_run(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl.zst"
    with writing(path) as write:
        finished = run(bound(), {"recipe": "serverlessllm"}, nothing, write, {"seed": 1})
    header, entries = journal_of(path)
    assert len(entries) == finished.events
    assert header.policy == resolve("serverlessllm")
    assert header.world == {"seed": 1}
    setup = header.setup
    pairs = [(entry.event, entry.commands) for entry in entries]
    again = record_of(pairs, setup.nodes, (*setup.models, *setup.adapters))
    assert again.requests.ended_at.tolist() == finished.record.requests.ended_at.tolist()


def test_one_seed_writes_one_journal_byte_for_byte(tmp_path: Path) -> None:
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for path in paths:
        with writing(path) as write:
            run(bound(), {"recipe": "serverlessllm"}, nothing, write)
    with reading(paths[0]) as left, reading(paths[1]) as right:
        difference = first_difference(left, right)
    assert difference is None, str(difference)


def test_a_stopped_run_leaves_a_whole_journal_and_what_was_done(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl.gz"
    ticks = []

    def stop_at_the_second(arrived: int, now: float) -> None:
        ticks.append((arrived, now))
        if len(ticks) == 2:
            raise Stopped

    one = bound(**LONG)
    with writing(path) as write:
        finished = run(one, {"recipe": "serverlessllm"}, stop_at_the_second, write)
    _, entries = journal_of(path)
    assert finished.partial
    assert len(entries) == finished.events
    assert entries[-1].event.at == finished.record.ended_at == ticks[-1][1]
    requests = finished.summary.requests
    assert 0 < requests.finished < len(one.requests)
    # The next arrival is drawn before its time has come.
    assert requests.arrived in (ticks[-1][0], ticks[-1][0] - 1)


def test_a_run_may_end_at_a_set_time() -> None:
    finished = run(bound(until="20s"), {"recipe": "serverlessllm"}, nothing)
    assert finished.record.ended_at <= 20.0
    assert finished.summary.requests.unfinished > 0


def test_each_kind_of_a_mixed_fleet_pays_for_what_its_instances_held() -> None:
    fleet = (
        "[{profile: osdi24-a40, gpus: 1, price_per_hour: 3600},"
        " {profile: h100, gpus: 1, price_per_hour: 36000}]"
    )
    finished = run(bound(fleet=fleet, **LONG), {"recipe": "keep_alive"}, nothing)
    record, gpu_s = finished.record, {"A40": 0.0, "H100": 0.0}
    for load in record.loads:
        until = record.ended_at if load.ended_at is None else load.ended_at
        for shard in load.shards:
            gpu_s[record.nodes[shard.node].kind] += until - load.started_at
    cost = finished.summary.cost
    assert min(gpu_s.values()) > 0
    assert cost.gpu_s_total == pytest.approx(sum(gpu_s.values()), rel=0.05)
    assert cost.price_total == pytest.approx(gpu_s["A40"] + 10 * gpu_s["H100"], rel=0.05)
