"""The world of a recorded run, from what its journal's header tells: profiles, faults, objectives.

It knows headers and scenarios, and starts nothing. What no header can tell (a live journal has no
scenario) a scenario file may say instead.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec
from pydantic import ValidationError

from fleet.domain import ModelSpec
from fleet.journal import Header
from fleet.scenario import Objective, Scenario
from fleet.scenario_text import explain
from hotbed.binding import fault_rates
from hotbed.nodes import machines_of
from hotbed.scenarios import load
from sim.world import World
from traces.summary import Slo


class WorldError(ValueError):
    """A journal whose world is not known; the message is one line."""


@dataclass(frozen=True, slots=True)
class Known:
    """A world to run a journal's requests in again, with the objectives they had.

    `scenario` is the one it was told by, `folder` where that one's files are, as far as is known.
    """

    world: World
    scenario: Scenario
    folder: Path
    until: float | None
    slo: Slo
    own_slo: dict[int, Slo]

    def seeded(self, seed: int) -> World:
        """The same with other chance."""
        return msgspec.structs.replace(self.world, seed=seed)


def world_of(header: Header, journal: Path, scenario: Path | None = None) -> Known:
    """From the header, or from a scenario file where one is named.

    Raises WorldError or ScenarioError.
    """
    if scenario is None:
        told, folder = _told(header, journal), Path()
    else:
        loaded = load(scenario)
        told, folder = loaded.scenario, loaded.folder
    profiles = machines_of(told.fleet).profiles
    for node in header.setup.nodes:
        if node.kind not in profiles:
            raise WorldError(
                f"{journal}: node {node.name!r} is a {node.kind!r}, which the scenario's fleet "
                f"does not have; its kinds are {', '.join(sorted(profiles))}"
            )
    world = World(
        profiles=profiles,
        faults=fault_rates(told),
        seed=header.setup.seed,
        preserved=("pool",) if told.warm_pool else (),
        drain_s=told.drain,
    )
    own = _own_slo(told, header.setup.models)
    return Known(world, told, folder, told.until, _slo(told.slo), own)


def _told(header: Header, journal: Path) -> Scenario:
    raw = header.world.get("scenario")
    if raw is None:
        raise WorldError(
            f"{journal} does not say in which world it ran (its header has no world.scenario); "
            "name a scenario with the same kinds of node: --world SCENARIO"
        )
    try:
        return Scenario.model_validate(raw)
    except ValidationError as error:
        raise explain(error, "", f"{journal} world.scenario") from None


def _own_slo(scenario: Scenario, models: tuple[ModelSpec, ...]) -> dict[int, Slo]:
    """Objectives of their own, by model id: of a model, or of those of a group name-00, name-01."""
    own = {}
    for name, objective in scenario.slo.models.items():
        for model in models:
            group, _, serial = model.name.rpartition("-")
            if model.name == name or (group == name and serial.isdigit()):
                own[int(model.id)] = _slo(objective)
    return own


def _slo(objective: Objective) -> Slo:
    return Slo(objective.ttft, objective.tpot)
