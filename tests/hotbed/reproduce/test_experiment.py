"""The paper's experiments: which runs there are, and how a run is counted."""

from pathlib import Path

import pytest

from hotbed.comparing.sweep import jobs_of, perform, stored
from hotbed.reproduce.experiment import (
    ARRIVALS,
    HEADLINE,
    SCHEDULERS,
    SYSTEMS,
    TIMEOUT_S,
    data_in,
    outcome_of,
    planned,
    quantile,
)
from hotbed.scenarios import choice
from traces.curves import Cdf


def test_every_size_and_data_set_is_run_at_every_rate_and_the_systems_at_theirs(
    tmp_path: Path,
) -> None:
    plan = planned(data_in(None), [0.2, 1.4], [1, 2], tmp_path)
    main = [p for p in plan if p.where.arrivals == ARRIVALS]
    assert len(main) == 3 * 2 * 3  # sizes, data sets, two rates and the systems' own
    for one in main:
        names = {job.choice.name for job in one.jobs}
        systems = set(SYSTEMS) if one.where.rps == 0.5 else set()
        assert names == {*SCHEDULERS, *systems}
        assert len(one.jobs) == 2 * len(names)
    others = [p.where for p in plan if p.where.arrivals != ARRIVALS]
    assert {(w.size, w.data, w.rps) for w in others} == {HEADLINE}
    assert len(others) == 4


def test_each_size_is_that_many_models_on_sixteen_cards(tmp_path: Path) -> None:
    plan = planned(data_in(None), [1.4], [1], tmp_path)
    counts = {p.where.size: p.loaded.scenario.models for p in plan}
    told = {size: [(m.count, m.gpus) for m in models] for size, models in counts.items()}  # type: ignore[union-attr]
    assert told == {
        "opt-6.7b": [(32, None)],
        "opt-13b": [(16, None)],
        "opt-30b": [(8, 2)],
    }


def test_data_that_is_not_there_is_replaced_and_said(tmp_path: Path) -> None:
    assert data_in(tmp_path).functions is None
    assert "Zipf" in data_in(None).words[0]
    folder = tmp_path / "normalized"
    folder.mkdir()
    (folder / "gsm8k_lengths_train.csv").write_text("prompt_tokens,answer_tokens_no_calc\n50,90\n")
    found = data_in(tmp_path)
    assert found.gsm8k.endswith("gsm8k_lengths_train.csv:prompt_tokens:answer_tokens_no_calc")
    assert "gsm8k_lengths_train.csv" in found.words[1]


def test_what_timed_out_waited_for_the_whole_timeout() -> None:
    half = Cdf((1.0, 2.0, 4.0), (0.25, 0.5, 0.98))
    assert quantile(half, 0.5) == 2.0
    assert quantile(half, 0.9) == 4.0
    assert quantile(half, 0.99) == TIMEOUT_S


def test_a_run_is_counted_over_all_requests(tmp_path: Path) -> None:
    plan = planned(data_in(None), [0.2], [1], tmp_path)
    loaded = next(p.loaded for p in plan if (p.where.size, p.where.rps) == ("opt-30b", 0.5))
    workload = loaded.scenario.workload
    short = workload.model_copy(update={"params": {**workload.params, "span_s": 600}})
    scenario = loaded.scenario.model_copy(update={"workload": short})
    brief = type(loaded)(scenario, loaded.folder)
    (job,) = jobs_of(brief, [choice(brief, "ray_serve")], [1], tmp_path, _values(brief))
    assert perform(job, lambda: None)
    run = stored(job)
    assert run is not None
    outcome = outcome_of(run)
    assert outcome is not None
    counts = run.summary.requests
    assert outcome.served == counts.finished / counts.arrived
    quantiles = run.summary.latency.ttft_s
    assert quantiles is not None
    total_s = quantiles.mean * counts.finished + TIMEOUT_S * (counts.arrived - counts.finished)
    assert outcome.mean_s == pytest.approx(total_s / counts.arrived)


def _values(loaded: object) -> dict[str, object]:
    from hotbed.comparing.study import resolved

    return resolved(loaded, [], [1])  # type: ignore[arg-type]
