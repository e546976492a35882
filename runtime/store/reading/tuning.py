"""How many threads read at once: more while that makes the first chunks land faster.

Most disks are at their best with four; a stripe of several takes more. It knows no clock: it is
told when bytes landed.
"""

from typing import Final

START: Final = 4
MOST: Final = 32
WINDOW_CHUNKS: Final = 8  # of every thread: a rate over fewer is chance
GAIN: Final = 1.1  # less than this is noise, and threads cost


class Tuning:
    """Doubles the threads until a doubling gains too little, then keeps the better number."""

    def __init__(self, start: int = START, most: int = MOST) -> None:
        self.threads = start
        self.settled = False
        self._most = most
        self._best_rate = 0.0
        self._before = start  # the threads that gave the best rate
        self._begun_at: float | None = None
        self._bytes = 0
        self._chunks = 0

    def landed(self, size_bytes: int, at: float) -> None:
        """Some bytes landed at a time in seconds, all threads being busy up to then."""
        if self.settled:
            return
        if self._begun_at is None:  # the first of a window only starts its clock
            self._begun_at = at
            return
        self._bytes += size_bytes
        self._chunks += 1
        if self._chunks >= 2 * self.threads and self._chunks >= WINDOW_CHUNKS:
            self._judge(self._bytes / max(at - self._begun_at, 1e-9))

    def idle(self) -> None:
        """There was too little to read: what was measured says nothing."""
        self._begun_at, self._bytes, self._chunks = None, 0, 0

    def _judge(self, rate: float) -> None:
        if rate < self._best_rate * GAIN:
            self.threads = self._before
            self.settled = True
        else:
            self._best_rate, self._before = rate, self.threads
            self.threads = min(2 * self.threads, self._most)
            self.settled = self.threads == self._before
        self.idle()
