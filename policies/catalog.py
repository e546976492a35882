"""Every policy by name, and policies built from what a scenario says.

A policy is a frozen dataclass: its fields are its parameters, so a built policy can be written down
again with every parameter (`describe`) and built from that (`build`) for a replay.
"""

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, get_type_hints

import msgspec

from fleet.policy import Policy
from policies import (
    admission,
    keep_alive,
    migration,
    ordering,
    placement,
    recipes,
    retention,
    room,
    routing,
    scaling,
    upkeep,
)


class PolicyError(ValueError):
    """A policy is not spelled right; one line that says what is allowed."""


Named = dict[str, type[Any]]
CATALOG: Final[Mapping[str, Named]] = MappingProxyType(
    {
        "admission": {
            "admit_all": admission.AdmitAll,
            "bounded_hold": admission.BoundedHold,
            "gate": admission.Gate,
        },
        "ordering": {"fcfs": ordering.FirstComeFirstServed},
        "arbitration": {"longest_waiting": ordering.LongestWaiting},
        "routing": {
            "least_loaded": routing.LeastLoaded,
            "adapter_affinity": routing.AdapterAffinity,
        },
        "scaling": {
            "per_queue": scaling.PerQueue,
            "fixed": scaling.FixedReplicas,
            "bounded": scaling.Bounded,
        },
        "placement": {
            "earliest_ready": placement.EarliestReady,
            "random": placement.RandomPlacement,
        },
        "room": {
            "none": room.NoRoom,
            "evict_idle": room.EvictIdle,
            "migrate": migration.MigrateVictims,
            "preempt": room.PreemptVictims,
            "cheapest": room.CheapestRoom,
        },
        "retention": {
            "lru": retention.LeastRecentlyUsed,
            "gdsf": retention.GreedyDualSizeFrequency,
            "nothing": retention.KeepNothing,
        },
        "keep_alive": {
            "fixed": keep_alive.FixedKeepAlive,
            "load_time": keep_alive.LoadTimeKeepAlive,
            "forever": keep_alive.KeepForever,
        },
        "upkeep": {"prefetch_popular": upkeep.PrefetchPopular},
    }
)

#: Parameters that are themselves policies, and the question they answer.
NESTED: Final = {"rooms": "room", "admissions": "admission", "scaling": "scaling"}

RECIPES: Final[Mapping[str, Callable[..., Policy]]] = MappingProxyType(
    {
        "serverlessllm": recipes.serverlessllm,
        "serverlessllm_no_migration": recipes.serverlessllm_no_migration,
        "shepherd_star": recipes.shepherd_star,
        "serverless": recipes.serverless,
        "ray_serve": recipes.ray_serve,
        "ray_serve_cached": recipes.ray_serve_cached,
        "static": recipes.static,
        "keep_alive": recipes.keep_alive,
        "gdsf": recipes.gdsf,
        "adapter_affinity": recipes.adapter_affinity,
    }
)

QUESTIONS: Final = tuple(CATALOG)


def build(spec: str | Mapping[str, Any]) -> Policy:
    """A policy from its name, or from a recipe with parameters and answers of its own.

    `{"recipe": "keep_alive", "keep_alive_s": 30, "placement": {"name": "random"}}`
    Raises `PolicyError`.
    """
    if isinstance(spec, str):
        spec = {"recipe": spec}
    rest = dict(spec)
    online = rest.pop("online_estimates", None)
    answers = {q: rest.pop(q) for q in QUESTIONS if q in rest}
    name = rest.pop("recipe", "serverlessllm")
    recipe = RECIPES.get(name) if isinstance(name, str) else None
    if recipe is None:
        raise unknown("policy.recipe", name, RECIPES)
    known = inspect.signature(recipe).parameters
    hints = get_type_hints(recipe)
    params = {k: _checked(f"policy.{k}", k, v, known, hints) for k, v in rest.items()}
    changes: dict[str, Any] = {q: _answer(q, given) for q, given in answers.items()}
    if online is not None:
        changes["online_estimates"] = _converted("policy.online_estimates", online, bool)
    return dataclasses.replace(recipe(**params), **changes)


def describe(policy: Policy) -> dict[str, Any]:
    """The policy with every parameter spelled out; `build` makes the same one from it."""
    spec: dict[str, Any] = {q: _described(q, getattr(policy, q)) for q in QUESTIONS}
    spec["online_estimates"] = policy.online_estimates
    return spec


def resolve(spec: str | Mapping[str, Any]) -> dict[str, Any]:
    """What a scenario's spelling comes to, every parameter filled in."""
    return describe(build(spec))


def _answer(question: str, given: Any) -> Any:
    if question == "upkeep":
        several = given if isinstance(given, list | tuple) else [given]
        return tuple(make(question, one) for one in several)
    return make(question, given)


def make(question: str, given: Any, where: str = "") -> Any:
    """One answer, from a name or a mapping with `name` and parameters. Raises `PolicyError`."""
    where = where or f"policy.{question}"
    params = dict(given) if isinstance(given, Mapping) else {"name": given}
    name = params.pop("name", None)
    cls = CATALOG[question].get(name) if isinstance(name, str) else None
    if cls is None:
        raise unknown(where, name, CATALOG[question])
    known = inspect.signature(cls).parameters
    hints = get_type_hints(cls)
    return cls(**{k: _parameter(f"{where}.{k}", k, v, known, hints) for k, v in params.items()})


def _parameter(
    where: str, name: str, value: Any, known: Mapping[str, Any], hints: Mapping[str, Any]
) -> Any:
    if name in known and name in NESTED:
        question = NESTED[name]
        if isinstance(value, list | tuple):
            return tuple(make(question, one, where) for one in value)
        return make(question, value, where)
    return _checked(where, name, value, known, hints)


def _checked(
    where: str, name: str, value: Any, known: Mapping[str, Any], hints: Mapping[str, Any]
) -> Any:
    if name not in known:
        raise unknown(where, name, known, "parameter")
    return _converted(where, value, hints[name])


def _converted(where: str, value: Any, hint: Any) -> Any:
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        raise PolicyError(f"{where} is {value!r}: {error}") from None


def unknown(where: str, value: Any, allowed: Mapping[str, Any], what: str = "name") -> PolicyError:
    near = difflib.get_close_matches(str(value), allowed, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    names = ", ".join(allowed) or "none"
    return PolicyError(f"{where}: unknown {what} {value!r}; {hint}allowed: {names}")


def _described(question: str, answer: Any) -> Any:
    if isinstance(answer, tuple):
        return [_described(question, one) for one in answer]
    for name, cls in CATALOG[question].items():
        if type(answer) is cls:
            return {"name": name, **_fields(answer)}
    return {"name": f"{type(answer).__module__}.{type(answer).__qualname__}"}


def _fields(answer: Any) -> dict[str, Any]:
    fields = {}
    for field in dataclasses.fields(answer):
        if not field.init:
            continue
        value = getattr(answer, field.name)
        if field.name in NESTED:
            value = _described(NESTED[field.name], value)
        fields[field.name] = list(value) if isinstance(value, tuple) else value
    return fields
