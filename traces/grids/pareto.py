"""Cost against latency: which policies nobody beats at both, and by whom the others are beaten.

It knows a cell's contests, and what of them is beyond chance.
"""

from dataclasses import dataclass

from traces.grids.contest import Contest


@dataclass(frozen=True, slots=True)
class Spot:
    policy: str
    cost: float
    latency_s: float

    def dominates(self, other: "Spot") -> bool:
        """No worse at either, better at one."""
        no_worse = self.cost <= other.cost and self.latency_s <= other.latency_s
        return no_worse and (self.cost, self.latency_s) != (other.cost, other.latency_s)


@dataclass(frozen=True, slots=True)
class Front:
    """One cell. `best` are on the frontier, by rising cost; `dominated` says by whom, `surely` only
    where both differences are real. `unsettled` have no latency, by name why; `partly` were
    saturated in some seeds."""

    cell: str
    spots: tuple[Spot, ...]
    best: tuple[str, ...]
    dominated: dict[str, str]
    surely: dict[str, str]
    unsettled: dict[str, str]
    partly: frozenset[str]

    def spot(self, policy: str) -> Spot:
        return next(own for own in self.spots if own.policy == policy)


def front_of(cost: Contest, latency: Contest) -> Front:
    """Of one cell's contests for a cost and a latency; means over seeds."""
    prices = {own.policy: own.mean for own in cost.standings}
    spots = [
        Spot(own.policy, price.estimate, own.mean.estimate)
        for own in latency.standings
        if own.mean is not None and (price := prices[own.policy]) is not None
    ]
    spots.sort(key=lambda spot: (spot.cost, spot.latency_s))
    above = {spot.policy: [o for o in spots if o.dominates(spot)] for spot in spots}
    surely = {
        policy: [o for o in own if _real(o.policy, policy, cost, latency)]
        for policy, own in above.items()
    }
    return Front(
        cell=latency.cell,
        spots=tuple(spots),
        best=tuple(spot.policy for spot in spots if not above[spot.policy]),
        dominated=_by_fastest(above),
        surely=_by_fastest(surely),
        unsettled={own.policy: own.note for own in latency.standings if own.mean is None},
        partly=frozenset(own.policy for own in latency.standings if own.mean and own.note),
    )


def _real(one: str, other: str, cost: Contest, latency: Contest) -> bool:
    return cost.real(one, other) and latency.real(one, other)


def _by_fastest(above: dict[str, list[Spot]]) -> dict[str, str]:
    """The dominating policy with the least latency, for each that has one."""
    return {
        policy: min(own, key=lambda spot: spot.latency_s).policy
        for policy, own in above.items()
        if own
    }
