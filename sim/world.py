"""What a simulated run is made of besides the controller: truths that no policy may see."""

from collections.abc import Mapping

import msgspec

from sim.faults import FaultRates
from sim.profiles import Profile


class World(msgspec.Struct, frozen=True):
    """`profiles` by node kind. `preserved` names what every start comes from ("pool": processes
    that have done their imports). `drain_s` is how long a run may go on after the last arrival.
    """

    profiles: Mapping[str, Profile]
    faults: FaultRates = FaultRates()
    seed: int = 0
    preserved: tuple[str, ...] = ()
    store_bytes_per_s: float | None = None
    drain_s: float = 3600.0
    kv_blocks: int | None = None  # of every engine, instead of what the profile says
