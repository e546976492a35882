"""Scenario files and the ways to run them that they and the command line name."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.scenario import Residency, Scenario, ScenarioError, parse
from policies import catalog, library

ALL = "all"  # a name for all whole systems there are
EVERY = "every"  # a name for every single answer, in the place of the scenario's own


#: "routing.chwbl" and so on: what may answer one question, by the catalogue's names.
ANSWERS = tuple(f"{question}.{name}" for question, own in library.CATALOG.items() for name in own)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A scenario and the folder that its files are named from."""

    scenario: Scenario
    folder: Path


@dataclass(frozen=True, slots=True)
class Choice:
    """A way to run a scenario: a name for people, the policy, and a residency of its own if any."""

    name: str
    policy: Mapping[str, Any]
    residency: Residency | None = None

    @property
    def resolved(self) -> dict[str, Any]:
        """Every parameter of the policy filled in."""
        return catalog.resolve(self.policy)


def load(path: Path, sets: Sequence[str] = (), trace: Path | None = None) -> Loaded:
    """Read a scenario file. `sets` are "path=value" texts; `trace` replaces its workload's source.

    Raises ScenarioError.
    """
    changes = dict(_split(text) for text in sets)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ScenarioError(f"scenario {path} cannot be read: {reason}") from None
    if trace is not None:
        own = {"trace": os.path.abspath(trace), "synth": "null", "params": "{}"}
        changes |= {f"workload.{name}": value for name, value in own.items()}
        changes["workload.functions"] = "null"
    return Loaded(parse(text, str(path), changes), path.parent)


def _split(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not (equals and path):
        raise ScenarioError(f"--set {text}: expected PATH=VALUE, such as slo.ttft=2s")
    return path.strip(), value


def choice(loaded: Loaded, name: str | None) -> Choice:
    """The scenario's own policy, one of its variants, or a recipe of the catalogue, by name.

    "routing.chwbl" is the scenario's own policy with one question answered by that. Raises
    PolicyError for an unknown name and for a malformed policy.
    """
    scenario = loaded.scenario
    if name is None:
        chosen = Choice(_called(scenario.policy), scenario.policy)
    elif name in scenario.variants:
        variant = scenario.variants[name]
        chosen = Choice(name, variant.policy, variant.residency)
    elif name in library.RECIPES or ":" in name:  # package.module:recipe is another package's
        chosen = Choice(name, {"recipe": name})
    elif name in ANSWERS:
        question, _, answer = name.partition(".")
        given: Any = [{"name": answer}] if question == "upkeep" else {"name": answer}
        chosen = Choice(name, {**scenario.policy, question: given})
    else:
        known = dict.fromkeys((*scenario.variants, *library.RECIPES, *ANSWERS))
        raise catalog.unknown("policy", name, known)
    catalog.build(chosen.policy)
    return chosen


def choices(loaded: Loaded, names: str | None) -> list[Choice]:
    """Those of a list "a,b,c"; the scenario's own policy and its variants where none is given.

    "all" in the list stands for every variant and every recipe of the catalogue, "every" for each
    single answer of it that the scenario's own policy does not give already, in its place.
    """
    if names is None:
        own = choice(loaded, None)
        variants = [choice(loaded, name) for name in loaded.scenario.variants]
        return [own, *(variant for variant in variants if variant.name != own.name)]
    listed = [name.strip() for name in names.split(",") if name.strip()]
    if not listed:
        raise ScenarioError(f"--policies {names!r}: expected names such as serverlessllm,static")
    several = {ALL: (*loaded.scenario.variants, *library.RECIPES)}
    if EVERY in listed:
        several[EVERY] = _other_answers(loaded)
    named = (each for name in listed for each in several.get(name, (name,)))
    return [choice(loaded, name) for name in dict.fromkeys(named)]


def _other_answers(loaded: Loaded) -> tuple[str, ...]:
    """Those that the scenario's own policy does not give already."""
    own = choice(loaded, None).resolved
    return tuple(name for name in ANSWERS if choice(loaded, name).resolved != own)


def _called(policy: Mapping[str, Any]) -> str:
    """A recipe's name; "scenario" where the file spells out more than that."""
    return str(policy["recipe"]) if set(policy) == {"recipe"} else "scenario"
