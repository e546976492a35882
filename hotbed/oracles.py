"""Policies that are told the future: who tells them, and how people are warned of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fleet.domain import Request
from fleet.policy import Policy, oracles
from policies import catalog


def told_the_future(policy: Policy, requests: Callable[[], Sequence[Request]]) -> None:
    """An oracle is told who will come; nobody else is."""
    found = oracles(policy)
    future = requests() if found else ()
    for oracle in found:
        oracle.reveal(future)


def warning(policies: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """A sentence for reports where any of the policies, by name, is an oracle."""
    named = [name for name, policy in policies if oracles(catalog.build(policy))]
    if not named:
        return []
    verb = "is" if len(named) == 1 else "are"
    return [f"{', '.join(named)} {verb} told the future: a bound, not a policy that could run."]
