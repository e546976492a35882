"""Who held GPU, DRAM and SSD bytes, for how long, and why; sums to all held time exactly.

Time is counted in integer nanoseconds and memory in bytes, so no rounding is ever lost: the total
over causes equals the integral of held bytes to the last digit, which `State.check` asserts.
"""

from collections import defaultdict
from collections.abc import Mapping
from enum import StrEnum

from fleet.domain import Tier


class Cause(StrEnum):
    SERVING = "serving"
    LOADING = "loading"
    IDLE = "idle"  # kept alive, or a cached copy at rest
    MIGRATION = "migration"
    WASTED = "wasted"  # loads that failed or were cancelled, and serving lost with its instance


def to_ns(at: float) -> int:
    return round(at * 1e9)


class Meter:
    """Bytes held since a moment, for one cause, in a tier of nodes of one kind."""

    __slots__ = ("cause", "held_bytes", "kind", "since_ns", "tier")

    def __init__(
        self, tier: Tier, cause: Cause, now: float, held_bytes: int = 0, kind: str = ""
    ) -> None:
        self.tier = tier
        self.kind = kind
        self.cause = cause
        self.held_bytes = held_bytes
        self.since_ns = to_ns(now)


class Ledger:
    """Byte-nanoseconds by tier, node kind and cause.

    An instance with stages on nodes of several kinds counts with its first stage's.
    """

    def __init__(self) -> None:
        self.byte_ns: dict[tuple[Tier, str], dict[Cause, int]] = defaultdict(
            lambda: dict.fromkeys(Cause, 0)
        )

    def turn(self, meter: Meter, now: float, cause: Cause) -> None:
        """Close the stint under its own cause and go on under another."""
        self.charge(meter, now, meter.cause)
        meter.cause = cause

    def resize(self, meter: Meter, now: float, held_bytes: int) -> None:
        """The same cause holds more or fewer bytes from here on."""
        self.charge(meter, now, meter.cause)
        meter.held_bytes = held_bytes

    def charge(self, meter: Meter, now: float, cause: Cause) -> None:
        """Close the stint and charge it to `cause`, which may differ from what it was meant for."""
        now_ns = round(now * 1e9)
        held_ns = (now_ns - meter.since_ns) * meter.held_bytes
        self.byte_ns[meter.tier, meter.kind][cause] += held_ns
        meter.since_ns = now_ns

    def byte_seconds(self, tier: Tier, kind: str) -> Mapping[Cause, float]:
        """What nodes of one kind held in a tier, by cause."""
        return {cause: n * 1e-9 for cause, n in self.byte_ns[tier, kind].items()}

    def total_ns(self, tier: Tier) -> int:
        """Byte-nanoseconds over all kinds and causes."""
        return sum(sum(causes.values()) for (of, _), causes in self.byte_ns.items() if of is tier)


class Holdings:
    """The integral of bytes held of one resource, kept apart from the ledger to check it."""

    __slots__ = ("byte_ns", "held_bytes", "since_ns")

    def __init__(self) -> None:
        self.held_bytes = 0
        self.byte_ns = 0
        self.since_ns = 0

    def change(self, by_bytes: int, now: float) -> None:
        self.settle(now)
        self.held_bytes += by_bytes

    def settle(self, now: float) -> int:
        """The integral up to now, byte-nanoseconds."""
        now_ns = to_ns(now)
        self.byte_ns += (now_ns - self.since_ns) * self.held_bytes
        self.since_ns = now_ns
        return self.byte_ns
