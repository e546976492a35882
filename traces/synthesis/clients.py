"""Clients of a model service: how often each asks in every window, how evenly, and how much.

What a generator of many tenants is fed with. It knows arrays; it knows no file and draws nothing
but lengths.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from traces.workload import TraceMeta

Floats = NDArray[np.float64]
#: At which cumulative shares a table of lengths has its columns.
LEVELS: Final = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)


class Client(NamedTuple):
    """Who asks: a client's number among those of one source model."""

    source: str
    number: int


@dataclass(frozen=True, slots=True)
class ClientWindows:
    """Rates and gaps by client and window; every array has the shape (clients, windows).

    Window w lasts from `w * window_s` on. Gaps between a client's requests in a window are
    Weibull where `weibull`, else Gamma, of that `shape` (CV of a Gamma law: shape^-1/2), with a
    mean of 1 / `rate_rps`; a rate of 0 has none.
    """

    clients: tuple[Client, ...]
    window_s: int
    rate_rps: Floats
    shape: Floats
    weibull: NDArray[np.bool_]
    meta: TraceMeta

    @property
    def windows(self) -> int:
        return int(self.rate_rps.shape[1])

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(sorted({client.source for client in self.clients}))

    def of(self, rows: NDArray[np.int64], first: int, last: int) -> "ClientWindows":
        """Some clients, in that order, in the windows from `first` to before `last`."""
        return ClientWindows(
            tuple(self.clients[row] for row in rows.tolist()),
            self.window_s,
            self.rate_rps[rows, first:last],
            self.shape[rows, first:last],
            self.weibull[rows, first:last],
            self.meta,
        )

    def mended(self) -> tuple["ClientWindows", int]:
        """Windows without telemetry filled, and how many there were.

        A window in which no client of a source asks anything, amid others in which some do, was
        not observed: its clients ask as in the window before it.
        """
        rate, shape, weibull = self.rate_rps.copy(), self.shape.copy(), self.weibull.copy()
        filled = 0
        for source in self.sources:
            rows = np.array([c.source == source for c in self.clients])
            seen = np.flatnonzero(rate[rows].sum(axis=0))
            if not len(seen):
                continue
            span = np.arange(seen[0], seen[-1] + 1)
            before = seen[np.searchsorted(seen, span, side="right") - 1]
            filled += int((before != span).sum())
            for values in (rate, shape, weibull):
                part = values[rows]
                part[:, span] = part[:, before]
                values[rows] = part
        return (
            ClientWindows(self.clients, self.window_s, rate, shape, weibull, self.meta),
            filled,
        )


@dataclass(frozen=True, slots=True)
class LengthTable:
    """Quantiles of a client's lengths at `LEVELS`, tokens, by the time from which they hold.

    `from_s` has the shape (tables,), ascending; the quantiles (tables, levels).
    """

    from_s: NDArray[np.int64]
    prompt_tokens: Floats
    output_tokens: Floats

    def draw(self, rng: np.random.Generator, at_s: Floats) -> tuple[Floats, Floats]:
        """Prompt and output tokens of requests at those times, drawn apart from each other.

        Between two quantiles the logarithm is uniform; below the lowest one lengths are equal
        to it. Requests before the first table take the first.
        """
        table = np.maximum(np.searchsorted(self.from_s, at_s, side="right") - 1, 0)
        drawn = []
        for quantiles in (self.prompt_tokens, self.output_tokens):
            level = rng.random(len(at_s))
            tokens = np.empty(len(at_s))
            for number in np.unique(table):
                rows = table == number
                logs = np.interp(level[rows], LEVELS, np.log(quantiles[number]))
                tokens[rows] = np.exp(logs)
            drawn.append(np.maximum(np.rint(tokens), 1))
        return drawn[0], drawn[1]


ClientLengths = Mapping[Client, LengthTable]


@dataclass(frozen=True, slots=True)
class ClientData:
    """What a generator of many tenants takes; without `lengths` it draws them from a law."""

    windows: ClientWindows
    lengths: ClientLengths | None = None
