"""`hotbed compare` and the sweep below it: paired, resumed, in processes."""

import json
from pathlib import Path

import pytest

from hotbed.interrupts import Interrupt
from hotbed.runners import Processes, in_turn
from hotbed.scenarios import choices, load
from hotbed.study import resolved
from hotbed.sweep import Job, Runner, jobs_of, runs_of, stored, sweep
from tests.hotbed.small import hotbed, refused, written

SHORT = ["workload.params.span_s=20"]


def jobs(folder: Path, policies: str | None = None, seeds: int = 2) -> list[Job]:
    loaded = load(written(folder), SHORT)
    chosen = choices(loaded, policies)
    all_seeds = list(range(1, seeds + 1))
    values = resolved(loaded, chosen, all_seeds)
    return jobs_of(loaded, chosen, all_seeds, folder / "runs", values)


def swept(
    todo: list[Job], runner: Runner = in_turn, interrupt: Interrupt | None = None
) -> list[Job]:
    """Those that were done, or there, in order."""
    done: list[Job] = []
    sweep(todo, runner, interrupt or Interrupt(), done.append)
    return done


def written_at(todo: list[Job]) -> list[int]:
    return [job.result.stat().st_mtime_ns for job in todo]


def test_seeds_come_before_policies_and_only_the_first_keeps_a_journal(tmp_path: Path) -> None:
    todo = jobs(tmp_path)
    assert [(job.seed, job.choice.name, job.with_journal) for job in todo] == [
        (1, "serverlessllm", True),
        (1, "bare", True),
        (2, "serverlessllm", False),
        (2, "bare", False),
    ]


def test_every_policy_of_a_seed_gets_the_same_requests(tmp_path: Path) -> None:
    todo = jobs(tmp_path)
    swept(todo)
    runs = list(runs_of(todo))
    arrived = {(run.policy, run.seed): run.summary.requests.arrived for run in runs}
    assert arrived["serverlessllm", 1] == arrived["bare", 1]
    first = [run.record.requests for run in runs if run.record is not None]
    assert first[0].arrived_at.tolist() == first[1].arrived_at.tolist()


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    todo = jobs(tmp_path)
    assert swept(todo) == todo
    before = written_at(todo)
    assert swept(todo) == todo
    assert written_at(todo) == before


def test_an_interrupted_sweep_goes_on_where_it_stopped(tmp_path: Path) -> None:
    todo = jobs(tmp_path)
    interrupt = Interrupt()

    def stop_after_the_first(job: Job) -> None:
        interrupt.asked = True

    sweep(todo, in_turn, interrupt, stop_after_the_first)
    assert [stored(job) is not None for job in todo] == [True, False, False, False]
    before = written_at(todo[:1])
    assert swept(todo) == todo
    assert written_at(todo[:1]) == before


def test_a_run_with_other_inputs_is_made_again(tmp_path: Path) -> None:
    todo = jobs(tmp_path)
    swept(todo)
    (tmp_path / "small.yaml").unlink()
    loaded = load(written(tmp_path), [*SHORT, "limits.max_age=60s"])
    chosen = choices(loaded, None)
    other = jobs_of(loaded, chosen, [1, 2], tmp_path / "runs", resolved(loaded, chosen, [1, 2]))
    assert [stored(job) for job in other] == [None] * 4
    assert all(stored(job) is not None for job in todo)


def test_adding_a_policy_or_a_seed_keeps_the_runs_that_are_there(tmp_path: Path) -> None:
    swept(jobs(tmp_path))
    more = jobs(tmp_path, "serverlessllm,static,bare", seeds=3)
    there = [(job.choice.name, job.seed) for job in more if stored(job) is not None]
    assert there == [("serverlessllm", 1), ("bare", 1), ("serverlessllm", 2), ("bare", 2)]


def test_processes_of_their_own_make_the_same_runs(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    alone, together = jobs(here), jobs(there)
    swept(alone)
    assert sorted(job.seed for job in swept(together, Processes(2))) == [1, 1, 2, 2]
    for one, other in zip(alone, together, strict=True):
        assert one.result.read_bytes() == other.result.read_bytes()


def test_a_sweep_that_is_asked_to_stop_at_once_makes_nothing(tmp_path: Path) -> None:
    interrupt = Interrupt()
    interrupt.asked = True
    todo = jobs(tmp_path)
    assert swept(todo, in_turn, interrupt) == []
    assert [stored(job) for job in todo] == [None] * 4


def test_a_comparison_prints_a_table_and_writes_its_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["--policies", "serverlessllm,static", "--seeds", "2", "--jobs", "1", "--out", str(out)]
    result = hotbed("compare", written(tmp_path), *words, "--set", SHORT[0])
    assert result.exit_code == 0, result.output
    for shown in ("serverlessllm", "static", "TTFT p99", str(out / "report.html"), "latency.png"):
        assert shown in result.stdout
    values = json.loads((out / "run.json").read_text())
    assert values["seeds"] == [3, 4]
    assert values["policies"]["static"]["scaling"] == {"name": "fixed", "replicas": 1}
    assert values["scenario"]["workload"]["params"]["span_s"] == 20
    said = json.loads(
        hotbed("compare", written(tmp_path), *words, "--set", SHORT[0], "--json").stdout
    )
    assert said["policies"] == ["serverlessllm", "static"]
    assert {row["measure"]["path"] for row in said["rows"]} >= {"latency.ttft_s.p99"}


def test_a_seed_that_draws_nothing_is_refused_and_the_others_are_kept(tmp_path: Path) -> None:
    """At two requests in a minute one seed of a few has none."""
    out = tmp_path / "out"
    few = [
        "--set",
        "workload.params.rate_rps=0.03",
        "--seeds",
        "40",
        "--jobs",
        "1",
        "--out",
        str(out),
    ]
    message = refused("compare", written(tmp_path), "--policies", "static", *few)
    assert "hotbed compare: seed " in message
    assert "none came" in message
    assert list(out.glob("runs/static/seed-*.json"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--policies", "serverlesslm"], "did you mean 'serverlessllm'"),
        (["--policies", ","], "expected names such as"),
        (["--set", "residency.ssd=all", "--set", "fleet[0].ssd=1GB"], "do not fit into"),
    ],
)
def test_bad_input_is_one_line_before_anything_runs(
    tmp_path: Path, words: list[str], says: str
) -> None:
    assert says in refused("compare", written(tmp_path), "--out", tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()
