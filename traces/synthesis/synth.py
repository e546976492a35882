"""Synthetic workloads: a recipe and its seed in, the same requests out, byte for byte.

All chance comes from named streams, one a concern: other lengths do not move an arrival. It knows
the recipes and the columns of a workload; it does not know any file format.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from fleet.streams import Streams
from traces.describing.burstiness import interarrival_cv, weighted_cv
from traces.formats.azure_functions import FunctionMinutes
from traces.schema import TraceError
from traces.synthesis.churn import draw_adapters
from traces.synthesis.clients import ClientData
from traces.synthesis.demand import model_rates
from traces.synthesis.lengths import DrawnLengths, draw_lengths
from traces.synthesis.limits import require
from traces.synthesis.mmpp import Modulation, modulated, modulation_of
from traces.synthesis.popularity import Ints, draw, last_free_choice, power_shares, zipf_shares
from traces.synthesis.recipe import (
    RECIPES,
    Adapters,
    Demand,
    Diurnal,
    Mmpp,
    Osdi24,
    Recipe,
    ServeGen,
    Stream,
    Zipf,
)
from traces.synthesis.renewal import (
    Floats,
    Intensity,
    equilibrium,
    per_window,
    per_window_expectation,
    repeated,
    sinusoid,
    steady,
    stepwise,
)
from traces.synthesis.servegen import servegen
from traces.workload import US_PER_S, TraceMeta, Workload

ATTEMPTS = 1000  # of a recipe with accept_within


def synthesise(
    recipe: Recipe, functions: FunctionMinutes | None = None, clients: ClientData | None = None
) -> Workload:
    """The workload of any recipe. Raises TraceError.

    Only `Osdi24` takes functions; `ServeGen` needs clients, and nobody else takes them.
    """
    if isinstance(recipe, ServeGen):
        require(clients is not None, "clients", None, "a file with the clients' rates in windows")
        assert clients is not None, "required"
        require(functions is None, "functions", "given", "none: servegen takes clients")
        return servegen(recipe, clients)
    require(clients is None, "clients", "given", "none: only servegen draws from them")
    if isinstance(recipe, Osdi24):
        return osdi24(recipe, functions)
    require(functions is None, "functions", "given", "none: only osdi24 takes popularity from them")
    return stream(recipe)


def osdi24(recipe: Osdi24, functions: FunctionMinutes | None = None) -> Workload:
    """A bursty process per model, at rates from functions or a law; see `recipe.Osdi24`.

    A model's arrivals depend on its name, its rates, the CV and the seed only: more models move
    none of them but through their rates. Raises TraceError.
    """
    rates = model_rates(recipe, functions)
    expected = float(rates.rate_rps.sum()) * recipe.window_s
    notes = dict(rates.notes)
    if recipe.generator == "per-window":
        means = rates.rate_rps[rates.rate_rps > 0] * recipe.window_s
        biased = sum(per_window_expectation(float(mean), recipe.cv) for mean in means)
        notes["bias"] = (
            f"a fresh renewal process in every window yields {biased:.0f} requests on average "
            f"where {expected:.0f} are wanted"
        )
    arrivals = _accepted(recipe, lambda attempt: _per_model(recipe, rates.rate_rps, attempt), notes)
    adapter = np.full(len(arrivals.us), -1, dtype=np.int64)
    if recipe.adapters is not None:
        rows = np.flatnonzero(_with_adapter(recipe, recipe.adapters, len(arrivals.us)))
        adapter[rows] = _adapters(recipe, recipe.adapters, arrivals.chosen(rows))
    return _workload(recipe, arrivals, adapter, None, notes)


def stream(recipe: Stream) -> Workload:
    """One arrival process; tenants, bases and adapters request by request. Raises TraceError."""
    notes: dict[str, str] = {}
    if isinstance(recipe, Mmpp):
        dispersion = _modulation(recipe).dispersion()
        notes["dispersion"] = f"variance over mean of counts {dispersion:.4g} in long windows"
    arrivals = _accepted(recipe, lambda attempt: _of_fleet(recipe, attempt), notes)
    size = len(arrivals.us)
    source, tenant = _sources(recipe, size)
    arrivals = Arrivals(arrivals.us, _bases(recipe, size)[source], arrivals.expected)
    adapter = np.full(size, -1, dtype=np.int64)
    if recipe.adapters is not None:
        named = _with_adapter(recipe, recipe.adapters, size)
        free = np.flatnonzero(named & (source == np.arange(size)))
        adapter[free] = _adapters(recipe, recipe.adapters, arrivals.chosen(free))
        adapter = adapter[source]
    return _workload(recipe, arrivals, adapter, tenant, notes)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Requests in time order: microseconds and model index, and how many the rates expect."""

    us: Ints
    model: Ints
    expected: float

    def chosen(self, rows: Ints) -> "Arrivals":
        return Arrivals(self.us[rows], self.model[rows], self.expected)


def _accepted(
    recipe: Demand, draw_arrivals: Callable[[int], Arrivals], notes: dict[str, str]
) -> Arrivals:
    """The first draw whose number is near enough to the expected one; notes say which it was."""
    within = recipe.accept_within
    for attempt in range(ATTEMPTS):
        arrivals = draw_arrivals(attempt)
        size = len(arrivals.us)
        if within is not None and abs(size / arrivals.expected - 1) > within:
            continue
        if within is not None:
            notes["accepted"] = f"draw {attempt + 1}, the first within {within:g} of the rate"
        if not size:
            wanted = f"more than the {arrivals.expected:g} requests that it expects (none came)"
            require(False, "rate_rps * span_s", recipe.rate_rps * recipe.span_s, wanted)
        return arrivals
    raise TraceError(
        f"accept_within: {within:g} is not allowed: none of {ATTEMPTS} draws of "
        f"{arrivals.expected:g} expected requests came that near; take a longer span"
    )


def _per_model(recipe: Osdi24, rate_rps: Floats, attempt: int) -> Arrivals:
    streams = Streams(recipe.seed)
    seconds = []
    for name, rates in zip(recipe.model_names, rate_rps, strict=True):
        rng = streams.array(f"arrivals/{attempt}/{name}")
        if recipe.generator == "per-window":
            seconds.append(per_window(rng, rates, recipe.window_s, recipe.cv))
        else:
            seconds.append(equilibrium(rng, stepwise(rates, recipe.window_s), recipe.cv))
    model = np.repeat(np.arange(len(seconds)), [len(each) for each in seconds])
    us = _microseconds(np.concatenate(seconds))
    order = np.lexsort((model, us))
    return Arrivals(us[order], model[order], float(rate_rps.sum()) * recipe.window_s)


def _of_fleet(recipe: Stream, attempt: int) -> Arrivals:
    rng = Streams(recipe.seed).array(f"arrivals/{attempt}")
    intensity = _intensity(recipe, attempt)
    us = _microseconds(equilibrium(rng, intensity, recipe.cv))
    drawn = isinstance(recipe, Mmpp)
    expected = recipe.rate_rps * recipe.span_s if drawn else intensity.total
    return Arrivals(us, np.zeros_like(us), expected)


def _microseconds(seconds: Floats) -> Ints:
    return np.floor(seconds * US_PER_S).astype(np.int64)


def _modulation(recipe: Mmpp) -> Modulation:
    states = [(state.rate, state.dwell_s) for state in recipe.states]
    return modulation_of(states).scaled(recipe.rate_rps)


def _intensity(recipe: Stream, attempt: int) -> Intensity:
    if isinstance(recipe, Mmpp):
        rng = Streams(recipe.seed).array(f"states/{attempt}")
        return modulated(rng, _modulation(recipe), recipe.span_s)
    if not isinstance(recipe, Diurnal):
        return steady(recipe.rate_rps, recipe.span_s)
    if not recipe.hourly:
        return sinusoid(
            recipe.rate_rps, recipe.span_s, recipe.amplitude, recipe.period_s, recipe.peak_at_s
        )
    profile = np.asarray(recipe.hourly)
    hour_s = recipe.period_s / len(profile)
    return repeated(recipe.rate_rps * profile / profile.mean(), hour_s, recipe.span_s)


def _sources(recipe: Stream, size: int) -> tuple[Ints, Ints | None]:
    """The row whose choice each row takes, and the tenant of each row."""
    if recipe.tenants is None:
        return np.arange(size), None
    streams = Streams(recipe.seed)
    rng = streams.array("tenants")
    shares = rng.permutation(zipf_shares(recipe.tenants.count, recipe.tenants.exponent))
    tenant = draw(rng, shares, size)
    repeats = streams.array("sticky").random(size) < recipe.tenants.sticky
    return last_free_choice(tenant, repeats), tenant


def _bases(recipe: Stream, size: int) -> Ints:
    """Ranks are given to models at random, so that no order of ids tells the popularity."""
    shares = zipf_shares(len(recipe.model_names), recipe.popularity.exponent)
    shares = Streams(recipe.seed).array("popularity").permutation(shares)
    return draw(Streams(recipe.seed).array("bases"), shares, size)


def _with_adapter(recipe: Demand, adapters: Adapters, size: int) -> NDArray[np.bool_]:
    return Streams(recipe.seed).array("adapter-or-not").random(size) < adapters.share


def _adapters(recipe: Demand, adapters: Adapters, uses: Arrivals) -> Ints:
    law = adapters.law
    if isinstance(law, Zipf):
        shares = zipf_shares(adapters.per_base, law.exponent)
    else:
        shares = power_shares(adapters.per_base, law.alpha)
    day = uses.us // round(adapters.day_s * US_PER_S)
    rng = Streams(recipe.seed).array("adapters")
    return draw_adapters(rng, uses.model, day, shares, adapters.churn)


def _workload(
    recipe: Demand,
    arrivals: Arrivals,
    adapter: Ints,
    tenant: Ints | None,
    notes: dict[str, str],
) -> Workload:
    size = len(arrivals.us)
    lengths = draw_lengths(Streams(recipe.seed).array("lengths"), recipe.lengths, size)
    columns: dict[str, object] = {
        "arrival_us": arrivals.us,
        "model_id": np.array(recipe.model_names, dtype=object)[arrivals.model],
        "prompt_tokens": lengths.prompt_tokens,
        "output_tokens": lengths.output_tokens,
        "slo_class": np.array(lengths.part_names, dtype=object)[lengths.part],
    }
    if recipe.adapters is not None:
        columns["adapter_ids"] = _adapter_names(recipe, arrivals.model, adapter)
    if tenant is not None:
        names = [f"tenant-{index:04d}" for index in range(int(tenant.max()) + 1)]
        columns["tenant_id"] = np.array(names, dtype=object)[tenant]
    meta = _meta(recipe, arrivals, lengths, notes).with_synthetic(*columns)
    return Workload.of({"request_id": np.arange(size), **columns}, meta)


def _adapter_names(recipe: Demand, model: Ints, adapter: Ints) -> NDArray[np.object_]:
    """One tuple per request: () or the one name, base-lora-serial."""
    models = recipe.model_names
    pairs, row = np.unique(np.stack([model, adapter]), axis=1, return_inverse=True)
    cells = np.empty(pairs.shape[1], dtype=object)
    for index, (base, serial) in enumerate(pairs.T.tolist()):
        cells[index] = () if serial < 0 else (f"{models[base]}-lora-{serial:04d}",)
    named: NDArray[np.object_] = cells[row.ravel()]
    return named


def _meta(
    recipe: Demand, arrivals: Arrivals, lengths: DrawnLengths, notes: dict[str, str]
) -> TraceMeta:
    name = next(name for name, kind in RECIPES.items() if type(recipe) is kind)
    size = len(arrivals.us)
    context = recipe.lengths.context_tokens
    said = {
        "recipe": msgspec.json.encode(recipe).decode(),
        "realised_rate": f"{size / recipe.span_s:.4g} rps over {recipe.span_s:g} s, "
        f"{arrivals.expected / recipe.span_s:.4g} expected",
        "realised_cv": _realised_cv(recipe, arrivals),
        "lengths": f"{'+'.join(lengths.part_names)}, {lengths.cut} of {size} cut to "
        f"{context} tokens",
    }
    return TraceMeta(
        source=f"synthetic: {name}",
        trace_id=name,
        time_compression=recipe.adapters.time_compression if recipe.adapters else 1.0,
        seed=recipe.seed,
        notes={**said, **notes},
    )


def _realised_cv(recipe: Demand, arrivals: Arrivals) -> str:
    seconds = arrivals.us / US_PER_S
    overall = interarrival_cv(seconds)
    text = f"overall {overall:.3g}" if overall is not None else "overall unknown"
    if isinstance(recipe, Osdi24):
        per_model, models = weighted_cv(seconds, arrivals.model)
        known = f"{per_model:.3g}" if per_model is not None else "unknown"
        text += f", per model {known} (share-weighted over {models} models with 30 or more)"
    return f"{text}, {recipe.cv:g} asked"
