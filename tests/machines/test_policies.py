"""Every recipe and every catalogued answer through the state machine: safe, live and repeatable.

A policy's class says which promises it does not make (`fleet.policy.Waiver`): a fixed number of
replicas leaves cards free, `KeepForever` leaves instances, least-loaded routing does not look for
an adapter. Purity of questions is tested beside the policies.
"""

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from fleet.policy import Policy, Waiver, waived
from policies.catalog import build
from policies.library import CATALOG, RECIPES
from tests.machines.controller_machine import ControllerMachine
from tests.machines.test_controller_machine import QUICK, SOAK

RECIPE = settings(QUICK, max_examples=60)
ANSWER = settings(QUICK, max_examples=25)
ANSWERS = [(question, name) for question, named in CATALOG.items() for name in named]


def machine_for(build_policy: Callable[[], Policy]) -> type[ControllerMachine]:
    """The machine, without the promises that the policy waives."""
    waives = waived(build_policy())

    class Machine(ControllerMachine):
        make = staticmethod(build_policy)
        uses_all_cards = Waiver.LEAVES_CARDS not in waives
        uses_all_slots = Waiver.LEAVES_SLOTS not in waives
        spreads_stages = True
        routes_blindly = Waiver.BLIND_TO_ADAPTERS in waives
        keeps_forever = Waiver.KEEPS_FOREVER in waives

    return Machine


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_is_safe_and_live(recipe: str) -> None:
    run_state_machine_as_test(machine_for(lambda: build(recipe)), settings=RECIPE)


@pytest.mark.parametrize(("question", "name"), ANSWERS)
def test_every_catalogued_answer_is_safe_and_live(question: str, name: str) -> None:
    """ServerlessLLM with one question answered by somebody else."""
    spec = {"recipe": "serverlessllm", question: name}
    run_state_machine_as_test(machine_for(lambda: build(spec)), settings=ANSWER)


@pytest.mark.soak
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_stays_safe_and_live_over_thousands_of_orders(recipe: str) -> None:
    run_state_machine_as_test(machine_for(lambda: build(recipe)), settings=SOAK)
