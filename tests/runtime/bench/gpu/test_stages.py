"""Stages run once, inside a limit; one that fails stops none of the others."""

from pathlib import Path

from runtime.bench.gpu.record import Record, Result
from runtime.bench.gpu.stages import Stage, run_stages


class Clock:
    """Time that only the stages move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _stage(name: str, clock: Clock, took_s: float, ran: list[str]) -> Stage:
    def run() -> Result:
        ran.append(name)
        clock.now += took_s
        return {"took_s": took_s}

    return Stage(name, took_s, run)


def _broken() -> Result:
    raise OSError("the disk is gone")


def test_a_stage_that_fails_is_noted_and_tried_again_the_next_time(tmp_path: Path) -> None:
    clock, ran, said = Clock(), list[str](), list[str]()
    record = Record.begin(tmp_path / "r.json", {"device": "cpu", "scale": "tiny"})
    stages = [Stage("disk", 1.0, _broken), _stage("links", clock, 2.0, ran)]
    assert not run_stages(stages, record, limit_s=100.0, say=said.append, clock=clock)
    assert record.stages["disk"] == {"error": "OSError: the disk is gone"}
    assert said == ["[1/2] disk: failed, OSError: the disk is gone", "[2/2] links: 2.0 s"]
    stages[0] = _stage("disk", clock, 1.0, ran)
    assert run_stages(stages, record, limit_s=100.0, say=said.append, clock=clock)
    assert ran == ["links", "disk"]


def test_a_stage_that_the_rest_of_the_time_may_not_hold_is_left_out(tmp_path: Path) -> None:
    clock, ran = Clock(), list[str]()
    record = Record.begin(tmp_path / "r.json", {"device": "cpu", "scale": "tiny"})
    stages = [_stage(name, clock, 4.0, ran) for name in ("a", "b", "c")]
    assert not run_stages(stages, record, limit_s=9.0, say=lambda _: None, clock=clock)
    assert ran == ["a", "b"]
    assert record.stages["c"] == {"left_out": "1 s left, it may take 4 s"}
