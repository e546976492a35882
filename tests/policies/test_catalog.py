"""Every policy by name: built, written down, built again; and what is said of a bad spelling."""

import math
from collections.abc import Callable
from inspect import signature
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies import catalog, recipes
from policies.catalog import PolicyError, build, describe, make, resolve
from policies.library import ASKED, CATALOG, RECIPES
from policies.placement.anywhere import RandomPlacement
from policies.room.stopping import CheapestRoom, EvictIdle, PreemptVictims
from policies.routing.filter_score import FilterScore, LowQueue, WeightedRandom
from policies.routing.scorers import LoadAwareScorer, PrefixScorer
from tests.policies import own

EVERY = [(question, name) for question, named in CATALOG.items() for name in named]
MODERATE = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def parameters(made_by: Callable[..., Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Parameters as a scenario could give them: any of them left out."""
    hints = get_type_hints(made_by, include_extras=True)
    names = {name: value(hints[name]) for name in signature(made_by).parameters}
    return st.fixed_dictionaries({}, optional=names)


def value(hint: Any) -> st.SearchStrategy[Any]:
    """What could stand for a parameter of this type in JSON."""
    for question, (protocol, _) in catalog.PROTOCOLS.items():
        if hint is protocol:
            return st.just(question).flatmap(answers)
    if get_origin(hint) is tuple:
        return st.lists(value(get_args(hint)[0]), max_size=2)
    args = get_args(hint)
    if args and isinstance(args[0], str | int):
        return st.sampled_from(args)
    if args:
        return number(args[0], [m for m in args[1:] if isinstance(m, msgspec.Meta)])
    if hint is bool:
        return st.booleans()
    raise AssertionError(f"no strategy for {hint}")


def number(kind: Any, bounds: list[msgspec.Meta]) -> st.SearchStrategy[Any]:
    """From 1 to 9, or up to 1; within the bounds where that does not fit."""
    low = max((m.ge or 0.0 for m in bounds), default=0.0)
    above = max((m.gt or 0.0 for m in bounds), default=0.0)
    if kind is int:
        least = int(max(1, low, above + 1))
        return st.integers(least, max(9, least))
    below = min((m.lt - 0.001 for m in bounds if m.lt is not None), default=math.inf)
    return st.floats(max(0.001, low, above + 0.001), min(below, max(1.0, low, above + 1.0)))


def answers(question: str) -> st.SearchStrategy[Any]:
    named = catalog.KINDS[question]
    return st.sampled_from(sorted(named)).flatmap(
        lambda name: parameters(named[name]).map(lambda p: {"name": name, **p})
    )


specs = st.sampled_from(sorted(RECIPES)).flatmap(
    lambda name: parameters(RECIPES[name]).map(lambda p: {"recipe": name, **p})
)
changes = st.fixed_dictionaries(
    {},
    optional={
        **{q: answers(q) for q in CATALOG if q != "upkeep"},
        "upkeep": st.lists(answers("upkeep"), max_size=2),
        "online_estimates": st.booleans(),
    },
)


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_every_recipe_is_written_down_and_built_again(recipe: str) -> None:
    spec = describe(build(recipe))
    assert describe(build(spec)) == spec
    assert build(spec) == build(recipe)


@pytest.mark.parametrize(("question", "name"), EVERY)
def test_every_policy_builds_from_its_name_and_answers_its_question(
    question: str, name: str
) -> None:
    made = make(question, name)
    assert type(made) is CATALOG[question][name]
    assert all(hasattr(made, method) for method in ASKED[question][1])
    assert made.__doc__ != type(made).__name__


@MODERATE
@given(specs, changes)
def test_any_spelling_comes_to_the_same_policy_when_it_is_written_down(
    spec: dict[str, Any], change: dict[str, Any]
) -> None:
    policy = build({**spec, **change})
    told = describe(policy)
    again = msgspec.json.decode(msgspec.json.encode(told))
    assert build(again) == policy
    assert describe(build(again)) == told


def test_answers_replace_those_of_the_recipe() -> None:
    policy = build(
        {
            "recipe": "shepherd_star",
            "placement": "random",
            "room": {"name": "cheapest", "rooms": ["evict_idle", {"name": "preempt", "ratio": 2}]},
            "online_estimates": False,
        }
    )
    assert policy.placement == RandomPlacement()
    assert policy.room == CheapestRoom((EvictIdle(), PreemptVictims(2.0)))
    assert policy.keep_alive == recipes.shepherd_star().keep_alive
    assert not policy.online_estimates


def test_a_routing_is_put_together_from_parts() -> None:
    policy = build(
        {
            "routing": {
                "name": "filter_score",
                "filters": [{"name": "low_queue", "most": 5}],
                "scorers": [{"name": "prefix", "weight": 1}, "load_aware"],
                "picker": "weighted_random",
            }
        }
    )
    assert policy.routing == FilterScore(
        (LowQueue(5),), (PrefixScorer(1.0), LoadAwareScorer()), WeightedRandom()
    )
    assert build(describe(policy)) == policy


def test_upkeep_is_one_policy_or_a_list() -> None:
    one, every = {"name": "prefetch_popular", "every_s": 5}, {"name": "prefetch_popular"}
    assert [u.every_s for u in build({"upkeep": one}).upkeep] == [5.0]
    assert [u.every_s for u in build({"upkeep": [one, every]}).upkeep] == [5.0, 30.0]
    assert build({"upkeep": []}).upkeep == ()


BAD = [
    ("serverlesslm", ["policy.recipe", "'serverlesslm'", "did you mean 'serverlessllm'?"]),
    ({"recipe": 3}, ["policy.recipe", "3", "allowed:", "static"]),
    (7, ["policy is 7", "'recipe'"]),
    ({"placment": "random"}, ["policy", "'placment'", "allowed:"]),
    ({"placement": "randon"}, ["policy.placement", "'randon'", "did you mean 'random'?"]),
    ({"placement": None}, ["policy.placement", "None", "'name'"]),
    ({"placement": {"shortlist": 2}}, ["policy.placement", "None", "earliest_ready"]),
    (
        {"placement": {"name": "earliest_ready", "shortlst": 2}},
        ["policy.placement", "'shortlst'", "did you mean 'shortlist'?"],
    ),
    (
        {"placement": {"name": "earliest_ready", "shortlist": "two"}},
        ["policy.placement.shortlist", "'two'", "int"],
    ),
    (
        {"placement": {"name": "earliest_ready", "shortlist": 0}},
        ["policy.placement.shortlist", "0", ">= 1"],
    ),
    (
        {"recipe": "keep_alive", "keep_alive_s": -1},
        ["policy.keep_alive_s", "-1", ">= 0"],
    ),
    (
        {"keep_alive": {"name": "fixed", "keep_alive_s": float("nan")}},
        ["policy.keep_alive.keep_alive_s", "nan", "finite"],
    ),
    (
        {"keep_alive": {"name": "fixed", "sleep_level": 3}},
        ["policy.keep_alive.sleep_level", "3"],
    ),
    ({"retention": {"name": "lru", "tiers": ["vram"]}}, ["policy.retention.tiers", "vram"]),
    (
        {"room": {"name": "cheapest", "rooms": ["evict_idle", "migrat"]}},
        ["policy.room.rooms[1]", "'migrat'", "did you mean 'migrate'?"],
    ),
    ({"room": {"name": "cheapest", "rooms": "migrate"}}, ["policy.room.rooms", "list"]),
    (
        {"routing": {"name": "filter_score", "scorers": ["queu"]}},
        ["policy.routing.scorers[0]", "'queu'", "did you mean 'queue'?"],
    ),
    ({"upkeep": ["prefetch"]}, ["policy.upkeep[0]", "'prefetch'", "prefetch_popular"]),
    ({"online_estimates": "yes"}, ["policy.online_estimates", "'yes'", "bool"]),
    ({"admission": "no.such.package:Thing"}, ["policy.admission", "no.such.package:Thing"]),
    ({"admission": "tests.policies.own:Gone"}, ["policy.admission", "own:Gone", "Gone"]),
    ({"admission": "tests.policies.own:two_each"}, ["policy.admission", "no class"]),
    ({"routing": "tests.policies.own:NoLongPrompts"}, ["policy.routing", "'route'"]),
    ({"admission": "tests.policies.own:Unrecorded"}, ["policy.admission", "dataclass"]),
    ({"recipe": "tests.policies.own:Nothing"}, ["policy.recipe", "no function"]),
    ({"recipe": "tests.policies.own:two_each", "keep": 3}, ["policy.keep", "3", "bool"]),
]


@pytest.mark.parametrize(("spec", "parts"), BAD)
def test_a_bad_spelling_gets_one_line_that_says_what_is_allowed(
    spec: Any, parts: list[str]
) -> None:
    with pytest.raises(PolicyError) as caught:
        build(spec)
    line = str(caught.value)
    assert "\n" not in line
    for part in parts:
        assert part in line


def test_a_policy_of_another_package_needs_no_entry_in_the_catalog() -> None:
    name = "tests.policies.own:NoLongPrompts"
    policy = build({"admission": {"name": name, "most_tokens": 5}})
    assert policy.admission == own.NoLongPrompts(5)
    assert describe(policy)["admission"] == {"name": name, "most_tokens": 5}
    assert build(describe(policy)) == policy


def test_another_packages_policy_takes_policies_of_the_catalog() -> None:
    name = "tests.policies.own:Doubled"
    policy = build({"scaling": {"name": name, "of": {"name": "fixed", "replicas": 3}}})
    assert describe(policy)["scaling"] == {"name": name, "of": {"name": "fixed", "replicas": 3}}
    assert build(describe(policy)) == policy


def test_a_class_without_parameters_need_not_be_a_dataclass() -> None:
    name = "tests.policies.own:Nothing"
    assert resolve({"admission": name})["admission"] == {"name": name}


def test_another_packages_recipe_builds_a_whole_policy() -> None:
    spec = {"recipe": "tests.policies.own:two_each", "keep": False}
    assert build(spec) == recipes.serverless()


def test_the_order_of_questions_is_the_same_in_every_table() -> None:
    assert list(CATALOG) == list(ASKED) == list(catalog.QUESTIONS)
