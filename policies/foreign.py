"""Policies of other packages: `package.module:ClassName`, or a name of the entry point group.

It knows how to find an object by name and what a policy must look like, not what it does.
"""

import dataclasses
import importlib
import inspect
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Final

from fleet.policy import Policy

#: `[project.entry-points."hotbed.policies"]` of an installed package names policies.
GROUP: Final = "hotbed.policies"


class ForeignError(ValueError):
    """There is no such policy there; one line."""


def find(name: str) -> Any | None:
    """What the name stands for outside this package; None if it is no such name.

    Raises `ForeignError` where it looks like one but cannot be loaded.
    """
    if ":" in name:
        return _imported(name)
    for point in entry_points(group=GROUP):
        if point.name == name:
            return _imported(point.value)
    return None


def path(made: Any) -> str:
    """The name that finds a class again, on any machine that has its package."""
    return f"{made.__module__}:{made.__qualname__}"


def policy_class(found: Any, name: str, methods: tuple[str, ...]) -> type[Any]:
    """The class, if it can answer with these methods and be written down. Raises `ForeignError`."""
    if not inspect.isclass(found):
        raise ForeignError(f"{name!r} is no class")
    for method in methods:
        if not hasattr(found, method):
            raise ForeignError(f"{name!r} has no method {method!r}")
    if not dataclasses.is_dataclass(found) and inspect.signature(found).parameters:
        raise ForeignError(f"{name!r} has parameters but is no dataclass: they cannot be recorded")
    return found


def recipe(found: Any, name: str) -> Callable[..., Policy]:
    """The function that makes a whole policy. Raises `ForeignError`."""
    if not inspect.isfunction(found):
        raise ForeignError(f"{name!r} is no function that makes a policy")
    return found


def _imported(where: str) -> Any:
    module, _, attribute = where.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # whatever another package's import raises
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ForeignError(f"cannot load {where!r}: {told}") from None
    return found
