"""The counterfactual of a journal: its requests under another policy, beside its own, paired.

It knows which policies and worlds are asked for. What the pairs say is the business of
`traces.asked.counterfactual`; nothing is printed here.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from fleet.journal import Header
from fleet.scenario import ScenarioError
from fleet.scenario_text import change, read
from hotbed.asking.resimulation import Check, Side, Tick, Workload, base_again, simulated
from hotbed.worlds import Known
from policies import catalog
from policies.library import RECIPES
from traces.asked.counterfactual import Comparison, columns_of, compared
from traces.record import Floats


class Said(msgspec.Struct, frozen=True):
    """Everything that a counterfactual says; the policies have all their parameters."""

    base: str
    other: str
    scenario: str
    seeds: tuple[int, ...]
    check: Check
    comparison: Comparison
    notes: tuple[str, ...]
    policies: tuple[dict[str, Any], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """With the first world's times to the first token of base and other, shape (n,) each."""

    said: Said
    ttft_s: tuple[Floats, Floats]


@dataclass(frozen=True, slots=True)
class Other:
    """The policy that the requests are run under instead, as a scenario spells it."""

    name: str
    spec: dict[str, Any]
    note: str = ""


def other_policy(header: Header, known: Known, given: str | None, sets: Sequence[str]) -> Other:
    """The counterfactual's policy, as a scenario spells one.

    `given` is a variant of the journal's scenario, a recipe, or a mapping in YAML; left out, it is
    the recorded policy. `sets` are "policy.field=value". Raises PolicyError or ScenarioError.
    """
    spec: Any = given
    note = ""
    variants = known.scenario.variants
    if given is None:
        spec = header.policy
    elif given in variants:
        spec = variants[given].policy
        if variants[given].residency is not None:
            note = f"{given} would begin with other copies; here they lie where they lay"
    elif given.lstrip().startswith("{"):
        spec = read(given, "--policy")
    elif given not in RECIPES and ":" not in given:
        raise catalog.unknown("policy", given, {**variants, **RECIPES})
    raw = {"policy": {"recipe": spec} if isinstance(spec, str) else deepcopy(dict(spec))}
    change(raw, dict(_split(text) for text in sets))
    catalog.build(raw["policy"])
    name = given if given is not None else base_name(header)
    return Other(
        " ".join([name, *(text.removeprefix("policy.") for text in sets)]), raw["policy"], note
    )


def base_name(header: Header) -> str:
    """The recorded policy's, as the scenario has it."""
    return str(next(iter(header.world.get("policies", ())), "recorded"))


def _split(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not equals or not path.startswith("policy."):
        raise ScenarioError(
            f"--set {text}: expected policy.FIELD=VALUE, such as policy.keep_alive.keep_alive_s=5; "
            "all but the policy stays as recorded"
        )
    return path, value


def both_sides(
    path: Path,
    header: Header,
    known: Known,
    asked: tuple[Workload, Other],
    worlds: int,
    advance: Callable[[int, str], None],
) -> Counterfactual:
    """The workload under the recorded policy and the other, in so many worlds.

    The first world is the recorded one; the next have the seeds after its own.
    """
    workload, other = asked
    seeds = tuple(range(header.setup.seed, header.setup.seed + worlds))
    ticks = _ticks(len(workload.arrivals), advance)
    first, check = base_again(path, header, known, workload, next(ticks))
    bases, others = [first], []
    for seed in seeds:
        setup = msgspec.structs.replace(header.setup, seed=seed)
        if seed != seeds[0]:
            bases.append(simulated(setup, header.policy, known, workload, next(ticks)))
        others.append(simulated(setup, other.spec, known, workload, next(ticks)))
    sides = [columns_of([side.record for side in own], known.slo, known.own_slo)
             for own in (bases, others)]  # fmt: skip
    sums = [(ours.summary, theirs.summary) for ours, theirs in zip(bases, others, strict=True)]
    names = base_name(header), other.name
    said = Said(
        *names,
        scenario=known.scenario.name,
        seeds=seeds,
        check=check,
        comparison=compared(first.record.requests, (sides[0], sides[1]), sums),
        notes=tuple([*_notes(workload, other), *_saturated(names, (bases, others))]),
        policies=(header.policy, catalog.resolve(other.spec)),
    )
    return Counterfactual(said, (sides[0].ttft_s[0], sides[1].ttft_s[0]))


def _ticks(arrivals: int, advance: Callable[[int, str], None]) -> Iterator[Tick]:
    """A tick for each run, which counts on where the one before it ended."""
    for number in count():

        def tick(arrived: int, at: float, done: int = number * arrivals) -> None:
            advance(done + arrived, f"at {at:,.0f} s")

        yield tick


def _notes(workload: Workload, other: Other) -> Iterator[str]:
    if workload.unknown:
        yield (
            f"{workload.unknown:,} of {len(workload.arrivals):,} requests never finished in the "
            "journal and their workload is not at hand: instead of their true length both sides "
            "have the mean of their model's"
        )
    if workload.sessions:
        yield (
            f"{workload.sessions:,} requests are of conversations; they come when they came, not "
            "when the answers before them would have"
        )
    for kind, times in workload.unmade.items():
        yield f"{times:,} {kind} in the journal have no place in a simulated world: left out"
    if other.note:
        yield other.note


def _saturated(
    names: tuple[str, str], sides: tuple[Sequence[Side], Sequence[Side]]
) -> Iterator[str]:
    for name, own in zip(names, sides, strict=True):
        for side in own:
            if side.summary.saturation.saturated:
                yield f"{name} is saturated: {side.summary.saturation.in_words}"
                break
