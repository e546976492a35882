"""Textbook queues beside what was measured: a model on one instance, in seconds of stay.

For sanity, not as a bound: the formulas say how long requests would stay if arrivals were Poisson
and the engine what the formula takes it for, and every row says where that is not so. The service
demand is what the run measured: in processor sharing the engine's busy time a request (utilisation
law, rho = lambda x S), elsewhere the time from a request's first batch to its end. Knows no engine:
a batch that decodes several requests nearly as fast as one is better than processor sharing.
"""

from collections.abc import Iterator
from math import erfc, inf, sqrt
from typing import Final

import msgspec
import numpy as np

from traces.numerals import number
from traces.record import Floats, Load, RunRecord

LEAST_REQUESTS: Final = 50
#: A dispersion test below this says that arrivals are not Poisson.
LEAST_P_VALUE: Final = 0.01
#: Requests a window of the dispersion test has on average.
REQUESTS_A_WINDOW: Final = 5.0
LEAST_WINDOWS: Final = 10
#: Shares of time with all seats taken, and of requests that did not finish, worth a word.
LEAST_SHARE: Final = 0.01


class Queue(msgspec.Struct, frozen=True):
    """One model while one instance alone served it; times are seconds, rates a second.

    `stay_s` is the mean time from arrival to end. `load` is the share of the time in which
    anything ran, `demand_s` that time a request. `ps_stay_s` is M/G/1-PS, `fcfs_stay_s` M/G/1
    with one seat, `mmc_stay_s` M/M/c with `seats` servers of mean `service_s`; None where the
    formula does not apply or its queue would grow for ever. `but` says which assumptions do not
    hold, in words.
    """

    model: str
    requests: int
    window_s: float
    arrivals_per_s: float
    service_s: float
    demand_s: float
    load: float
    seats: int | None
    stay_s: float
    ps_stay_s: float | None
    fcfs_stay_s: float | None
    mmc_stay_s: float | None
    dispersion_p: float | None
    but: tuple[str, ...]


def queues_of(record: RunRecord) -> tuple[Queue, ...]:
    """A row for each model that one instance alone served for long enough, most requests first.

    Requests count that came while the instance was ready and no other of its model was there or
    on its way; at least `LEAST_REQUESTS` of them must have finished.
    """
    best: dict[int, Queue] = {}
    by_model: dict[int, list[Load]] = {}
    for load in record.loads:
        by_model.setdefault(load.model, []).append(load)
    for model, loads in by_model.items():
        for load in loads:
            stay = _Stay(record, load, _alone(record, load, loads))
            if stay.finished < LEAST_REQUESTS:
                continue
            if model not in best or stay.finished > best[model].requests:
                best[model] = stay.queue()
    return tuple(sorted(best.values(), key=lambda queue: -queue.requests))


def _alone(record: RunRecord, load: Load, others: list[Load]) -> tuple[float, float]:
    """From when the load is ready, until it ends or another of its model begins."""
    if load.ready_at is None:
        return 0.0, 0.0
    begin, end = load.ready_at, load.ended_at or record.ended_at
    for other in others:
        if other is load:
            continue
        if other.started_at >= begin:
            end = min(end, other.started_at)
        else:
            begin = max(begin, other.ended_at or record.ended_at)
    return begin, end


class _Stay:
    """The requests that came in a window, and what one instance did in it."""

    def __init__(self, record: RunRecord, load: Load, window: tuple[float, float]) -> None:
        requests = record.requests
        self.begin, self.end = window
        came = (requests.model == load.model) & (requests.arrived_at >= self.begin)
        self._came = came & (requests.arrived_at < self.end)
        self._runs = requests.finished & (requests.instance == load.instance)
        self._done = self._came & self._runs
        self._requests = requests
        self.finished = int(self._done.sum())
        self._model = record.model_name(load.model)
        spec = record.models.get(load.model)
        self._seats = spec.max_sequences if spec is not None else None

    def queue(self) -> Queue:
        requests, done = self._requests, self._done
        self.end = min(self.end, float(requests.ended_at[done].max()))
        arrived_at = np.sort(requests.arrived_at[self._came])
        window_s = self.end - self.begin
        rate = len(arrived_at) / window_s
        service_s = (requests.ended_at - requests.scheduled_at)[done]
        mean_s = float(service_s.mean())
        busy, full = self._taken(1), self._taken(self._seats or inf)
        p_value = dispersion_p(arrived_at - self.begin, window_s)
        return Queue(
            model=self._model,
            requests=self.finished,
            window_s=window_s,
            arrivals_per_s=rate,
            service_s=mean_s,
            demand_s=busy / rate,
            load=busy,
            seats=self._seats,
            stay_s=float((requests.ended_at - requests.arrived_at)[done].mean()),
            ps_stay_s=ps_stay_s(rate, busy / rate),
            fcfs_stay_s=fcfs_stay_s(rate, service_s) if self._seats == 1 else None,
            mmc_stay_s=mmc_stay_s(rate, mean_s, self._seats) if self._seats else None,
            dispersion_p=p_value,
            but=tuple(self._doubts(p_value, busy, full, rate * mean_s)),
        )

    def _taken(self, seats: float) -> float:
        """Share of the window in which at least so many requests ran."""
        begins = np.clip(self._requests.scheduled_at[self._runs], self.begin, self.end)
        ends = np.clip(self._requests.ended_at[self._runs], self.begin, self.end)
        times = np.concatenate([begins, ends])
        order = np.argsort(times, kind="stable")
        running = np.cumsum(np.repeat([1, -1], len(begins))[order])
        spans_s = np.diff(times[order], append=self.end)
        return float(spans_s[running >= seats].sum()) / (self.end - self.begin)

    def _doubts(
        self, p_value: float | None, busy: float, full: float, offered: float
    ) -> Iterator[str]:
        """`offered` is the mean number that would run with seats for all."""
        if p_value is None:
            yield "too few arrivals to test whether they are Poisson"
        elif p_value < LEAST_P_VALUE:
            yield f"arrivals are not Poisson (dispersion test, p = {number(p_value)})"
        if busy >= 1 - LEAST_SHARE:
            yield "it ran without a pause: at a load of 1 the queue of PS grows for ever"
        if self._seats == 1:
            yield "one seat serves first come, first served: no processor sharing"
        elif full > LEAST_SHARE:
            share = f"{100 * full:.0f} % of the time"
            yield f"all {self._seats} seats were taken {share}: who waits is not in PS"
        if self._seats is not None and offered >= self._seats:
            yield f"{number(offered)} requests at once are offered to {self._seats} seats"
        lost = 1 - self.finished / int(self._came.sum())
        if lost > LEAST_SHARE:
            yield f"{100 * lost:.0f} % of the requests did not end here"


# Formulas


def ps_stay_s(arrivals_per_s: float, demand_s: float) -> float | None:
    """M/G/1-PS: E[S] / (1 - rho), whatever the distribution of S (Kleinrock 1967; Sakata,
    Noguchi and Oizumi 1969). None at a load of 1 or more."""
    load = arrivals_per_s * demand_s
    return demand_s / (1 - load) if load < 1 else None


def fcfs_stay_s(arrivals_per_s: float, service_s: Floats) -> float | None:
    """M/G/1, first come first served: Pollaczek and Khinchine's mean. None at a load of 1."""
    mean_s = float(service_s.mean())
    load = arrivals_per_s * mean_s
    if load >= 1:
        return None
    return mean_s + arrivals_per_s * float((service_s**2).mean()) / (2 * (1 - load))


def mmc_stay_s(arrivals_per_s: float, service_s: float, servers: int) -> float | None:
    """M/M/c: Erlang's C formula, by the stable recursion of his B. None at a load of 1."""
    offered = arrivals_per_s * service_s
    if offered >= servers:
        return None
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    waits = blocked / (1 - offered / servers * (1 - blocked))
    return service_s + waits * service_s / (servers - offered)


def dispersion_p(since_s: Floats, window_s: float) -> float | None:
    """How likely Poisson arrivals would be spread as unevenly, or as evenly, as these.

    Fisher's dispersion test on counts in equal windows of about `REQUESTS_A_WINDOW` arrivals:
    (k - 1) variance / mean is chi-square with k - 1 degrees of freedom, its tail by Wilson and
    Hilferty (1931). None with fewer than ten windows.
    """
    k = int(len(since_s) / REQUESTS_A_WINDOW)
    if k < LEAST_WINDOWS:
        return None
    counts = np.bincount(np.minimum((since_s / window_s * k).astype(np.int64), k - 1), minlength=k)
    mean = counts.mean()
    chi_square = float(((counts - mean) ** 2).sum() / mean)
    degrees = k - 1
    spread = 2 / (9 * degrees)
    z = ((chi_square / degrees) ** (1 / 3) - (1 - spread)) / sqrt(spread)
    return erfc(abs(z) / sqrt(2))
