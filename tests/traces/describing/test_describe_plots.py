"""Figures are drawn for what a trace has, the same bytes for the same trace."""

from pathlib import Path

import pytest

from traces.describing.describe_plots import plot
from traces.synthesis.recipe import Adapters, Bursty, Diurnal, Tenants
from traces.synthesis.synth import stream
from traces.workload import TraceMeta, Workload

PNG = b"\x89PNG\r\n\x1a\n"


def of_stamps(arrival_us: list[int]) -> Workload:
    size = len(arrival_us)
    columns = {"request_id": range(size), "arrival_us": arrival_us, "model_id": ["m"] * size}
    return Workload.of(columns, TraceMeta())


def test_a_full_trace_has_four_figures_that_repeat_byte_for_byte(tmp_path: Path) -> None:
    recipe = Bursty(span_s=3000.0, tenants=Tenants(), adapters=Adapters())
    paths = plot(stream(recipe), tmp_path / "new" / "a")
    assert [path.name for path in paths] == [
        "arrivals.png",
        "popularity.png",
        "lengths.png",
        "burstiness.png",
    ]
    again = plot(stream(recipe), tmp_path / "b")
    for first, second in zip(paths, again, strict=True):
        assert first.read_bytes().startswith(PNG)
        assert first.read_bytes() == second.read_bytes()


def test_other_requests_make_another_picture(tmp_path: Path) -> None:
    one = plot(stream(Diurnal(rate_rps=0.02)), tmp_path / "a")[0]
    other = plot(stream(Diurnal(rate_rps=0.02, peak_at_s=0.0)), tmp_path / "b")[0]
    assert one.read_bytes() != other.read_bytes()


@pytest.mark.parametrize(
    "arrival_us",
    [
        [0] * 29 + [900_000_000_000_000],
        [10_000_000] * 20 + [20_000_000] * 20,
        list(range(0, 30_000_000_000, 1_000_000_000)),
    ],
    ids=["long-idle", "equal-stamps", "even"],
)
def test_odd_traces_are_drawn_without_lengths_or_popularity(
    tmp_path: Path, arrival_us: list[int]
) -> None:
    names = [path.name for path in plot(of_stamps(arrival_us), tmp_path)]
    assert names == ["arrivals.png", "burstiness.png"]


def test_a_few_requests_say_nothing_of_burstiness(tmp_path: Path) -> None:
    assert [path.name for path in plot(of_stamps([0, 1, 2]), tmp_path)] == ["arrivals.png"]


@pytest.mark.parametrize("arrival_us", [[], [0, 7], [4, 4, 4, 4]], ids=["none", "two", "at-once"])
def test_a_trace_with_nothing_to_show_has_no_figure(tmp_path: Path, arrival_us: list[int]) -> None:
    assert plot(of_stamps(arrival_us), tmp_path) == []
