"""What was believed of each load, beside what it took: part of a policy that changes nothing."""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from fleet.commands import AttachAdapter, StartInstance
from fleet.domain import ModelId, Tier
from fleet.estimates import Estimation
from fleet.events import AdapterAttached, InstanceReady
from fleet.needs import Need
from fleet.policy import FULL, Placed, Placement, Policy, Room
from fleet.view import View
from policies import recipes
from tests.policies.duels import Played, Setting, play


@dataclass
class Witness:
    """A placement's answers as they are, with the seconds that each start was believed to take.

    Of adapters the belief is asked for when one is attached, before anybody learns from that.
    """

    placement: Placement
    observes: ClassVar = (InstanceReady, AdapterAttached)
    pairs: list[tuple[float, float]] = field(default_factory=list)  # believed, measured
    attaches: list[tuple[float, float]] = field(default_factory=list)
    _believed: dict[tuple[ModelId, float], float] = field(default_factory=dict)

    def place(self, need: Need, view: View, room: Room) -> Placed:
        placed = self.placement.place(need, view, room)
        if (
            placed is not None
            and placed is not FULL
            and isinstance(placed.steps[-1].command, StartInstance)
        ):
            self._believed[need.model.id, view.now] = placed.ready_at
        return placed

    def observe(self, fact: Any, view: View) -> None:
        if isinstance(fact, InstanceReady):
            instance = view.instance(fact.instance)
            believed_at = self._believed[instance.model.id, instance.started_at]
            began_at = instance.started_at
            self.pairs.append((believed_at - began_at, fact.at - began_at))
            return
        attach = view.ordered(fact.command)
        assert isinstance(attach, AttachAdapter)
        node = view.node(view.instance(fact.instance).node)
        tier = attach.source.tier if attach.source.node == node.id else Tier.REMOTE
        believed_s = view.estimates.attach_s(view.adapter(fact.adapter), node, tier)
        self.attaches.append((believed_s, fact.load_s))


def believing(estimation: Estimation, **answers: Any) -> Policy:
    """ServerlessLLM that never moves what runs, with this answer about load times."""
    return replace(recipes.serverlessllm_no_migration(), estimation=estimation, **answers)


def watched(setting: Setting, policy: Policy) -> tuple[Played, Witness]:
    """The run, and the witness of it: each run has a copy of the policy."""
    played = play(setting, replace(policy, placement=Witness(policy.placement)))
    witness = played.controller.policy.placement
    assert isinstance(witness, Witness)
    return played, witness


def start_error_s(setting: Setting, policy: Policy) -> float:
    """Mean absolute error of what starts were believed to take."""
    return mean_error_s(watched(setting, policy)[1].pairs)


def attach_error_s(setting: Setting, policy: Policy) -> float:
    return mean_error_s(watched(setting, policy)[1].attaches)


def mean_error_s(pairs: list[tuple[float, float]]) -> float:
    assert pairs, "nothing was loaded"
    return sum(abs(believed - took) for believed, took in pairs) / len(pairs)
