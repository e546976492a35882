"""How often each artifact is asked for, adapters included: what `View.rate` has for models only."""

from collections.abc import Iterator
from math import exp

from fleet.domain import ArtifactId, Request


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
