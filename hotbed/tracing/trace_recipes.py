"""The recipe of `hotbed traces synth` and the lengths of `convert`, from what is typed.

It knows the words of the command line. How requests are drawn is known in `traces`.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from fleet.streams import Streams
from traces.schema import TraceError
from traces.synthesis.lengths import CsvLengths, Lengths, length_sample, mix_of, read_lengths
from traces.synthesis.recipe import RECIPES, Adapters, Family, MmppState, Recipe, Tenants
from traces.workload import LengthSample

# Enough draws of a law that its tail is in the list.
SAMPLE_SIZE = 100_000


@dataclass(frozen=True, slots=True)
class SynthOptions:
    """As typed; None leaves the recipe's default."""

    rate_rps: float | None = None
    models: str | None = None
    adapters_per_base: int | None = None
    churn: float | None = None
    tenants: int | None = None
    cv: float | None = None
    states: str | None = None
    seed: int = 0
    duration_s: float | None = None
    lengths: str | None = None


def recipe_of(name: str, options: SynthOptions) -> Recipe:
    """Raises TraceError for an unknown recipe, and for what a recipe does not have or allow."""
    if name not in RECIPES:
        known = ", ".join(RECIPES)
        raise TraceError(f"recipe {name!r} is not allowed: expected one of {known}")
    kind = RECIPES[name]
    given = {
        "rate_rps": options.rate_rps,
        "span_s": options.duration_s,
        "cv": options.cv,
        "states": states_of(options.states) if options.states else None,
        "families": families_of(options.models) if options.models else None,
        "adapters": _adapters(kind, options),
        "tenants": None if options.tenants is None else Tenants(count=options.tenants),
        "lengths": lengths_of(options.lengths) if options.lengths else None,
    }
    fields = {key: value for key, value in given.items() if value is not None}
    lacking = [key for key in fields if key not in kind.__struct_fields__]
    if lacking:
        raise TraceError(f"recipe {name!r} has no {lacking[0]}: leave that option out")
    made: Recipe = kind(seed=options.seed, **fields)  # type: ignore[arg-type]
    return made


def families_of(text: str) -> tuple[Family, ...]:
    """`16` as base-00 .. base-15, `opt-6.7b=32,opt-13b=16` as two families."""
    if text.isascii() and text.isdigit():
        return (Family("base", int(text)),)
    families = []
    for part in text.split(","):
        name, equals, count = (piece.strip() for piece in part.partition("="))
        if not (equals and count.isascii() and count.isdigit()):
            raise TraceError(f"models: {part!r} is not allowed: expected a number, or NAME=NUMBER")
        families.append(Family(name, int(count)))
    return tuple(families)


def states_of(text: str) -> tuple[MmppState, ...]:
    """`1:300,10:60` as a rate of 1 for 300 s on average and one of 10 for 60 s."""
    states = []
    for part in text.split(","):
        rate, _, dwell_s = part.partition(":")
        try:
            states.append(MmppState(float(rate), float(dwell_s)))
        except ValueError as error:
            if isinstance(error, TraceError):
                raise
            raise TraceError(
                f"states: {part!r} is not allowed: expected RATE:SECONDS, such as 10:60"
            ) from None
    return tuple(states)


def lengths_of(text: str) -> Lengths:
    """`gsm8k+sharegpt`, or `lengths.csv:prompt_column:output_column`."""
    parts = text.rsplit(":", 2)
    if len(parts) == 3:
        return CsvLengths(parts[0], parts[1], parts[2], name=Path(parts[0]).stem)
    if Path(text).suffix == ".csv":
        raise TraceError(f"lengths: {text!r} is not allowed: expected FILE.csv:PROMPT:OUTPUT")
    return mix_of(text)


def sample_of(text: str, seed: int) -> LengthSample:
    """The list to draw missing token counts from: a CSV's own rows, or draws of a mix."""
    lengths = lengths_of(text)
    if isinstance(lengths, CsvLengths):
        return read_lengths(lengths)
    return length_sample(lengths, SAMPLE_SIZE, Streams(seed).array("traces/length sample"))


def _adapters(kind: type[Recipe], options: SynthOptions) -> Adapters | None:
    if options.adapters_per_base is None and options.churn is None:
        return None
    default = msgspec.structs.asdict(kind()).get("adapters") or Adapters()
    changes = {"per_base": options.adapters_per_base, "churn": options.churn}
    kept = {key: value for key, value in changes.items() if value is not None}
    changed: Adapters = msgspec.structs.replace(default, **kept)
    return changed
