"""Keeping an instance while the forecast rate makes it worth its cards."""

from dataclasses import dataclass, field
from math import inf, log
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import ModelId
from fleet.events import RequestArrived
from fleet.holders import Instance
from fleet.policy import Rest
from fleet.view import View
from policies.keep_alive.prices import held_price_per_s
from policies.room.clearing import reload_s


class Trend:
    """Holt's linear smoothing of arrivals per window: level and trend. Windows close as time goes.

    After the first window the level is its count; the forecast for the window to come is their sum.
    """

    __slots__ = ("count", "level", "opened_at", "trend", "windows")

    def __init__(self, opened_at: float) -> None:
        self.opened_at = opened_at
        self.count = 0
        self.level = 0.0
        self.trend = 0.0
        self.windows = 0

    def arrived(self) -> None:
        self.count += 1

    def close(self, now: float, window_s: float, alpha: float, beta: float) -> None:
        """Close every window that is over. After long silence all is forgotten."""
        over = int((now - self.opened_at) / window_s)
        for _ in range(min(over, FORGOTTEN)):
            before, forecast = self.level, max(0.0, self.level + self.trend)
            if self.windows:
                self.level = alpha * self.count + (1.0 - alpha) * forecast
                self.trend = beta * (self.level - before) + (1.0 - beta) * self.trend
            else:
                self.level = float(self.count)
            self.windows += 1
            self.count = 0
        if over > FORGOTTEN:
            self.level = self.trend = 0.0
        self.opened_at += over * window_s

    def forecast(self) -> float:
        """Arrivals awaited in the window that is open: no fewer than have come."""
        return max(self.level + self.trend, float(self.count), 0.0)


#: Silent windows after which nothing is left of a level.
FORGOTTEN = 200


@dataclass(frozen=True)
class ForecastKeepAlive:
    """Keep while P(an arrival within the time to load) * cost of a cold start > cost of waiting.

    Holt's smoothing of arrivals in windows of `window_s` forecasts a rate r; P = 1 - e^(-r * load),
    a cold start costs load * (cards + `penalty_per_s`), the wait load * cards. So it is kept while
    r > r* = ln(1 + cards / penalty) / load. Without arrivals r falls by about (1 - alpha) a
    window, which says when that will be: window * ln(r / r*) / -ln(1 - alpha) from now on. Prices
    as in `break_even`.
    """

    source: ClassVar[str] = "this project's; Holt (1957, reprinted Int. J. Forecasting 20, 2004)"
    observes: ClassVar = (RequestArrived,)

    window_s: Annotated[float, Meta(gt=0)] = 60.0
    level_weight: Annotated[float, Meta(gt=0, lt=1)] = 0.3
    trend_weight: Annotated[float, Meta(ge=0, le=1)] = 0.1
    penalty_per_s: Annotated[float, Meta(gt=0)] = 0.01
    price_per_gpu_h: Annotated[float, Meta(gt=0)] = 2.0
    _trends: dict[ModelId, Trend] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def observe(self, fact: RequestArrived, view: View) -> None:
        self._trend(fact.request.model, view.now).arrived()

    def rest(self, instance: Instance, view: View) -> Rest | None:
        rate = self._trend(instance.model.id, view.now).forecast() / self.window_s
        least = self.least_rate(instance, view)
        if rate <= least:
            return Rest(0.0)
        return Rest(self.window_s * log(rate / least) / -log(1.0 - self.level_weight))

    def least_rate(self, instance: Instance, view: View) -> float:
        """r*: arrivals per second below which its cards cost more than they save."""
        load_s = reload_s(instance, view)
        cards = held_price_per_s(instance, self.price_per_gpu_h, view)
        return log(1.0 + cards / self.penalty_per_s) / load_s if load_s > 0.0 else inf

    def _trend(self, model: ModelId, now: float) -> Trend:
        trend = self._trends.get(model)
        if trend is None:
            trend = self._trends[model] = Trend(now)
        trend.close(now, self.window_s, self.level_weight, self.trend_weight)
        return trend
