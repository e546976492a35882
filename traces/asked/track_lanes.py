"""Tracks side by side for what may overlap: whoever comes takes the first that is free.

Knows tracks and names, not what stands on them.
"""

from traces.asked.chrome_trace import ChromeTrace, Track


class TrackLanes:
    """As many tracks called `name`, `name (2)` and so on as were ever needed at once."""

    def __init__(self, trace: ChromeTrace, pid: int, name: str, place: int) -> None:
        self._trace = trace
        self._pid = pid
        self._name = name
        self._place = place
        self._tracks: list[Track] = []
        self._free: list[bool] = []

    def take(self) -> tuple[int, Track]:
        """The first free lane, by number; made where none is."""
        for number, free in enumerate(self._free):
            if free:
                self._free[number] = False
                return number, self._tracks[number]
        number = len(self._tracks)
        name = self._name if not number else f"{self._name} ({number + 1})"
        self._tracks.append(self._trace.track(self._pid, name, self._place))
        self._free.append(False)
        return number, self._tracks[number]

    def give(self, number: int) -> None:
        self._free[number] = True
