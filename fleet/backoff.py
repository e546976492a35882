"""Artifacts whose last load failed, and when to try them again."""

from fleet.domain import ArtifactId

FIRST_S = 1.0
MOST_S = 60.0


class Backoff:
    """Doubles with each failure in a row, from 1 s to 60 s; a success forgets."""

    __slots__ = ("_failures", "_until")

    def __init__(self) -> None:
        self._failures: dict[ArtifactId, int] = {}
        self._until: dict[ArtifactId, float] = {}

    def failed(self, artifact: ArtifactId, now: float) -> float:
        """One more failure; returns when it may be tried again."""
        n = self._failures.get(artifact, 0)
        self._failures[artifact] = n + 1
        until = now + min(MOST_S, FIRST_S * 2.0 ** min(n, 10))
        self._until[artifact] = until
        return until

    def succeeded(self, artifact: ArtifactId) -> None:
        self._failures.pop(artifact, None)
        self._until.pop(artifact, None)

    def waits(self, artifact: ArtifactId, now: float) -> bool:
        until = self._until.get(artifact)
        return until is not None and now < until
