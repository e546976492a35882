"""The requests that a scenario names: its trace file or recipe, cut and scaled.

It knows files and folders. What the requests ask of a fleet is bound elsewhere.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from fleet.scenario import Scenario, ScenarioError, Workload
from fleet.scenario_text import unknown_name
from hotbed.tracing.trace_recipes import lengths_of, sample_of
from traces.formats.column_map import ColumnMap
from traces.formats.detect import (
    DEFAULT_MODEL,
    Format,
    read_clients,
    read_function_minutes,
    read_workload,
)
from traces.sessions import begin, fit, shrink
from traces.synthesis.clients import ClientData
from traces.synthesis.recipe import RECIPES, Family, Recipe
from traces.synthesis.synth import synthesise
from traces.workload import Workload as Requests

DATA_VARIABLE = "HOTBED_DATA"


def requests_of(scenario: Scenario, folder: Path, seed: int) -> Requests:
    """Every request of a run with this seed. `folder` is the scenario's own.

    Raises ScenarioError or TraceError, one line.
    """
    asked = scenario.workload
    requests = _recorded(asked, folder, seed) if asked.trace else _drawn(scenario, folder, seed)
    if asked.sessions_per_s is not None:
        requests = begin(requests, asked.sessions_per_s, seed)
    if asked.start or asked.duration is not None:
        requests = requests.between(asked.start, asked.duration or float("inf"))
    if asked.jitter:
        requests = requests.jitter(seed)
    if asked.compress != 1.0:
        requests = requests.compress(asked.compress)
    if asked.lengths is not None:
        requests = requests.with_lengths(sample_of(asked.lengths, seed), seed)
    requests = shrink(requests, asked.shrink)
    if asked.context is not None:
        requests = fit(requests, asked.context)
    if asked.limit is not None:
        requests = requests.limit(asked.limit)
    if not len(requests):
        raise ScenarioError("workload: no request is left; expected one or more")
    return requests


def input_files(scenario: Scenario, folder: Path) -> dict[str, str]:
    """SHA-256 by field of the files that the workload is made from."""
    asked = scenario.workload
    fields = {
        "workload.trace": asked.trace,
        "workload.functions": asked.functions,
        "workload.clients": asked.clients,
        "workload.client_lengths": asked.client_lengths,
    }
    return {
        field: hashlib.sha256(found(name, folder, field).read_bytes()).hexdigest()
        for field, name in fields.items()
        if name is not None
    }


def found(name: str, folder: Path, field: str) -> Path:
    """A data file: as named, else below the scenario's folder, else below $HOTBED_DATA."""
    data = os.environ.get(DATA_VARIABLE)
    folders = [folder, *([Path(data)] if data else [])]
    for path in (parent / name for parent in folders):
        if path.is_file():
            return path
    places = " and ".join(str(parent) for parent in folders)
    hint = "" if data else f"; {DATA_VARIABLE} is not set"
    raise ScenarioError(f"{field} is {name!r}; no such file below {places}{hint}")


def _recorded(asked: Workload, folder: Path, seed: int) -> Requests:
    assert asked.trace is not None, "validated"
    return read_workload(
        found(asked.trace, folder, "workload.trace"),
        file_format=Format.named(asked.format) if asked.format else None,
        columns=ColumnMap.parse(asked.columns) if asked.columns else None,
        model=asked.model or DEFAULT_MODEL,
        seed=seed,
    )


def _drawn(scenario: Scenario, folder: Path, seed: int) -> Requests:
    asked = scenario.workload
    minutes = None
    if asked.functions is not None:
        minutes = read_function_minutes(found(asked.functions, folder, "workload.functions"))
    families = _families(scenario)
    clients = _clients(asked, folder)
    requests = synthesise(recipe_of(asked, families, seed), minutes, clients)
    if "families" in asked.params:
        return requests
    return _renamed(requests, families, scenario)


def _clients(asked: Workload, folder: Path) -> ClientData | None:
    if asked.clients is None:
        return None
    rates = found(asked.clients, folder, "workload.clients")
    if asked.client_lengths is None:
        return read_clients(rates)
    return read_clients(rates, found(asked.client_lengths, folder, "workload.client_lengths"))


def recipe_of(asked: Workload, families: tuple[Family, ...], seed: int) -> Recipe:
    """The recipe with its parameters; the fleet's own models where none are given.

    Raises ScenarioError for a parameter that the recipe does not have or allow.
    """
    name = asked.synth
    if name not in RECIPES:
        raise ScenarioError(f"workload.synth is {name!r}; {unknown_name(str(name), RECIPES)}")
    kind = RECIPES[name]
    params: dict[str, Any] = {"families": families, "seed": seed, **asked.params}
    known = set(kind.__struct_fields__) - {"seed"}  # the run's own
    for param in asked.params:
        if param not in known:
            allowed = unknown_name(param, known)
            raise ScenarioError(f"workload.params: unknown field {param!r}; {allowed}")
    lengths = params.pop("lengths", None)
    if lengths is not None:
        params["lengths"] = _lengths(lengths)
    try:
        return msgspec.convert(_plain(params), kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        field = where.strip("`").removeprefix("$")
        raise ScenarioError(f"workload.params{field}: {what}") from None


def _lengths(written: Any) -> Any:
    """A name such as "gsm8k+sharegpt", or the law itself."""
    return _plain(lengths_of(written)) if isinstance(written, str) else written


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)


def _families(scenario: Scenario) -> tuple[Family, ...]:
    if not isinstance(scenario.models, list):
        raise ScenarioError(
            "models.from_trace needs workload.trace; list the models of a workload that is drawn"
        )
    return tuple(Family(group.name, group.count or 1) for group in scenario.models)


def _renamed(requests: Requests, families: tuple[Family, ...], scenario: Scenario) -> Requests:
    """Families number every model; a model of its own has its bare name in the scenario."""
    assert isinstance(scenario.models, list), "families were made of it"
    names = {
        drawn: named
        for family, group in zip(families, scenario.models, strict=True)
        for drawn, named in zip(family.model_names, group.names, strict=True)
        if drawn != named
    }
    if not names:
        return requests
    frame = requests.frame.assign(
        model_id=requests.frame["model_id"].map(lambda model: names.get(model, model)),
        adapter_ids=requests.frame["adapter_ids"].map(lambda ids: _adapters_of(names, ids)),
    )
    return Requests(frame, requests.meta)


def _adapters_of(names: Mapping[str, str], ids: tuple[str, ...]) -> tuple[str, ...]:
    """base-00-lora-0003 of a base that is called otherwise."""
    split = (name.rpartition("-lora-") for name in ids)
    return tuple(f"{names.get(base, base)}{mark}{serial}" for base, mark, serial in split)
