"""Axes and cells of a grid: from a file, from options, and what is wrong with them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.scenario import Grid, ScenarioError
from hotbed.comparing.grid import Axis, Cell, at_load, axes_of, cells_of, loads_of, vary_of
from hotbed.comparing.load import drawn_rate_rps
from hotbed.scenarios import Loaded
from tests.hotbed.small import small

GRID = """
load: [1, 2]
traces:
  as it is: {}
  dense: {synth: poisson, params: {rate_rps: 3, span_s: 10}}
  other: {workload: {synth: poisson}, limits.max_age: 7s}
fleets:
  two kinds: [{profile: osdi24-a40}, {profile: h100, count: 2}]
cases:
  usual: {}
  busy: {load: 1.5, faults: {load_failure_probability: 0.1}}
vary:
  slo.ttft: [1s, 2s]
"""


def loaded(grid: str = "{}") -> Loaded:
    return Loaded(small(grid=grid), Path())


def cells(grid: str) -> list[Cell]:
    own = loaded(grid)
    return cells_of(own, axes_of(own.scenario.grid))


def test_every_combination_is_a_cell_with_the_last_axis_fastest() -> None:
    own = cells("{load: [1, 2], cases: {usual: {}, busy: {load: 1.5}}}")
    assert [cell.name for cell in own] == [
        "usual, load 1",
        "usual, load 2",
        "busy, load 1",
        "busy, load 2",
    ]
    assert [cell.load for cell in own] == [1.0, 2.0, 1.5, 3.0]
    rates = [drawn_rate_rps(cell.loaded.scenario.workload) for cell in own]
    assert rates == [1.0, 2.0, 1.5, 3.0]


def test_a_cell_is_the_scenario_with_its_fields_changed() -> None:
    own = {cell.name: cell.loaded.scenario for cell in cells(GRID)}
    assert len(own) == 3 * 1 * 2 * 2 * 2
    one = own["other, two kinds, busy, ttft 2s, load 2"]
    assert one.limits.max_age == 7.0
    assert [group.count for group in one.fleet] == [1, 2]
    assert one.slo.ttft == 2.0
    assert one.faults == {"load_failure_probability": 0.1}
    assert drawn_rate_rps(one.workload) == 3.0
    usual = own["dense, two kinds, usual, ttft 1s, load 1"]
    assert (usual.limits.max_age, usual.faults) == (120.0, {})
    assert drawn_rate_rps(usual.workload) == 3.0


def test_no_axes_are_one_cell_which_is_the_scenario() -> None:
    (cell,) = cells("{}")
    assert (cell.name, cell.folder, cell.load) == ("", "", 1.0)
    assert cell.loaded.scenario == small()


def test_options_join_the_files_axes_and_take_the_place_of_its_loads() -> None:
    grid = loaded("{load: [1, 2], vary: {slo.ttft: [1s]}}").scenario.grid
    axes = axes_of(grid, [4.0], vary_of(["limits.max_age=10s,60s", "slo.ttft=3s"]))
    labels = {axis.name: [each.label for each in axis.alternatives] for axis in axes}
    assert labels == {"slo.ttft": ["3s"], "limits.max_age": ["10s", "60s"], "load": ["4"]}


def test_values_may_be_named_or_be_mappings() -> None:
    grid = "{vary: {faults: {none: {}, some: {load_failure_probability: 0.1}}}}"
    assert [cell.name for cell in cells(grid)] == ["faults none", "faults some"]
    axes = axes_of(Grid(), (), vary_of(["faults={}, {load_failure_probability: 0.5}"]))
    labels = [each.label for each in axes[0].alternatives]
    assert labels == ["{}", '{"load_failure_probability":0.5}']


def test_folders_are_file_names_that_differ() -> None:
    folders = [cell.folder for cell in cells(GRID)]
    assert len(set(folders)) == len(folders)
    assert all("/" not in folder and " " not in folder for folder in folders)
    assert at_load(loaded(), 1.5).folder == "load=1.5"


@pytest.mark.parametrize(
    ("grid", "says"),
    [
        ("{load: [1, 1.0]}", "load has '1' twice"),
        ("{vary: {slo.ttft: [1s, 1s]}}", "slo.ttft has a value twice"),
        ("{cases: {busy: {load: 0}}}", "grid.cases.busy.load is 0; it must be more than 0"),
        ("{vary: {slo.ttft: [soon]}}", "grid cell (slo.ttft soon) as set: slo.ttft is 'soon'"),
        ("{cases: {odd: {slo.tft: 1}}}", "unknown field 'tft'; did you mean 'ttft'"),
        ('{vary: {"fleet[4].count": [1]}}', "there is no fleet[4] to set"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_in_one_line(grid: str, says: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        cells(grid)
    assert says in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["", "0", "a", "1,-2", "inf"])
def test_loads_are_multipliers_above_nothing(text: str) -> None:
    with pytest.raises(ScenarioError, match="expected multipliers above 0"):
        loads_of(text)


@pytest.mark.parametrize("text", ["slo.ttft", "=1", "slo.ttft=", "a={"])
def test_a_field_is_varied_over_values(text: str) -> None:
    with pytest.raises(ScenarioError, match="--vary"):
        vary_of([text])


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=120), max_size=3))
def test_any_labels_give_a_folder_name(coordinates: dict[str, str]) -> None:
    folder = Cell(coordinates, loaded(), 1.0).folder
    assert len(folder) <= 100
    assert set(folder) <= set("=._+-") | set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    )


def test_an_axis_without_alternatives_leaves_no_cell() -> None:
    assert cells_of(loaded(), [Axis("load", ())]) == []
