"""Policies built from what a scenario says, by the names of the library.

A policy is a frozen dataclass: its fields are its parameters, so a built policy can be written down
again with every parameter (`describe`) and built from that (`build`) for a replay.
"""

import dataclasses
import difflib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from fleet.policy import Policy
from policies import foreign
from policies.library import ASKED, CATALOG, PARTS, RECIPES, SHAPES


class PolicyError(ValueError):
    """A policy is not spelled right; one line that says what is allowed."""


T = TypeVar("T")
QUESTIONS: Final = tuple(CATALOG)
#: Answers and what they are made of, by kind.
KINDS: Final = {**CATALOG, **PARTS}
PROTOCOLS: Final = {**ASKED, **SHAPES}
NAMES: Final = {cls: name for named in KINDS.values() for name, cls in named.items()}


def build(spec: str | Mapping[str, Any]) -> Policy:
    """A policy from its name, or from a recipe with parameters and answers of its own.

    `{"recipe": "keep_alive", "keep_alive_s": 30, "placement": {"name": "random"}}`. A name may be
    that of another package's recipe or class, `package.module:Name`. Raises `PolicyError`.
    """
    rest = _mapping("policy", spec, "recipe")
    online = rest.pop("online_estimates", None)
    answers = {q: rest.pop(q) for q in QUESTIONS if q in rest}
    recipe = _recipe(rest.pop("recipe", "serverlessllm"))
    policy: Policy = _called("policy", recipe, rest)
    changes: dict[str, Any] = {q: _answer(q, given) for q, given in answers.items()}
    if online is not None:
        changes["online_estimates"] = _converted("policy.online_estimates", online, bool)
    return dataclasses.replace(policy, **changes)


def describe(policy: Policy) -> dict[str, Any]:
    """The policy with every parameter spelled out; `build` makes the same one from it."""
    spec: dict[str, Any] = {q: described(getattr(policy, q)) for q in QUESTIONS}
    spec["online_estimates"] = policy.online_estimates
    return spec


def resolve(spec: str | Mapping[str, Any]) -> dict[str, Any]:
    """What a scenario's spelling comes to, every parameter filled in."""
    return describe(build(spec))


def make(question: str, given: Any, where: str = "") -> Any:
    """One answer or part, from a name or a mapping with `name` and parameters.

    Raises `PolicyError`.
    """
    where = where or f"policy.{question}"
    params = _mapping(where, given, "name")
    name = params.pop("name", None)
    cls = KINDS[question].get(name) if isinstance(name, str) else None
    if cls is None:
        cls = _foreign(where, name, KINDS[question])
        cls = _told(where, lambda: foreign.policy_class(cls, name, PROTOCOLS[question][1]))
    return _called(where, cls, params)


def _recipe(name: Any) -> Callable[..., Policy]:
    known = RECIPES.get(name) if isinstance(name, str) else None
    if known is not None:
        return known
    found = _foreign("policy.recipe", name, RECIPES)
    return _told("policy.recipe", lambda: foreign.recipe(found, name))


def _foreign(where: str, name: Any, allowed: Mapping[str, Any]) -> Any:
    found = _told(where, lambda: foreign.find(name)) if isinstance(name, str) else None
    if found is None:
        raise unknown(where, name, allowed)
    return found


def _told(where: str, ask: Callable[[], T]) -> T:
    try:
        return ask()
    except foreign.ForeignError as error:
        raise PolicyError(f"{where}: {error}") from None


def _answer(question: str, given: Any) -> Any:
    if question != "upkeep":
        return make(question, given)
    several = given if isinstance(given, list | tuple) else [given]
    return _each(question, several, "policy.upkeep")


def _each(question: str, several: Sequence[Any], where: str) -> tuple[Any, ...]:
    return tuple(make(question, one, f"{where}[{i}]") for i, one in enumerate(several))


def _mapping(where: str, given: Any, key: str) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, str):
        return {key: given}
    raise PolicyError(f"{where} is {given!r}: it must be a name, or a mapping with {key!r}")


def _called(where: str, made_by: Callable[..., Any], params: Mapping[str, Any]) -> Any:
    """Call it with the parameters that a scenario gives, each checked against its type."""
    known = inspect.signature(made_by).parameters
    hints = get_type_hints(made_by, include_extras=True)
    for name in params:
        if name not in known:
            raise unknown(where, name, known, "parameter")
    for name, parameter in known.items():
        if name not in params and parameter.default is parameter.empty:
            raise PolicyError(f"{where}.{name} is missing: it has no default")
    return made_by(**{k: _parameter(f"{where}.{k}", v, hints[k]) for k, v in params.items()})


def _parameter(where: str, value: Any, hint: Any) -> Any:
    """A parameter that is itself a policy, or several of them, is made; any other is converted."""
    for question, (protocol, _) in PROTOCOLS.items():
        if hint is protocol:
            return make(question, value, where)
        if get_origin(hint) is tuple and get_args(hint)[0] is protocol:
            if not isinstance(value, list | tuple):
                raise PolicyError(f"{where} is {value!r}: it must be a list of {question} policies")
            return _each(question, value, where)
    return _converted(where, value, hint)


def _converted(where: str, value: Any, hint: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise PolicyError(f"{where} is {value!r}: it must be finite")
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        raise PolicyError(f"{where} is {value!r}: {error}") from None


def unknown(where: str, value: Any, allowed: Mapping[str, Any], what: str = "name") -> PolicyError:
    near = difflib.get_close_matches(str(value), allowed, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    names = ", ".join(allowed) or "none"
    return PolicyError(f"{where}: unknown {what} {value!r}; {hint}allowed: {names}")


def described(answer: Any) -> Any:
    """An answer, a part or a parameter as `make` takes it, every parameter spelled out."""
    if isinstance(answer, tuple | list):
        return [described(one) for one in answer]
    if not _is_policy(answer):
        return answer
    return {"name": NAMES.get(type(answer)) or foreign.path(type(answer)), **_fields(answer)}


def _is_policy(value: Any) -> bool:
    if type(value) in NAMES:
        return True
    return any(all(hasattr(value, m) for m in methods) for _, methods in PROTOCOLS.values())


def _fields(answer: Any) -> dict[str, Any]:
    if not dataclasses.is_dataclass(answer):
        return {}
    return {
        f.name: described(getattr(answer, f.name)) for f in dataclasses.fields(answer) if f.init
    }
