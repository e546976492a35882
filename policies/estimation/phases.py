"""Load times from what each phase of earlier start-ups took.

It learns from the phases that instances report; it does not know what a phase does.
"""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.commands import StartInstance
from fleet.domain import AdapterSpec, NodeSpec, Tier
from fleet.estimates import SLOWEST_HOP, Belief, Load, Seconds, TierKind, load_of
from fleet.events import InstanceReady
from fleet.view import View
from policies.estimation.pipelined import Pipelined, pipelined_s

WEIGHTS = "weights"  # the phase that moves bytes
QUEUE = "queue"  # the wait for other loads, of a loader that takes them in turn


@dataclass(frozen=True)
class LearnedPhases:
    """The sum of the mean of each start-up phase, by node kind, plus the weights' own time.

    t = sum of phase means + pipelined(n) * slowness, where slowness is the mean of (measured
    seconds of the weights, less what others made it wait) / pipelined(n), by tier and node kind: a
    learned bandwidth. Means are exponential with weight `newest`; a kind that no start-up was
    seen of yet has its prior. One small model so teaches the start-up of all, which a single ratio
    of measured to believed time cannot.
    """

    source: ClassVar[str] = (
        "phases: Ray Serve LLM's deployment initialisation (ray issue 57922), vLLM's sleep mode; "
        "bandwidths: ServerlessLLM, OSDI'24, section 5.1 (estimates corrected by measured loads)"
    )
    departs: ClassVar[str] = "Means, no distributions; the engine's model plays no part in a phase."

    observes: ClassVar = (InstanceReady,)

    newest: Annotated[float, Meta(gt=0, le=1)] = 0.2
    chunk_bytes: Annotated[float, Meta(ge=0)] = 32 * 2**20
    _phases: dict[str, dict[str, float]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _slowness: dict[TierKind, float] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def load_s(self, load: Load, node: NodeSpec, belief: Belief) -> float:
        phases = self._phases.get(node.kind)
        startup_s = belief.startup_s if phases is None else sum(phases.values())
        slowness = self._slowness.get((load.source, node.kind), 1.0)
        return startup_s + slowness * self._alone_s(load, node)

    def attach_s(self, adapter: AdapterSpec, node: NodeSpec, source: Tier, belief: Belief) -> float:
        return Pipelined(self.chunk_bytes).attach_s(adapter, node, source, belief)

    def ready_at(
        self, alone_s: Seconds, begin_at: Seconds, until: Seconds, loads: Seconds
    ) -> Seconds:
        return SLOWEST_HOP.ready_at(alone_s, begin_at, until, loads)

    def observe(self, fact: InstanceReady, view: View) -> None:
        start = view.ordered(fact.command)
        if not isinstance(start, StartInstance):
            return
        node = view.node(start.shards[0].node)
        known = self._phases.setdefault(node.kind, {})
        phases = dict(fact.phases)
        if WEIGHTS in phases:
            waited_s = 0.0 if QUEUE in phases else view.instance(start.instance).queued_s
            self._saw_weights(start, node, (phases[WEIGHTS], waited_s), view)
        for name, seconds in phases.items():
            if name not in (WEIGHTS, QUEUE):
                known[name] = self._mean(known.get(name), seconds)

    def _saw_weights(
        self, start: StartInstance, node: NodeSpec, took: tuple[float, float], view: View
    ) -> None:
        """`took` seconds, and those believed to be due to others: the rest is no less than nominal,
        unless the whole was faster than that."""
        took_s, waited_s = took
        source = start.sources[0]
        tier = source.tier if source.node == node.id else Tier.REMOTE
        alone_s = self._alone_s(load_of(view.model(start.model), tier, len(start.shards)), node)
        if alone_s > 0.0:
            own_s = max(took_s - waited_s, min(took_s, alone_s))
            key = (tier, node.kind)
            self._slowness[key] = self._mean(self._slowness.get(key), own_s / alone_s)

    def _alone_s(self, load: Load, node: NodeSpec) -> float:
        return pipelined_s(load, node, self.chunk_bytes)

    def _mean(self, known: float | None, seen: float) -> float:
        return seen if known is None else known + self.newest * (seen - known)
