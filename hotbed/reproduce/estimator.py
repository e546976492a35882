"""How far the load-time estimate is from what a load then takes, in a run of the experiment."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from fleet.commands import Command, StartInstance
from fleet.controller import Controller
from fleet.domain import InstanceId, Tier
from fleet.events import Event, InstanceReady
from hotbed.binding import bind
from hotbed.scenarios import Loaded
from policies import catalog
from sim.cluster import Cluster

#: Errors of n / b and of q + n / b, seconds.
Pair: TypeAlias = tuple[float, float]


class Errors(msgspec.Struct, frozen=True):
    """Of loads from one source, seconds: the absolute error of n / b, what the load took but for
    its wait in the loader's queue; and of q + n / b, wait included."""

    loads: int
    own_p50_s: float
    own_mean_s: float
    own_p95_s: float
    whole_p50_s: float
    whole_mean_s: float
    whole_p95_s: float


class Believed:
    """Watches a run: what each start was believed to take, and what it took."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._waiting: dict[InstanceId, tuple[str, float, float]] = {}
        self.errors_s: dict[str, list[Pair]] = {}

    def observe(self, event: Event, commands: Sequence[Command]) -> None:
        if isinstance(event, InstanceReady):
            source, queue_s, own_s = self._waiting.pop(event.instance, ("", 0.0, 0.0))
            if source:
                took_s = event.load_s - dict(event.phases).get("queue", 0.0)
                errors_s = abs(took_s - own_s), abs(event.load_s - queue_s - own_s)
                self.errors_s.setdefault(source, []).append(errors_s)
        for command in commands:
            if isinstance(command, StartInstance):
                self._waiting[command.instance] = self._belief(command)

    def _belief(self, command: StartInstance) -> tuple[str, float, float]:
        view = self._controller.view
        instance = view.instance(command.instance)
        source, node = command.sources[0], view.node(instance.node)
        tier = source.tier if source.node == node.id else Tier.REMOTE
        load_s = view.estimates.load_s(instance.model, node, tier, len(command.shards))
        return tier.name.lower(), instance.queued_s, load_s


def estimator_errors(
    loaded: Loaded, policy: str, seed: int
) -> dict[str, list[tuple[float, float]]]:
    """By source, of every load of one run: the errors of n / b and of q + n / b, seconds."""
    bound = bind(loaded.scenario, loaded.folder, seed)
    controller = Controller(bound.setup, catalog.build(policy))
    believed = Believed(controller)
    Cluster(controller, bound.world, believed.observe).run(bound.arrivals())
    return believed.errors_s


def pooled(several: Sequence[Mapping[str, Sequence[Pair]]]) -> dict[str, Errors]:
    """Of several runs together."""
    sources = sorted({source for one in several for source in one})
    return {s: _errors([errors for one in several for errors in one.get(s, ())]) for s in sources}


def _errors(found: Sequence[Pair]) -> Errors:
    own, whole = np.array(found).T
    return Errors(len(own), *_described(own), *_described(whole))


def _described(column: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    return float(np.median(column)), float(column.mean()), float(np.quantile(column, 0.95))
