"""`hotbed compare` over a grid: paired within cells, resumed, and every value in the result."""

import json
import os
from pathlib import Path

import pytest
import typer

from hotbed.comparing import compare
from hotbed.comparing.compare_grid import Prepared, points_of, prepared
from hotbed.comparing.compare_pairs import Pairs
from hotbed.comparing.grid import axes_of
from hotbed.comparing.runners import in_turn
from hotbed.comparing.sweep import Job, is_stored, sweep
from hotbed.interrupts import INTERRUPTED, Interrupt
from hotbed.scenarios import choices, load
from hotbed.workloads import DATA_VARIABLE
from policies.library import RECIPES
from tests.hotbed.small import SMALL, hotbed, refused, trace_file, written

SHORT = ["workload.params.span_s=20"]
GRID = """\
grid:
  policies: [static, bare]
  seeds: 2
  load: [0.5, 1]
  cases: {usual: {}, faulty: {faults: {load_failure_probability: 0.3}}}
"""


def begun(folder: Path, grid: str = GRID) -> Prepared:
    loaded = load(written(folder, SMALL + grid), SHORT)
    axes = axes_of(loaded.scenario.grid)
    names = ",".join(loaded.scenario.grid.policies or ())
    return prepared(loaded, axes, names, [3, 4], folder / "out")


def test_a_grid_is_run_cell_by_cell_and_seed_by_seed(tmp_path: Path) -> None:
    made = begun(tmp_path)
    jobs = made.jobs
    assert len(jobs) == 2 * 4 * 2
    assert [job.seed for job in jobs] == [3] * 8 + [4] * 8
    assert jobs[0].name == "usual, load 0.5: static, seed 3"
    assert len({job.result for job in jobs}) == 16
    assert len({job.fingerprint for job in jobs}) == 16
    requests = {cell.name: cell.requests for cell in made.study.cells}
    assert requests["usual, load 0.5"] < requests["usual, load 1"] == requests["faulty, load 1"]


def test_an_interrupted_grid_goes_on_and_other_cells_keep_their_runs(tmp_path: Path) -> None:
    made = begun(tmp_path)
    interrupt = Interrupt()
    finished: list[Job] = []

    def stop_after_three(job: Job) -> None:
        finished.append(job)
        interrupt.asked = len(finished) == 3

    sweep(made.jobs, in_turn, interrupt, stop_after_three)
    assert len([job for job in made.jobs if is_stored(job)]) == 3
    wider = begun(tmp_path, GRID.replace("[0.5, 1]", "[0.5, 1, 3]"))
    assert [job.name for job in wider.jobs if is_stored(job)] == [job.name for job in finished]


def test_what_an_early_stop_leaves_is_reported_as_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = begun(tmp_path)
    sweep(made.jobs[:2], in_turn, Interrupt(), lambda job: None)
    with pytest.raises(typer.Exit) as ended:
        made.conclude(tmp_path / "out", False, False)
    assert ended.value.exit_code == INTERRUPTED
    said = capsys.readouterr()
    assert "stopped: 2 of 16 runs are done and kept" in said.err
    assert "usual, load 1: no seed of all policies is done yet." in said.out
    assert "2 of 16 runs are done" in (tmp_path / "out" / "report.html").read_text()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the command prints, and the folder it writes to."""
    folder = tmp_path_factory.mktemp("compared")
    words = ["--load", "2", "--vary", "slo.ttft=5s", "--seeds", "1", "--jobs", "1"]
    words += ["--set", SHORT[0], "--out", str(folder / "out")]
    result = hotbed("compare", written(folder, SMALL + GRID), *words)
    assert result.exit_code == 0, result.output
    return result.stdout, folder / "out"


def test_policies_of_a_cell_get_the_same_requests(done: tuple[str, Path]) -> None:
    arrived: dict[str, set[int]] = {}
    for path in (done[1] / "runs").rglob("seed-3.json"):
        summary = json.loads(path.read_bytes())["summary"]
        arrived.setdefault(path.parts[-3], set()).add(summary["requests"]["arrived"])
    assert set(arrived) == {f"case={own}_slo.ttft=5s_load=2" for own in ("usual", "faulty")}
    assert all(len(counts) == 1 for counts in arrived.values())


def test_the_result_has_every_value_and_seed_of_every_cell(done: tuple[str, Path]) -> None:
    results = json.loads((done[1] / "results.json").read_bytes())
    for study in (results["study"], json.loads((done[1] / "run.json").read_bytes())):
        axes = {"case": ["usual", "faulty"], "slo.ttft": ["5s"], "load": ["2"]}
        assert study["axes"] == axes
        assert study["seeds"] == [3]
        faulty = next(cell for cell in study["cells"] if cell["name"] == "faulty, ttft 5s, load 2")
        values = faulty["resolved"]
        assert values["scenario"]["faults"] == {"load_failure_probability": 0.3}
        assert values["scenario"]["workload"]["params"]["rate_rps"] == 2.0
        assert values["policies"]["static"]["scaling"] == {"name": "fixed", "replicas": 1}
        assert values["residency"]["bare"]["ssd"] == "none"
        assert values["seeds"] == [3]
        assert "drawn at another rate" in faulty["load_in_words"]
    assert len(results["runs"]) == 2 * 2


def test_the_tables_say_who_wins_where_and_what_to_be_careful_with(done: tuple[str, Path]) -> None:
    for shown in ("SLO attainment (%)", "tied with 1 more", "one seed is too few", "report.html"):
        assert shown in done[0]
    assert "4 of 4 runs are done" in (done[1] / "report.html").read_text()


def test_traces_of_a_file_and_of_a_recipe_stand_beside_each_other(tmp_path: Path) -> None:
    grid = f"""\
grid:
  policies: [serverlessllm]
  load: [2]
  traces:
    drawn: {{}}
    recorded:
      workload: {{trace: {trace_file(tmp_path).name}}}
      models: {{from_trace: {{templates: {{a: {{weights: 1GB, max_adapters: 2}}}}}}}}
      slo: {{}}
"""
    drawn, recorded = begun(tmp_path, grid).study.cells
    assert "drawn at another rate" in drawn.load_in_words
    assert "compressed" in recorded.load_in_words
    assert recorded.requests == 20
    assert "workload.trace" in recorded.resolved["files_sha256"]


def test_all_stands_for_every_variant_and_recipe(tmp_path: Path) -> None:
    chosen = choices(load(written(tmp_path)), "all")
    assert {one.name for one in chosen} == {"bare", *RECIPES}


def test_more_policies_than_pairs_can_be_read_of_are_ranked(tmp_path: Path) -> None:
    many = [f"p{i}: {{policy: {{recipe: keep_alive, keep_alive_s: {i + 1}}}}}" for i in range(11)]
    text = SMALL.replace("  bare:", "".join(f"  {line}\n" for line in many) + "  bare:")
    loaded = load(written(tmp_path, text), SHORT)
    ranked = compare.begun(loaded, [], None, [3], tmp_path)
    assert isinstance(ranked, Prepared)
    assert list(ranked.study.groups.values()).count("keep_alive") == 12
    assert [cell.name for cell in ranked.study.cells] == [""]
    few = compare.begun(loaded, [], "p1,bare", [3], tmp_path)
    assert isinstance(few, Pairs)
    same = [job.result for job in ranked.jobs if job.choice.name == "p1"]
    assert same == [job.result for job in few.jobs if job.choice.name == "p1"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--load", "fast"], "expected multipliers above 0"),
        (["--vary", "slo.tft=1s"], "unknown field 'tft'"),
        (["--vary", "workload.synth=none"], "workload.synth is 'none'"),
        (["--load", "1,1"], "load has '1' twice"),
        (["--vary", "policy=static,serverless"], "has other policies than the first: serverless,"),
    ],
)
def test_a_bad_grid_is_one_line_before_anything_runs(
    tmp_path: Path, words: list[str], says: str
) -> None:
    assert says in refused("compare", written(tmp_path), "--out", tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


def test_the_whole_library_runs_on_both_traces_by_one_command(tmp_path: Path) -> None:
    """At few requests; the example itself is the grid."""
    if DATA_VARIABLE not in os.environ:
        pytest.skip(f"{DATA_VARIABLE} is not set: one of the traces is not here")
    few = ["workload.limit=60", "grid.traces.gentd26.workload.limit=60"]
    loaded = load(Path(__file__).parents[3] / "examples" / "library.yaml", few)
    made = prepared(loaded, axes_of(loaded.scenario.grid), "serverlessllm", [1], tmp_path)
    assert made.study.axes == {
        "trace": ["osdi24", "gentd26"],
        "case": ["usual", "busy", "mixed fleet", "faults"],
    }
    cells = {cell.name: cell for cell in made.study.cells}
    assert {cell.requests for cell in cells.values()} == {60}
    assert (cells["gentd26, busy"].load, cells["gentd26, usual"].load) == (2.0, 1.0)
    sweep(made.jobs, in_turn, Interrupt(), lambda job: None)
    points = {point.cell: point for point in points_of(made.jobs)}
    assert set(points) == set(cells)
    assert points["osdi24, busy"].values != points["osdi24, usual"].values
