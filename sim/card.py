"""A card whose time several engines share: each of m engines with work runs at 1/m of full speed.

Knows which engines have work, not what they do.
"""

from sim.engine import Engine


class Card:
    """Processor sharing of one card. An engine that is alone on its cards needs none."""

    __slots__ = ("_moved", "engines", "working")

    def __init__(self) -> None:
        self.engines: list[Engine] = []
        self.working = 0  # engines with an iteration in progress
        self._moved: list[Engine] = []

    def enter(self, engine: Engine, at: float) -> None:
        """An idle engine is about to start."""
        self.working += 1
        self._share(at)
        engine.slow_down(self.working)

    def leave(self, at: float) -> None:
        """An engine has come to rest."""
        self.working -= 1
        self._share(at)

    def _share(self, at: float) -> None:
        for engine in self.engines:
            if engine.busy:
                engine.stretch(at, self.working)
                self._moved.append(engine)

    def take_moved(self) -> list[Engine]:
        """Engines whose `next_at` another one has changed since the last call."""
        moved = self._moved
        self._moved = []
        return moved
