"""One hop's fitted numbers, and a profile with them in place.

It knows which fields of a profile pace which hop, and not where the numbers come from.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from sim.profiles import Figure, Profile, TierLoad

#: The link that a hop's bytes come over, as `sim.profiles.Links` names it.
LINKS: Final = {
    "dram": "pcie_bytes_per_s",
    "ssd": "ssd_bytes_per_s",
    "remote": "remote_bytes_per_s",
}


@dataclass(frozen=True, slots=True)
class Pace:
    """A load alone takes base_s and bytes / alone_bytes_per_s; n at once share the link's
    link_bytes_per_s / (1 + sharing_loss * (n - 1)). The link is never slower than one load."""

    base_s: float
    alone_bytes_per_s: float
    link_bytes_per_s: float
    sharing_loss: float = 0.0

    @property
    def efficiency(self) -> float:
        return min(1.0, self.alone_bytes_per_s / self.link_bytes_per_s)


def pace_of(profile: Profile, hop: str) -> Pace:
    """What a profile says of a hop."""
    load: TierLoad | None = getattr(profile.loads, hop)
    link: Figure = getattr(profile.links, LINKS[hop])
    if load is None:
        return Pace(0.0, link.value, link.value)
    return Pace(load.base_s, load.efficiency * link.value, link.value, load.sharing_loss)


def paced(
    profile: Profile, hop: str, pace: Pace, cv: float = 0.0, source: str = "a fit under way"
) -> Profile:
    """The profile with the hop's link and load as `pace` has them."""
    link = Figure(value=pace.link_bytes_per_s, source=source)
    load = TierLoad(
        efficiency=pace.efficiency,
        cv=cv,
        base_s=pace.base_s,
        sharing_loss=pace.sharing_loss,
        source=source,
    )
    replace = msgspec.structs.replace
    return replace(
        profile,
        links=replace(profile.links, **{LINKS[hop]: link}),
        loads=replace(profile.loads, **{hop: load}),
    )
