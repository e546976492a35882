"""The report of a grid: readable with dozens of policies, and no number of what never settled."""

import json
import re
from pathlib import Path

import pytest

from tests.traces.gridded import Level, grid
from traces.grids.grid import TTFT_P99, GridRuns
from traces.grids.grid_report import GridFacts, results, write_grid_report


def made() -> GridRuns:
    levels = {
        f"{recipe}-{i}": Level(0.9 - 0.1 * i, 5.0 + i, 1.0 + i)
        for recipe in ("serverlessllm", "gdsf")
        for i in range(5)
    }
    levels["static-0"] = Level(0.3, 2.0, saturates_at=2.0)
    return grid(levels, loads=(1.0, 2.0), traces=("osdi24",))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_grid_report(tmp_path_factory.mktemp("grid"), GridFacts(made()))


def test_the_report_needs_no_other_file_and_names_every_cell_and_policy(report: Path) -> None:
    text = report.read_text()
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    for shown in ("osdi24, load 2", "osdi24, load 1", "static-0", "gdsf-4", "★", "≈"):
        assert shown in text
    assert "Benjamini and Hochberg" in text
    assert text.count("<details") > 10
    assert "132 of 132 runs are done" in text
    assert "gdsf &middot; 5" in text


def test_the_pictures_are_there_and_are_embedded(report: Path) -> None:
    names = {path.stem for path in (report.parent / "plots").glob("*.png")}
    assert names == {"attainment_over_load_1", "cost_against_ttft_p50_1", "cost_against_ttft_p99_1"}
    assert report.read_text().count("data:image/png;base64,") == 3


def test_the_data_has_null_and_a_reason_where_nothing_settled(report: Path) -> None:
    data = json.loads((report.parent / "results.json").read_bytes())
    latency = [c for c in data["contests"] if c["measure"] == TTFT_P99.path]
    (busy,) = [c for c in latency if c["cell"] == "osdi24, load 2"]
    assert busy["policies"]["static-0"]["mean"] is None
    assert "queue grew by 3.1 requests/s" in busy["policies"]["static-0"]["note"]
    assert busy["policies"]["gdsf-0"]["mean"]["n"] == 6
    assert data["study"]["cells"][0]["resolved"]["scenario"]["load"] == 1.0
    assert data["study"]["seeds"] == list(range(6))
    assert len(data["runs"]) == 132
    static = [run for run in data["runs"] if run["policy"] == "static-0"]
    for run in static:
        busy_cell = run["cell"].endswith("load 2")
        assert run["saturated"] == busy_cell
        assert (run["values"][TTFT_P99.path] is None) == busy_cell
        assert run["values"]["objective.attainment"] is not None


def test_a_single_cell_has_no_picture_over_load(tmp_path: Path) -> None:
    levels = {"a": Level(0.9), "b": Level(0.8)}
    path = write_grid_report(tmp_path, GridFacts(grid(levels)))
    assert "Attainment against load" not in path.read_text()
    assert "The scenario" in path.read_text()


def test_the_results_do_not_depend_on_the_order_of_runs() -> None:
    runs = grid({"a": Level(0.9), "b": Level(0.8), "c": Level(0.8)})
    turned = GridRuns(runs.study, list(reversed(runs.points)))
    for one, other in zip(
        *(results(GridFacts(own))["contests"] for own in (runs, turned)), strict=True
    ):
        assert one["policies"] == other["policies"]
        assert set(one["worse_for_real"]) == set(other["worse_for_real"])
