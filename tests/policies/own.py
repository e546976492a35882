"""Policies of a user's own package, for the tests that load policies by path."""

from dataclasses import dataclass, field

from fleet.domain import ModelId, Request
from fleet.policy import Policy, Refuse, Scaling
from fleet.view import View
from policies import recipes
from policies.scaling.queue import FixedReplicas


@dataclass(frozen=True)
class NoLongPrompts:
    """Refuses prompts longer than `most_tokens`."""

    most_tokens: int = 100

    def admit(self, request: Request, view: View) -> Refuse | None:
        return Refuse("too_long") if request.prompt_tokens > self.most_tokens else None


@dataclass(frozen=True)
class Doubled:
    """Twice what another scaling policy wants."""

    of: Scaling = field(default_factory=FixedReplicas)

    def wanted(self, model: ModelId, view: View) -> int:
        return 2 * self.of.wanted(model, view)


class Nothing:
    """No dataclass, no parameters."""

    def admit(self, request: Request, view: View) -> Refuse | None:
        return None


class Unrecorded:
    """Has a parameter that nothing can write down."""

    def __init__(self, most: int = 1) -> None:
        self.most = most

    def admit(self, request: Request, view: View) -> Refuse | None:
        return None


def two_each(keep: bool = True) -> Policy:
    """A recipe."""
    return recipes.static() if keep else recipes.serverless()
