"""How long each model lay idle before it was asked for again, and what to do about it (ATC'20).

A history is a histogram of idle times with counts for what lies beyond it. From it comes a window:
when, after the last request has ended, the next is awaited, and for how long.
"""

from dataclasses import dataclass, field
from math import sqrt
from typing import Annotated, ClassVar, Literal, NamedTuple

from msgspec import Meta

from fleet.domain import ModelId
from fleet.events import RequestArrived, RequestFailed, RequestFinished
from fleet.holders import Instance
from fleet.policy import Rest
from fleet.view import View
from policies.room.clearing import reload_s


class Window(NamedTuple):
    """Seconds after the last request ended: loaded from `prewarm_s` on, for `keep_s`."""

    prewarm_s: float
    keep_s: float


class History:
    """Idle times of one model. Sums are kept so that a decision needs no pass over the bins."""

    __slots__ = ("beyond", "bins", "ended_at", "forecast_s", "seen", "squares", "sum_s", "sum_s2")

    def __init__(self, bins: int) -> None:
        self.bins = [0] * bins
        self.beyond = 0
        self.seen = 0
        self.squares = 0  # of the bins' counts
        self.sum_s = 0.0
        self.sum_s2 = 0.0
        self.forecast_s = 0.0
        self.ended_at: float | None = None  # when the last request ended

    def add(self, idle_s: float, bin_s: float, weight: float) -> None:
        at = int(idle_s / bin_s)
        if at < len(self.bins):
            self.squares += 2 * self.bins[at] + 1
            self.bins[at] += 1
        else:
            self.beyond += 1
        self.forecast_s += (weight if self.seen else 1.0) * (idle_s - self.forecast_s)
        self.seen += 1
        self.sum_s += idle_s
        self.sum_s2 += idle_s * idle_s

    def cv(self) -> float:
        """Of the bins' counts: deviation over mean; 0 if equal, sqrt(bins - 1) if all in one."""
        mean = (self.seen - self.beyond) / len(self.bins)
        if not mean:
            return 0.0
        return sqrt(max(0.0, self.squares / len(self.bins) - mean * mean)) / mean

    def dispersion(self, bin_s: float) -> float:
        """Variance over mean of the idle times, in bins."""
        mean_s = self.sum_s / self.seen
        variance = self.sum_s2 / self.seen - mean_s * mean_s
        return variance / mean_s / bin_s if mean_s else 0.0

    def bin_at(self, quantile: float) -> int:
        """The bin that this part of the times within range reach to."""
        left = quantile * (self.seen - self.beyond)
        for i, count in enumerate(self.bins):
            left -= count
            if left <= 0.0 and count:
                return i
        return len(self.bins) - 1


@dataclass(frozen=True)
class IdleTimes:
    """Watches when models go idle and are asked for again. Parameters as in the paper's table."""

    observes: ClassVar = (RequestArrived, RequestFinished, RequestFailed)

    variant: Literal["paper", "code"] = "paper"
    bin_s: Annotated[float, Meta(gt=0)] = 60.0
    range_s: Annotated[float, Meta(gt=0)] = 14400.0
    head: Annotated[float, Meta(ge=0, le=1)] = 0.05
    tail: Annotated[float, Meta(ge=0, le=1)] = 0.99
    margin: Annotated[float, Meta(ge=0, lt=1)] = 0.10
    least_cv: Annotated[float, Meta(ge=0)] = 2.0
    most_beyond: Annotated[float, Meta(ge=0, le=1)] = 0.5
    forecast_margin: Annotated[float, Meta(ge=0, lt=1)] = 0.15
    forecast_weight: Annotated[float, Meta(gt=0, le=1)] = 0.3
    _histories: dict[ModelId, History] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def observe(self, fact: RequestArrived | RequestFinished | RequestFailed, view: View) -> None:
        if isinstance(fact, RequestArrived):
            history = self._histories.get(fact.request.model)
            if history is not None and history.ended_at is not None:
                if is_idle(fact.request.model, view):
                    idle_s = view.now - history.ended_at
                    history.add(idle_s, self.bin_s, self.forecast_weight)
                history.ended_at = None
            return
        flight = view.flight(fact.request)
        if flight is not None and flight.command == fact.command:  # not of an earlier attempt
            bins = max(1, round(self.range_s / self.bin_s))
            history = self._histories.setdefault(flight.request.model, History(bins))
            history.ended_at = view.now

    def idle_since(self, model: ModelId) -> float | None:
        """When its last request ended; None if one has come since, or none was ever seen."""
        history = self._histories.get(model)
        return None if history is None else history.ended_at

    def window(self, model: ModelId) -> Window:
        history = self._histories.get(model)
        if self.variant == "code":
            return self._released(history)
        if history is None or not history.seen:
            return Window(0.0, self.range_s)
        if history.beyond > self.most_beyond * history.seen:
            early = (1.0 - self.forecast_margin) * history.forecast_s
            return Window(early, 2.0 * self.forecast_margin * history.forecast_s)
        if history.cv() <= self.least_cv:
            return Window(0.0, self.range_s)
        return self._of(history)

    def _released(self, history: History | None) -> Window:
        """FaasCache's simulator: where times vary LITTLE the histogram, else two hours."""
        if history is None or not history.seen or history.dispersion(self.bin_s) > self.least_cv:
            return Window(0.0, self.range_s / 2.0)
        return self._of(history)

    def _of(self, history: History) -> Window:
        prewarm_s = (1.0 - self.margin) * history.bin_at(self.head) * self.bin_s
        last_s = (history.bin_at(self.tail) + 1) * self.bin_s
        return Window(prewarm_s, (1.0 + self.margin) * last_s - prewarm_s)


def is_idle(model: ModelId, view: View) -> bool:
    """Whether nothing of the model runs or waits."""
    return not view.queued(model) and not any(i.load for i in view.ready(model))


@dataclass(frozen=True)
class HybridHistogram(IdleTimes):
    """Keep a model while its next request is likely, by a histogram of its idle times.

    Bins of 60 s over 4 h. The next request is awaited from 0.9 * P5 (that bin's lower edge) to
    1.1 * P99 (upper edge) after the last one ended: an instance stops at once if the window opens
    later than it takes to load, and else stays until it closes. The upkeep `prewarm`, meant beside
    it, starts one in time.
    While the counts' CV is at most 2 the histogram says nothing and 4 h are kept. If more than half
    of the times lie beyond it, the window is a forecast -15 % / +15 %. Variant "code" is
    FaasCache's simulator, whose test is another and the other way round: the histogram if
    variance / mean of the times <= 2 bins, else 2 h.
    """

    source: ClassVar[str] = (
        "Shahrad et al., Serverless in the Wild, ATC'20, section 4.2; code: "
        "aFuerst/faascache-sim, HIST"
    )
    departs: ClassVar[str] = (
        "The forecast is exponential smoothing, not ARIMA. Nothing is unloaded that could not be "
        "loaded again before the window opens."
    )

    def rest(self, instance: Instance, view: View) -> Rest | None:
        model = instance.model.id
        window, since = self.window(model), self.idle_since(model)
        if since is None:
            return Rest(window.keep_s)
        ran_before = instance.started_at <= since
        if ran_before and window.prewarm_s > reload_s(instance, view):
            return Rest(0.0)
        return Rest(max(0.0, since + window.prewarm_s + window.keep_s - view.now))
