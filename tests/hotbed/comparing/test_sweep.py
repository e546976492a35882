"""A sweep: paired, seed by seed, and what is done is not done again."""

from pathlib import Path

from hotbed.comparing.runners import in_turn
from hotbed.comparing.study import resolved
from hotbed.comparing.sweep import Job, Runner, jobs_of, numbers, runs_of, stored, sweep
from hotbed.interrupts import Interrupt
from hotbed.scenarios import choices, load
from tests.hotbed.small import written

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


def test_a_sweep_that_is_asked_to_stop_at_once_makes_nothing(tmp_path: Path) -> None:
    interrupt = Interrupt()
    interrupt.asked = True
    todo = jobs(tmp_path)
    assert swept(todo, in_turn, interrupt) == []
    assert [stored(job) for job in todo] == [None] * 4


def test_numbers_are_a_stored_run_without_its_curves(tmp_path: Path) -> None:
    (job, *_) = todo = jobs(tmp_path, "static", seeds=1)
    assert numbers(job) is None
    swept(todo)
    kept, bare = stored(job), numbers(job)
    assert kept is not None
    assert bare is not None
    assert (bare.fingerprint, bare.summary) == (kept.fingerprint, kept.summary)
