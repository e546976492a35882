"""Where runs are made makes no difference to them."""

import os
from pathlib import Path

from hotbed.comparing.runners import Processes, runner
from tests.hotbed.comparing.test_sweep import jobs, swept


def test_processes_of_their_own_make_the_same_runs(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    alone, together = jobs(here), jobs(there)
    swept(alone)
    assert sorted(job.seed for job in swept(together, Processes(2))) == [1, 1, 2, 2]
    for one, other in zip(alone, together, strict=True):
        assert one.result.read_bytes() == other.result.read_bytes()


def test_without_a_word_there_is_a_process_for_each_core() -> None:
    assert runner(None, None) == Processes(len(os.sched_getaffinity(0)))
    assert runner(3, None) == Processes(3)
