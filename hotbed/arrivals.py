"""Who arrives when, and what they ask for: a workload's rows as the simulator's arrivals.

It knows ids and objectives that were looked up elsewhere. It opens no file.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fleet.domain import AdapterId, ModelId, Request, RequestId, TenantId
from fleet.scenario import ScenarioError
from fleet.scenario import Workload as Asking
from hotbed.artifacts import Asked
from sim.calendar import Arrival
from traces.sessions import NOBODY, predecessors
from traces.workload import US_PER_S
from traces.workload import Workload as Requests

#: A request's model and adapter, by what the trace calls them.
Uses: TypeAlias = Mapping[Asked, tuple[ModelId, AdapterId | None]]


@dataclass(frozen=True, slots=True)
class Clients:
    """`ttft_s` is each model's objective, `tenants` the names in the order of their ids."""

    requests: Requests
    asking: Asking
    uses: Uses
    ttft_s: Mapping[ModelId, float]
    tenants: tuple[str, ...]


def arrivals_of(clients: Clients) -> Iterator[Arrival]:
    """In time order; in a closed loop each session's turns stand behind the turn they follow.

    A request's id is its row. Raises ScenarioError like `check_clients`.
    """
    outputs = _tokens(clients.requests.frame, "output_tokens")
    most_tokens = clients.asking.max_tokens or int(outputs.max())
    uses, ttft_s = clients.uses, clients.ttft_s
    columns = _columns(clients, np.minimum(outputs, most_tokens))
    for (
        row,
        asked,
        at,
        prompt,
        output,
        tenant,
        session,
        blocks,
        priority,
        after,
        think_s,
    ) in columns:
        prefix, block_tokens = blocks
        model, adapter = uses[asked]
        request = Request(
            RequestId(row),
            model,
            adapter,
            at,
            prompt,
            most_tokens,
            TenantId(tenant),
            at + ttft_s[model],
            session,
            prefix,
            block_tokens,
            priority,
        )
        if after == NOBODY:
            yield Arrival(request, output)
        else:
            yield Arrival(request, output, RequestId(after), think_s)


def check_clients(clients: Clients) -> None:
    """Raise ScenarioError where `arrivals_of` would, before anything has begun."""
    for name in ("prompt_tokens", "output_tokens"):
        _tokens(clients.requests.frame, name)
    _before(clients)
    _priorities(clients.requests.frame, clients.asking.priorities)


def _columns(clients: Clients, outputs: NDArray[np.int64]) -> Iterator[tuple[Any, ...]]:
    """A row's facts in the order in which `arrivals_of` takes them apart."""
    frame = clients.requests.frame
    before = _before(clients)
    columns: tuple[Sequence[Any], ...] = (
        range(len(frame)),
        list(asked_of(frame)),
        (frame["arrival_us"].to_numpy() / US_PER_S).tolist(),
        _tokens(frame, "prompt_tokens").tolist(),
        outputs.tolist(),
        _tenant_ids(frame, clients.tenants),
        _session_ids(frame),
        _prefixes(frame),
        _priorities(frame, clients.asking.priorities),
        before.tolist(),
        _think_s(frame),
    )
    return zip(*_each_behind(before, columns), strict=True)


def asked_of(frame: pd.DataFrame) -> Iterable[Asked]:
    """What each request asks for."""
    return zip(frame["model_id"], frame["adapter_ids"], strict=True)


def _before(clients: Clients) -> NDArray[np.int64]:
    """The row that each row waits for; nobody in an open loop."""
    if clients.asking.closed_loop is False:
        return np.full(len(clients.requests), NOBODY, dtype=np.int64)
    before = predecessors(clients.requests.frame)
    if clients.asking.closed_loop and (before == NOBODY).all():
        raise ScenarioError(
            "workload.closed_loop is true; no request of this workload has a session with a turn "
            "before it and a think time"
        )
    return before


def _each_behind(
    before: NDArray[np.int64], columns: tuple[Sequence[Any], ...]
) -> tuple[Sequence[Any], ...]:
    """The columns in the order of arrival, but who waits behind the one it waits for."""
    if (before == NOBODY).all():
        return columns
    after = np.full(len(before), NOBODY, dtype=np.int64)
    waiting = np.flatnonzero(before != NOBODY)
    after[before[waiting]] = waiting
    order: list[int] = []
    follower = after.tolist()
    for row in np.flatnonzero(before == NOBODY).tolist():
        while row != NOBODY:
            order.append(row)
            row = follower[row]  # noqa: PLW2901 - along the chain
    return tuple([column[row] for row in order] for column in columns)


def _tokens(frame: pd.DataFrame, column: str) -> NDArray[np.int64]:
    """At least one each: an engine always reads and writes one. Raises ScenarioError."""
    if column not in frame or frame[column].isna().any():
        raise ScenarioError(
            f"workload: requests have no {column}; set workload.lengths, such as gsm8k+sharegpt"
        )
    tokens: NDArray[np.int64] = np.maximum(frame[column].to_numpy(dtype=np.int64), 1)
    return tokens


def _tenant_ids(frame: pd.DataFrame, tenants: tuple[str, ...]) -> list[int]:
    """Dense ids in the order of names; requests of no tenant come after."""
    if "tenant_id" not in frame:
        return [0] * len(frame)
    codes = pd.Categorical(frame["tenant_id"], categories=list(tenants)).codes
    return [int(code) if code >= 0 else len(tenants) for code in codes]


def _session_ids(frame: pd.DataFrame) -> Sequence[int | None]:
    """Dense ids in the order of names; None for a request without a session."""
    if "session_id" not in frame:
        return [None] * len(frame)
    codes = pd.factorize(frame["session_id"], sort=True)[0].tolist()
    return [None if code < 0 else code for code in codes]


def _prefixes(frame: pd.DataFrame) -> Sequence[tuple[tuple[int, ...], int]]:
    """Ids of the blocks that the prompt fills, and tokens of a block; none without both."""
    nothing: tuple[tuple[int, ...], int] = ((), 0)
    if "prefix_hash_ids" not in frame or "block_size" not in frame:
        return [nothing] * len(frame)
    sizes = frame["block_size"].fillna(0).to_numpy(dtype=np.int64).tolist()
    prompts = frame["prompt_tokens"].to_numpy(dtype=np.int64).tolist()
    rows = zip(frame["prefix_hash_ids"], sizes, prompts, strict=True)
    return [
        (ids[: prompt // size], size) if ids and size else nothing for ids, size, prompt in rows
    ]


def _priorities(frame: pd.DataFrame, priorities: Mapping[str, int]) -> Sequence[int]:
    """By the request's class; 0 for a class without one. Raises ScenarioError for unknown names."""
    if not priorities:
        return [0] * len(frame)
    known = set(frame["slo_class"].dropna()) if "slo_class" in frame else set()
    for name in priorities:
        if name not in known:
            classes = ", ".join(sorted(known)) or "none in this workload"
            raise ScenarioError(f"workload.priorities: unknown class {name!r}; classes: {classes}")
    return [priorities.get(name, 0) for name in frame["slo_class"]]


def _think_s(frame: pd.DataFrame) -> Sequence[float]:
    if "think_time_us" not in frame:
        return [0.0] * len(frame)
    think_us = frame["think_time_us"].fillna(0).to_numpy(dtype=np.int64)
    return list((think_us / US_PER_S).tolist())
