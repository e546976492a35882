"""How often each artifact is asked for, adapters included: what `View.rate` has for models only."""

from collections.abc import Iterator
from math import exp

from fleet.domain import AdapterId, ArtifactId, ModelId, Request
from fleet.view import View


class ArtifactRates:
    """Requests per second, exponentially weighted over `window_s`. The unused are forgotten."""

    __slots__ = ("_counts", "window_s")

    #: What has fallen below this part of one request is forgotten when the rates are read.
    LEAST = 1e-3

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self._counts: dict[ArtifactId, tuple[float, float]] = {}

    def saw(self, request: Request, now: float) -> None:
        for artifact in (request.model, request.adapter):
            if artifact is not None:
                self._counts[artifact] = (self._left(artifact, now) + 1.0, now)

    def rate(self, artifact: ArtifactId, now: float) -> float:
        return self._left(artifact, now) / self.window_s

    def known(self, now: float) -> Iterator[tuple[ArtifactId, float]]:
        """Every artifact asked for lately, with its rate."""
        for artifact in list(self._counts):
            if self._left(artifact, now) < self.LEAST:
                del self._counts[artifact]
            else:
                yield artifact, self.rate(artifact, now)

    def _left(self, artifact: ArtifactId, now: float) -> float:
        count, at = self._counts.get(artifact, (0.0, now))
        return count * exp((at - now) / self.window_s)


class AdapterRates:
    """Requests per second of the adapters asked for lately, and whose adapters they are."""

    __slots__ = ("_bases", "_rates")

    def __init__(self, window_s: float) -> None:
        self._rates = ArtifactRates(window_s)
        self._bases: dict[AdapterId, ModelId] = {}

    def saw(self, request: Request, now: float) -> None:
        if request.adapter is not None:
            self._rates.saw(request, now)
            self._bases[request.adapter] = request.model

    def by_base(self, view: View) -> dict[ModelId, dict[AdapterId, float]]:
        """Of those that the fleet still has; the others are forgotten."""
        rates = dict(self._rates.known(view.now))
        found: dict[ModelId, dict[AdapterId, float]] = {}
        for adapter, base in list(self._bases.items()):
            if adapter in rates and view.known_adapter(adapter) is not None:
                found.setdefault(base, {})[adapter] = rates[adapter]
            else:
                del self._bases[adapter]
        return found
