"""What `convert` does between reading and writing."""

import pytest

from hotbed.tracing.trace_cuts import Cuts
from tests.traces.test_jobs import jobs
from traces.jobs import Jobs
from traces.schema import TraceError
from traces.workload import TraceMeta, Workload


def requests() -> Workload:
    columns = {
        "request_id": range(4),
        "arrival_us": [0, 10_000_000, 0, 10_000_000],
        "model_id": ["m"] * 4,
        "session_id": ["a", "a", "b", "b"],
    }
    return Workload.of(columns, TraceMeta(source="made"))


def test_nothing_asked_changes_nothing() -> None:
    assert Cuts().of(made := requests()) is made
    assert Cuts().of(some := jobs()) is some


def test_requests_are_cut_in_order() -> None:
    made = Cuts(sessions_per_s=1.0, lengths="gsm8k", context=40, limit=3, seed=1).of(requests())
    assert isinstance(made, Workload)
    assert len(made) == 3
    tokens = made.frame["prompt_tokens"] + made.frame["output_tokens"]
    assert tokens.max() <= 40
    assert list(made.meta.notes) == ["sessions", "lengths", "context", "limit"]
    halves = Cuts(lengths="gsm8k", shrink=2, seed=1).of(requests())
    assert isinstance(halves, Workload)
    assert list(halves.meta.notes) == ["lengths", "shrink"]


def test_jobs_are_cut_for_a_fleet() -> None:
    made = Cuts(gpus=4, load=0.5, limit=2).of(jobs())
    assert isinstance(made, Jobs)
    assert made.load(4) == pytest.approx(0.5, rel=1e-3)


def test_options_of_the_other_kind_are_refused() -> None:
    with pytest.raises(TraceError, match="--gpus 4 is not allowed: the trace holds requests"):
        Cuts(gpus=4).of(requests())
    with pytest.raises(TraceError, match=r"--compress 2.0 is not allowed: the trace holds train"):
        Cuts(compress=2.0).of(jobs())
    with pytest.raises(TraceError, match="--shrink 2 is not allowed: the trace holds training"):
        Cuts(shrink=2).of(jobs())
    with pytest.raises(TraceError, match="load: a share of how many GPUs"):
        Cuts(load=0.5).of(jobs())
