"""What goes wrong in a simulated run, and when: rates, and draws from streams of their own.

Each kind of fault has its own named stream (node losses one a node), so that switching one on
leaves the others where they were. A kind with rate zero draws nothing. It knows no cluster: the
driver asks, and makes happen what it is told.
"""

import math
import random

import msgspec

from fleet.domain import NodeId
from fleet.streams import Streams

SECONDS_PER_HOUR = 3600.0


class FaultRateError(ValueError):
    """A rate that cannot be; the message names the field, its value and what is allowed."""


class FaultRates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often things fail. All zero: nothing ever does."""

    node_loss_per_node_hour: float = 0.0
    repair_s: float | None = None  # None: a lost node stays lost
    engine_crash_per_instance_hour: float = 0.0
    load_failure_probability: float = 0.0
    slow_load_probability: float = 0.0
    slow_load_factor: float = 1.0  # a slow load takes this many times as long
    late_report_probability: float = 0.0
    late_report_s: float = 0.0
    fetch_failure_probability: float = 0.0
    full_disk_probability: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is None:
                continue
            low, high = _range(name)
            if not low <= value <= high or not math.isfinite(value):
                allowed = f"between {low:g} and {high:g}" if high < math.inf else f"{low:g} or more"
                raise FaultRateError(f"{name} is {value}; it must be finite and {allowed}")


def _range(name: str) -> tuple[float, float]:
    if name.endswith("_probability"):
        return 0.0, 1.0
    return (1.0, math.inf) if name.endswith("_factor") else (0.0, math.inf)


class LoadOutcome(msgspec.Struct, frozen=True, gc=False):
    """What becomes of one load: where it breaks off, if it does, and how slow it is."""

    fails_after_fraction: float | None = None
    slow_factor: float = 1.0


UNDISTURBED = LoadOutcome()


class Faults:
    """The draws of one run. Times are seconds from the moment of asking; `inf` is never."""

    def __init__(self, rates: FaultRates, streams: Streams) -> None:
        self.rates = rates
        self._named = streams.named
        self._streams: dict[str, random.Random] = {}

    def next_node_loss_s(self, node: NodeId) -> float:
        """How long this node lives from here on: exponential, one stream a node."""
        rate = self.rates.node_loss_per_node_hour
        return self._exponential(rate, f"node_loss/{node}")

    def repair_after_s(self) -> float | None:
        """How long a lost node is away; None where it stays lost."""
        return self.rates.repair_s

    def engine_crash_after_s(self) -> float:
        """How long an engine lives from here on: exponential."""
        return self._exponential(self.rates.engine_crash_per_instance_hour, "engine_crash")

    def load_outcome(self) -> LoadOutcome:
        """What becomes of the next load. A load that breaks off may have been a slow one."""
        fraction = self._break_off(self.rates.load_failure_probability, "load_failure")
        slow = self._happens(self.rates.slow_load_probability, "slow_load")
        if fraction is None and not slow:
            return UNDISTURBED
        return LoadOutcome(fraction, self.rates.slow_load_factor if slow else 1.0)

    def fetch_fails_after_fraction(self) -> float | None:
        """The part of the bytes after which the next fetch breaks off; None if it does not."""
        return self._break_off(self.rates.fetch_failure_probability, "fetch_failure")

    def disk_is_full(self) -> bool:
        """Whether the next write to an SSD is refused: something else has filled the disk."""
        return self._happens(self.rates.full_disk_probability, "full_disk")

    def report_delay_s(self) -> float:
        """How late the next report reaches the controller."""
        late = self._happens(self.rates.late_report_probability, "late_report")
        return self.rates.late_report_s if late else 0.0

    def _stream(self, kind: str) -> random.Random:
        stream = self._streams.get(kind)
        if stream is None:
            stream = self._streams[kind] = self._named(f"faults/{kind}")
        return stream

    def _exponential(self, per_hour: float, kind: str) -> float:
        if per_hour <= 0.0:
            return math.inf
        return self._stream(kind).expovariate(per_hour / SECONDS_PER_HOUR)

    def _happens(self, probability: float, kind: str) -> bool:
        return probability > 0.0 and self._stream(kind).random() < probability

    def _break_off(self, probability: float, kind: str) -> float | None:
        if probability <= 0.0:
            return None
        # Two draws whether it fails or not: a higher rate then adds failures to the same ones.
        fails, fraction = self._stream(kind).random(), self._stream(kind).random()
        return fraction if fails < probability else None
