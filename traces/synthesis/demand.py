"""Requests per model and window: functions mapped onto models, or a popularity law, to one rate.

Knows counts per minute and rates; does not know how arrivals are drawn from a rate.
"""

import json
from dataclasses import dataclass

import numpy as np

from fleet.streams import Streams
from traces.formats.azure_functions import FunctionMinutes
from traces.synthesis.limits import require
from traces.synthesis.popularity import Floats, zipf_shares
from traces.synthesis.recipe import Osdi24


@dataclass(frozen=True, slots=True)
class ModelRates:
    """Requests per second, shape (models, windows), and notes on where they came from."""

    rate_rps: Floats
    notes: dict[str, str]


def model_rates(recipe: Osdi24, functions: FunctionMinutes | None) -> ModelRates:
    """Rates whose mean over the span sums to `rate_rps`. Raises TraceError."""
    if functions is None:
        return _by_law(recipe)
    return _by_functions(recipe, functions)


def _by_law(recipe: Osdi24) -> ModelRates:
    """The same in every window. Which model has which rank is drawn, so no order tells it."""
    names = recipe.model_names
    shares = zipf_shares(len(names), recipe.popularity.exponent)
    shares = Streams(recipe.seed).array("popularity").permutation(shares)
    windows = int(recipe.span_s / recipe.window_s)
    rate_rps = np.repeat(recipe.rate_rps * shares[:, None], windows, axis=1)
    return ModelRates(rate_rps, {"popularity": f"Zipf {recipe.popularity.exponent:g}"})


def _by_functions(recipe: Osdi24, functions: FunctionMinutes) -> ModelRates:
    """Function i of those that were invoked goes to model i mod M ("stripe" of AlpaServe)."""
    minutes = int(recipe.span_s / 60)
    last = recipe.start_minute + minutes
    most = f"at most the {functions.minutes} minutes given"
    require(last <= functions.minutes, "start_minute + span in minutes", last, most)
    counts = functions.counts[:, recipe.start_minute : last]
    invoked = np.flatnonzero(counts.sum(axis=1))
    require(len(invoked) > 0, "functions", 0, f"an invocation in minutes up to {last}")
    names = recipe.model_names
    per_model = np.zeros((len(names), minutes))
    np.add.at(per_model, np.arange(len(invoked)) % len(names), counts[invoked])
    windows = per_model.reshape(len(names), -1, recipe.window_s // 60).sum(axis=2)
    mapping = {functions.functions[row]: names[i % len(names)] for i, row in enumerate(invoked)}
    notes = {
        "popularity": f"{functions.meta.source}: {len(invoked)} functions with invocations in "
        f"minutes {recipe.start_minute}-{last}, striped over {len(names)} models",
        "function_to_model": json.dumps(mapping),
    }
    return ModelRates(_scaled(windows, recipe), notes)


def _scaled(windows: Floats, recipe: Osdi24) -> Floats:
    per_window = windows.sum(axis=0)
    if recipe.total == "constant":
        require(bool(per_window.all()), "total", recipe.total, "'shaped': a window is empty")
    scale = per_window.mean() if recipe.total == "shaped" else per_window
    rate_rps: Floats = recipe.rate_rps * windows / scale
    return rate_rps
