"""ServerlessLoRA's preloading: what saves most loading a byte lies in DRAM."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from fleet.commands import Command, Drop, Fetch
from fleet.domain import ArtifactId, ModelId, NodeId, Place, Tier
from fleet.events import RequestArrived
from fleet.plans import UNNUMBERED, Plan, Step, Steps
from fleet.view import View
from policies.retention.victims import take
from policies.upkeep.rates import ArtifactRates


@dataclass(frozen=True)
class Item:
    """Something worth having in DRAM. `density`: seconds of loading saved, per second and byte."""

    artifact: ArtifactId
    nbytes: int
    density: float
    base: ModelId | None


@dataclass(frozen=True)
class DensityKnapsack:
    """Fill the fleet's DRAM by rho = load delay * request rate / bytes, the densest first.

    Load delay: believed seconds from SSD or the remote store, less those from DRAM. A base comes
    before its adapters, and an adapter goes where its base runs or is to lie. Each item goes to one
    node with room: where it lies already, else where it is nearest, else where most is free.
    Missing items are fetched, one a node and period; where there is no room the least dense
    copies beyond the wanted are dropped first. Rates are weighted over `window_s`. It is greedy
    and works on a timer: O(items * nodes) each `every_s`.
    """

    source: ClassVar[str] = "ServerlessLoRA (arXiv 2505.14468), pre-loading by value density"
    departs: ClassVar[str] = (
        "ServerlessLoRA also places libraries and kernels, on GPUs too; here bases and adapters go "
        "to host memory. It plans again each second, and drops and fetches at once."
    )
    observes: ClassVar = (RequestArrived,)

    every_s: Annotated[float, Meta(gt=0)] = 10.0
    window_s: Annotated[float, Meta(gt=0)] = 600.0
    _rates: ArtifactRates = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rates", ArtifactRates(self.window_s))

    def observe(self, fact: RequestArrived, view: View) -> None:
        self._rates.saw(fact.request, view.now)

    def tend(self, view: View) -> Iterator[Plan]:
        if not len(view.nodes):
            return
        items = worth_having(self._rates, view)
        density = {item.artifact: item.density for item in items}
        for node, wanted in enumerate(placed(items, view)):
            steps = next_steps(NodeId(node), wanted, density, view)
            if steps:
                yield Steps(steps, view.now)


def worth_having(rates: ArtifactRates, view: View) -> list[Item]:
    """What is asked for, the densest first; no adapter before its base."""
    models = {m.id: m for m in view.models()}
    example = view.nodes.examples[0]
    estimates = view.estimates
    items: dict[ArtifactId, Item] = {}
    for artifact, rate in rates.known(view.now):
        away = below_dram(artifact, view)
        model = models.get(ModelId(artifact))
        if model is not None:
            from_dram_s = estimates.load_s(model, example, Tier.DRAM)
            delay_s = estimates.load_s(model, example, away) - from_dram_s
            density = rate * delay_s / model.weight_bytes
            items[artifact] = Item(artifact, model.weight_bytes, density, None)
        elif (adapter := view.known_adapter(artifact)) is not None:
            from_dram_s = estimates.attach_s(adapter, example, Tier.DRAM)
            delay_s = estimates.attach_s(adapter, example, away) - from_dram_s
            density = rate * delay_s / adapter.weight_bytes
            items[artifact] = Item(artifact, adapter.weight_bytes, density, adapter.model)

    def turn(item: Item) -> tuple[float, bool, int]:
        base = items.get(item.base) if item.base is not None else None
        density = item.density if base is None else min(item.density, base.density)
        return -density, item.base is not None, item.artifact

    return sorted((i for i in items.values() if i.density > 0.0), key=turn)


def below_dram(artifact: ArtifactId, view: View) -> Tier:
    """Where a load would come from if no copy lay in DRAM."""
    on_ssd = (view.pool(n, Tier.SSD).has(artifact) for n in view.cached(artifact))
    return Tier.SSD if any(on_ssd) else Tier.REMOTE


def placed(items: Sequence[Item], view: View) -> list[dict[ArtifactId, None]]:
    """By node: what should lie in its DRAM, the densest first."""
    specs, alive = view.nodes.specs, view.nodes.alive
    left = np.array([s.dram_bytes if a else -1 for s, a in zip(specs, alive, strict=True)], float)
    most = max(1.0, float(left.max(initial=0.0)))
    wanted: list[dict[ArtifactId, None]] = [{} for _ in specs]
    homes: dict[ModelId, npt.NDArray[np.bool_]] = {}
    for item in items:
        fits = left >= item.nbytes
        if item.base is not None:
            fits &= homes.setdefault(item.base, running(item.base, view))
        if not fits.any():
            continue
        nearest = view.tiers(item.artifact) + 0.5 * left / most  # a tier counts for more than room
        node = int(np.where(fits, nearest, -1.0).argmax())
        left[node] -= item.nbytes
        wanted[node][item.artifact] = None
        if item.base is None:
            model = ModelId(item.artifact)
            homes[model] = running(model, view)
            homes[model][node] = True
    return wanted


def running(model: ModelId, view: View) -> npt.NDArray[np.bool_]:
    """By node: whether a ready instance of the model is there."""
    there = np.zeros(len(view.nodes), np.bool_)
    for instance in view.ready(model):
        there[instance.node] = True
    return there


def next_steps(
    node: NodeId, wanted: Iterable[ArtifactId], density: Mapping[ArtifactId, float], view: View
) -> tuple[Step[Command], ...]:
    """Fetch the densest of what is missing on the node, or drop what is in its way."""
    pool = view.pool(node, Tier.DRAM)
    missing = next((a for a in wanted if a not in pool), None)
    if missing is None:
        return ()
    here = Place(node, Tier.DRAM)
    short = view.size(missing) - pool.free
    if short <= 0:
        return (Step(Fetch(UNNUMBERED, missing, view.source(missing, node), here)),)
    kept = set(wanted)
    others = [e for e in pool.evictable() if e.artifact not in kept]
    leaving = take(sorted(others, key=lambda e: density.get(e.artifact, 0.0)), short)
    return tuple(Step(Drop(UNNUMBERED, e.artifact, here)) for e in leaving or ())
