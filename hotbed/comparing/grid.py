"""A grid of scenarios: axes with named alternatives, and a cell for every combination.

It knows scenarios and names; what is run in a cell, and what comes of it, is known elsewhere.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import msgspec
import yaml

from fleet.scenario import Grid, Scenario, ScenarioError, changed
from hotbed.comparing.load import scaled
from hotbed.scenarios import Loaded

LOAD = "load"


@dataclass(frozen=True, slots=True)
class Alternative:
    """A name for people, what it changes by path, and how many times the load it is."""

    label: str
    changes: Mapping[str, Any]
    load: float = 1.0


@dataclass(frozen=True, slots=True)
class Axis:
    name: str
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """A scenario of the grid; `coordinates` are the labels by axis, `load` is already in it."""

    coordinates: Mapping[str, str]
    loaded: Loaded
    load: float

    @property
    def name(self) -> str:
        return ", ".join(_shown(axis, label) for axis, label in self.coordinates.items())

    @property
    def folder(self) -> str:
        """A file name of its own, the same whatever other cells there are."""
        written = "_".join(f"{axis}={label}" for axis, label in self.coordinates.items())
        plain = re.sub(r"[^A-Za-z0-9=._+-]", "-", written)
        if plain == written and len(plain) <= 100:
            return plain
        return f"{plain[:90]}-{hashlib.sha256(written.encode()).hexdigest()[:8]}"


def _shown(axis: str, label: str) -> str:
    """Alternatives that are no name of themselves say what of."""
    named = axis in ("trace", "fleet", "case")
    return label if named else f"{axis.rpartition('.')[2]} {label}"


def axes_of(
    grid: Grid, loads: Sequence[float] = (), vary: Mapping[str, Sequence[Any]] | None = None
) -> list[Axis]:
    """Those of the scenario's file; `loads` and `vary` take the place of, or join, its own.

    Raises ScenarioError where an axis says one thing twice.
    """
    found = [
        Axis("trace", tuple(map(_trace, grid.traces, grid.traces.values()))),
        Axis("fleet", tuple(map(_fleet, grid.fleets, grid.fleets.values()))),
        Axis("case", tuple(map(_case, grid.cases, grid.cases.values()))),
        *(_varied(path, values) for path, values in {**grid.vary, **(vary or {})}.items()),
        Axis(LOAD, tuple(Alternative(f"{load:g}", {}, load) for load in loads or grid.load)),
    ]
    axes = [axis for axis in found if axis.alternatives]
    for axis in axes:
        labels = [each.label for each in axis.alternatives]
        twice = [label for label in labels if labels.count(label) > 1]
        if twice:
            raise ScenarioError(f"grid: {axis.name} has {twice[0]!r} twice")
    return axes


def _trace(label: str, written: Mapping[str, Any]) -> Alternative:
    """A workload, or several fields of which one is the workload."""
    if not written or "workload" in written:
        return Alternative(label, dict(written))
    return Alternative(label, {"workload": dict(written)})


def _fleet(label: str, groups: Sequence[Any]) -> Alternative:
    return Alternative(label, {"fleet": list(groups)} if groups else {})


def _case(label: str, written: Mapping[str, Any]) -> Alternative:
    changes = {path: value for path, value in written.items() if path != LOAD}
    load = written.get(LOAD, 1.0)
    if not isinstance(load, int | float) or isinstance(load, bool) or not load > 0:
        raise ScenarioError(f"grid.cases.{label}.load is {load!r}; it must be more than 0")
    return Alternative(label, changes, float(load))


def _varied(path: str, values: Sequence[Any] | Mapping[str, Any]) -> Axis:
    named = values if isinstance(values, Mapping) else {_label(value): value for value in values}
    if len(named) < len(values):
        raise ScenarioError(f"grid: {path} has a value twice")
    return Axis(path, tuple(Alternative(str(own), {path: named[own]}) for own in named))


def _label(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return msgspec.json.encode(value).decode()
    return f"{value:g}" if isinstance(value, float) else str(value)


def loads_of(text: str) -> list[float]:
    """ "0.5,1,2". Raises ScenarioError."""
    try:
        loads = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        loads = []
    if not loads or not all(0 < load < float("inf") for load in loads):
        raise ScenarioError(f"--load {text!r}: expected multipliers above 0, such as 0.5,1,2")
    return loads


def vary_of(texts: Iterable[str]) -> dict[str, list[Any]]:
    """ "limits.max_age=10s,60s": the values are YAML. Raises ScenarioError."""
    found = {}
    for text in texts:
        path, equals, values = text.partition("=")
        if not (equals and path.strip() and values.strip()):
            raise ScenarioError(f"--vary {text}: expected PATH=V1,V2, as limits.max_age=10s,60s")
        try:
            found[path.strip()] = yaml.safe_load(f"[{values}]")
        except yaml.YAMLError:
            raise ScenarioError(f"--vary {text}: the values are no valid YAML") from None
    return found


def cells_of(loaded: Loaded, axes: Sequence[Axis]) -> list[Cell]:
    """Every combination, the last axis fastest. Raises ScenarioError, naming the cell."""
    return [_cell(loaded, axes, chosen) for chosen in product(*(a.alternatives for a in axes))]


def _cell(loaded: Loaded, axes: Sequence[Axis], chosen: Sequence[Alternative]) -> Cell:
    coordinates = {axis.name: each.label for axis, each in zip(axes, chosen, strict=True)}
    changes: dict[str, Any] = {"grid": {}}
    load = 1.0
    for each in chosen:
        changes |= each.changes
        load *= each.load
    name = ", ".join(f"{axis} {label}" for axis, label in coordinates.items())
    scenario = changed(loaded.scenario, changes, f"grid cell ({name})")
    return Cell(coordinates, Loaded(_at(scenario, load), loaded.folder), load)


def _at(scenario: Scenario, load: float) -> Scenario:
    return scenario.model_copy(update={"workload": scaled(scenario.workload, load)})


def at_load(loaded: Loaded, load: float) -> Cell:
    """The scenario itself at that load, where nothing else varies."""
    return cells_of(loaded, [Axis(LOAD, (Alternative(f"{load:g}", {}, load),))])[0]
