"""How a workload is offered more often: a drawn one by its rate, a recorded one by its time.

It changes a scenario's workload and says in words what it did. It draws and reads no request.
"""

from typing import Any

from fleet.scenario import Workload
from traces.synthesis.recipe import RECIPES

RATE = "rate_rps"


def scaled(workload: Workload, load: float) -> Workload:
    """`load` times as many requests a second.

    A recipe draws at another rate over the same span, so other requests come; a recorded trace is
    the same requests in less time, arrivals and think times alike.
    """
    if load == 1:
        return workload
    rate_rps = drawn_rate_rps(workload)
    if rate_rps is None:
        return workload.model_copy(update={"compress": workload.compress * load})
    return workload.model_copy(update={"params": {**workload.params, RATE: rate_rps * load}})


def drawn_rate_rps(workload: Workload) -> float | None:
    """The rate that a recipe draws at; None of a trace, or of a recipe without such a parameter."""
    fields = {} if workload.trace is not None else _fields(str(workload.synth))
    if RATE not in fields:
        return None
    return float(workload.params.get(RATE, fields[RATE]))


def _fields(recipe: str) -> dict[str, Any]:
    kind = RECIPES.get(recipe)  # an unknown one is refused where the workload is drawn
    if kind is None:
        return {}
    required = len(kind.__struct_fields__) - len(kind.__struct_defaults__)
    return dict(zip(kind.__struct_fields__[required:], kind.__struct_defaults__, strict=True))


def in_words(workload: Workload) -> str:
    """How `scaled` offers this workload at another load."""
    if drawn_rate_rps(workload) is None:
        return "a recorded trace is compressed in time, arrivals and think times alike"
    return "a synthetic one is drawn at another rate over the same span"
