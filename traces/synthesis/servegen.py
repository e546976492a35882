"""Requests of many clients, each with its own rate, burstiness and lengths, window by window.

The generator of ServeGen (Xiang et al., arXiv:2505.09999) on its published per-client data, with
two differences: every window of a client begins in equilibrium, so that it holds rate * window
requests on average whatever its CV (`renewal`), and all rates are scaled by one factor to the rate
that is wanted. It knows the recipe and the data; it does not know any file format.
"""

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from fleet.streams import Streams
from traces.schema import TraceError
from traces.synthesis.clients import ClientData, ClientLengths, ClientWindows, LengthTable
from traces.synthesis.lengths import draw_lengths
from traces.synthesis.limits import require
from traces.synthesis.recipe import ServeGen
from traces.synthesis.renewal import Floats, gamma_points, weibull_points
from traces.workload import US_PER_S, TraceMeta, Workload

Ints = NDArray[np.int64]


class Arrivals(NamedTuple):
    """Requests in time order: seconds since the span began, and the row of the client."""

    at_s: Floats
    client: Ints


def servegen(recipe: ServeGen, data: ClientData) -> Workload:
    """The clients' requests in the recipe's span. Raises TraceError.

    A client's arrivals depend on its name, its rates and the seed only.
    """
    windows, gaps = _chosen(recipe, data.windows)
    recorded_rps = float(windows.rate_rps.sum()) * windows.window_s / recipe.span_s
    arrivals = _arrivals(recipe, windows, recipe.rate_rps / recorded_rps)
    if not len(arrivals.at_s):
        wanted = f"more than the {recipe.rate_rps * recipe.span_s:g} requests that it expects"
        require(
            False, "rate_rps * span_s", recipe.rate_rps * recipe.span_s, f"{wanted} (none came)"
        )
    columns, notes = _asked(recipe, windows, arrivals)
    prompt, output, said = _lengths(recipe, windows, data.lengths, arrivals)
    columns |= {"prompt_tokens": prompt, "output_tokens": output}
    size = len(arrivals.at_s)
    notes = {
        "recipe": msgspec.json.encode(recipe).decode(),
        "clients": f"{len(windows.clients)} clients of {', '.join(windows.sources)} in "
        f"{data.windows.meta.trace_id or data.windows.meta.source}",
        "realised_rate": f"{size / recipe.span_s:.4g} rps over {recipe.span_s:g} s, "
        f"{recipe.rate_rps:.4g} expected, {recorded_rps:.4g} recorded",
        "telemetry": f"{gaps} windows without any, filled with the one before",
        "lengths": said,
        **notes,
    }
    meta = TraceMeta(
        source="synthetic: servegen",
        licence=data.windows.meta.licence,
        trace_id="servegen",
        seed=recipe.seed,
        notes=notes,
    ).with_synthetic(*columns)
    return Workload.of({"request_id": np.arange(size), **columns}, meta)


def _chosen(recipe: ServeGen, data: ClientWindows) -> tuple[ClientWindows, int]:
    """The recipe's clients in its span, busiest first, and how many windows had to be filled."""
    for source in recipe.sources:
        require(source in data.sources, "sources", source, f"one of {', '.join(data.sources)}")
    first, last = (second / data.window_s for second in (recipe.start_s, recipe.end_s))
    allowed = f"multiples of the data's window, {data.window_s} s"
    require(first == int(first), "start_s", recipe.start_s, allowed)
    require(last == int(last), "span_s", recipe.span_s, allowed)
    most = f"at most {data.windows * data.window_s} s, the end of the data"
    require(last <= data.windows, "start_s + span_s", recipe.end_s, most)
    wanted = [not recipe.sources or client.source in recipe.sources for client in data.clients]
    mended, _ = data.mended()
    inside = mended.of(np.flatnonzero(wanted), int(first), int(last))
    seen = data.of(np.flatnonzero(wanted), int(first), int(last))
    filled = int(((inside.rate_rps != seen.rate_rps).any(axis=0)).sum())
    asked = inside.rate_rps.sum(axis=1)
    busiest = np.argsort(-asked, kind="stable")[: recipe.clients]
    busiest = busiest[asked[busiest] > 0]
    require(len(busiest) > 0, "start_s", recipe.start_s, "a span in which a client asks anything")
    return inside.of(busiest, 0, int(last) - int(first)), filled


def _arrivals(recipe: ServeGen, windows: ClientWindows, scale: float) -> Arrivals:
    streams = Streams(recipe.seed)
    seconds, owner = [np.empty(0)], [0]
    for row, client in enumerate(windows.clients):
        rng = streams.array(f"arrivals/{client.source}/{client.number}")
        parts = [
            (window + _points(rng, windows, (row, window), scale)) * windows.window_s
            for window in np.flatnonzero(windows.rate_rps[row]).tolist()
        ]
        seconds += parts
        owner.append(sum(map(len, parts)))
    at_s = np.concatenate(seconds)
    client_of = np.repeat(np.arange(-1, len(windows.clients)), owner)
    order = np.lexsort((client_of, at_s))
    return Arrivals(at_s[order], client_of[order])


def _points(
    rng: np.random.Generator, windows: ClientWindows, cell: tuple[int, int], scale: float
) -> Floats:
    """Arrivals of one client in one window, as parts of the window."""
    mean = float(windows.rate_rps[cell]) * scale * windows.window_s
    shape = float(windows.shape[cell])
    if windows.weibull[cell]:
        return weibull_points(rng, shape, mean) / mean
    return gamma_points(rng, shape, mean) / mean


def _asked(
    recipe: ServeGen, windows: ClientWindows, arrivals: Arrivals
) -> tuple[dict[str, object], dict[str, str]]:
    """Times, tenants, bases and adapters."""
    model = _models(recipe, windows)
    names = [f"{client.source}/client-{client.number:03d}" for client in windows.clients]
    owns = Streams(recipe.seed).array("adapters").random(len(names)) < recipe.own_adapters
    adapters = np.empty(len(names), dtype=object)
    adapters[:] = [
        (f"{base}-lora-{row:04d}",) if own else ()
        for row, (base, own) in enumerate(zip(model, owns, strict=True))
    ]
    of = arrivals.client
    columns: dict[str, object] = {
        "arrival_us": np.floor(arrivals.at_s * US_PER_S).astype(np.int64),
        "model_id": np.array(model, dtype=object)[of],
        "tenant_id": np.array(names, dtype=object)[of],
    }
    if recipe.own_adapters:
        columns["adapter_ids"] = adapters[of]
    owners = f"{int(owns.sum())} of {len(names)} clients own an adapter"
    return columns, {"bases": f"{len(set(model))} models take clients in turn", "adapters": owners}


def _models(recipe: ServeGen, windows: ClientWindows) -> list[str]:
    """Each client's base: a family called as its source, or else the other models in turn."""
    named = {family.name: family.model_names for family in recipe.families}
    others = tuple(
        name
        for family in recipe.families
        if family.name not in windows.sources
        for name in family.model_names
    )
    turns: dict[tuple[str, ...], int] = {}
    chosen = []
    for client in windows.clients:
        pool = named.get(client.source, others)
        require(len(pool) > 0, "families", [*named], f"a model for clients of {client.source}")
        turn = turns.get(pool, 0)
        turns[pool] = turn + 1
        chosen.append(pool[turn % len(pool)])
    return chosen


def _lengths(
    recipe: ServeGen, windows: ClientWindows, tables: ClientLengths | None, arrivals: Arrivals
) -> tuple[Ints, Ints, str]:
    """Prompt and output tokens, and how they came about."""
    rng = Streams(recipe.seed).array("lengths")
    if tables is None:
        drawn = draw_lengths(rng, recipe.lengths, len(arrivals.at_s))
        return drawn.prompt_tokens, drawn.output_tokens, "+".join(drawn.part_names)
    prompt, output = np.ones(len(arrivals.at_s)), np.ones(len(arrivals.at_s))
    given, borrowed = _tables(windows, tables)
    for row, table in enumerate(given):
        mine = np.flatnonzero(arrivals.client == row)
        at_s = arrivals.at_s[mine] + recipe.start_s
        prompt[mine], output[mine] = table.draw(rng, at_s)
    cut = prompt + output > recipe.context_tokens
    output = np.minimum(output, recipe.context_tokens - 1)
    prompt = np.minimum(prompt, recipe.context_tokens - output)
    said = (
        f"the clients' quantiles, {borrowed} clients with those of another of their source; "
        f"{int(cut.sum())} of {len(cut)} cut to {recipe.context_tokens} tokens"
    )
    return prompt.astype(np.int64), output.astype(np.int64), said


def _tables(windows: ClientWindows, tables: ClientLengths) -> tuple[list[LengthTable], int]:
    """Each client's lengths, or those of another client of its source, taken in turn."""
    spare = {
        source: [table for client, table in sorted(tables.items()) if client.source == source]
        for source in windows.sources
    }
    given, borrowed = [], 0
    for client in windows.clients:
        table = tables.get(client)
        if table is None:
            if not spare[client.source]:
                raise TraceError(
                    f"client lengths: none of {client.source}: expected those of a client of it, "
                    "or no file (lengths then come from the recipe's law)"
                )
            table = spare[client.source][borrowed % len(spare[client.source])]
            borrowed += 1
        given.append(table)
    return given, borrowed
