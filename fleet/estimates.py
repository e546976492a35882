"""What the controller believes about durations: priors from specs, corrected by what it has seen.

How a load's time is believed before it happens is a policy's answer (`Estimation`). The ratio of
measured to believed time is averaged online per (model, tier, node kind), and per (tier, node kind)
for models not seen there yet. Nothing here knows a true output length or duration; all of it is
learned from events.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, Literal, Protocol, TypeAlias, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from fleet.domain import AdapterSpec, ModelId, ModelSpec, NodeSpec, Share, Tier, Whole

TierKind: TypeAlias = tuple[Tier, str]


class Belief(msgspec.Struct, frozen=True, gc=False):
    """Priors for one node kind; a scenario takes them from the kind's profile."""

    startup_s: float = 0.0  # start-up phases other than moving weights
    stop_s: float = 0.0
    wake_s: float = 0.0  # what a wake takes beside moving weights
    attach_s: float = 0.0  # what an attach takes beside moving the adapter
    prefill_s_per_token: float = 2e-4
    decode_s_per_token: float = 0.03


Seconds = TypeVar("Seconds", float, npt.NDArray[np.float64])


class Estimation(Protocol):
    """How long loads are believed to take before they happen: a question put to the policy.

    A load is of a model's part on one node (all of it but for pipelines) from the best tier there.
    """

    def load_s(self, load: "Load", node: NodeSpec, belief: Belief) -> float:
        """Seconds from start to ready on an idle path."""

    def attach_s(self, adapter: AdapterSpec, node: NodeSpec, source: Tier, belief: Belief) -> float:
        """Seconds to load an adapter into a slot on an idle path."""

    def ready_at(
        self, alone_s: Seconds, begin_at: Seconds, until: Seconds, loads: Seconds
    ) -> Seconds:
        """When a load would be ready that takes `alone_s` by itself and may begin at `begin_at`.

        By node, or for one: `until` is when the loads under way there are believed to end, `loads`
        how many they are.
        """


class Load(msgspec.Struct, frozen=True, gc=False):
    """What one node loads of a model: `nbytes` from `source` onto `gpus` cards, in equal parts."""

    model: ModelSpec
    source: Tier
    nbytes: float
    gpus: int


def load_of(model: ModelSpec, source: Tier, stages: int) -> Load:
    """One node's part of a model that is loaded in so many pipeline stages."""
    return Load(model, source, model.weight_bytes / stages, cards(model.need))


@dataclass(frozen=True)
class SlowestHop:
    """Start-up plus q + n / b: the node's loads one after another, each at its slowest hop.

    ServerlessLLM (OSDI'24, section 5.1): q is the time until the node's pending loads end, n the
    bytes of a GPU's part and b the slowest hop from the closest tier that holds the model.

    The variant "code" is what was released: no start-up, the whole checkpoint over one PCIe link
    of 25 GB/s where DRAM holds it, else over the SSD; a node without a copy comes after all others.
    """

    source: ClassVar[str] = (
        "ServerlessLLM, OSDI'24, section 5.1; code: sllm/schedulers/storage_aware_scheduler.py"
    )
    departs: ClassVar[str] = (
        "The code leaves a node without a copy out, here it is ranked last; the code lets a load "
        "from DRAM pass the node's queue, here every load waits for it."
    )

    variant: Literal["paper", "code"] = "paper"

    def load_s(self, load: Load, node: NodeSpec, belief: Belief) -> float:
        if self.variant == "code":
            return _released_s(load, node)
        return belief.startup_s + transfer_s(load.nbytes, node, load.source, load.gpus)

    def attach_s(self, adapter: AdapterSpec, node: NodeSpec, source: Tier, belief: Belief) -> float:
        return belief.attach_s + transfer_s(adapter.weight_bytes, node, source)

    def ready_at(
        self, alone_s: Seconds, begin_at: Seconds, until: Seconds, loads: Seconds
    ) -> Seconds:
        later: Seconds = np.maximum(begin_at, until)
        return later + alone_s


SLOWEST_HOP = SlowestHop()
RELEASED_PCIE_BYTES_PER_S: Final = 25e9
#: Longer than any load, and finite: what the released rule believes of a node without a copy.
NOT_HERE_S: Final = 3600.0


def _released_s(load: Load, node: NodeSpec) -> float:
    if load.source >= Tier.DRAM:
        return load.nbytes / RELEASED_PCIE_BYTES_PER_S
    disk_s = load.nbytes / node.links.ssd_bytes_per_s
    return disk_s if load.source is Tier.SSD else NOT_HERE_S + disk_s


class Pace:
    """Learned speed of one model on one node kind."""

    __slots__ = ("decode_s_per_token", "prefill_s_per_token")

    def __init__(self, belief: Belief) -> None:
        self.prefill_s_per_token = belief.prefill_s_per_token
        self.decode_s_per_token = belief.decode_s_per_token


WEIGHT = 0.2  # of the newest observation in each running mean


class Estimates:
    """Beliefs. `online=False` keeps loading to the priors, as released ServerlessLLM does."""

    def __init__(
        self,
        beliefs: dict[str, Belief],
        estimation: Estimation = SLOWEST_HOP,
        *,
        online: bool = True,
    ) -> None:
        self.beliefs = beliefs
        self.estimation = estimation
        self.online = online
        self._ratio: dict[tuple[ModelId, Tier, str], float] = {}
        self._tier_ratio: dict[TierKind, float] = {}
        self._paces: dict[tuple[ModelId, str], Pace] = {}
        self._output_tokens: dict[ModelId, float] = {}
        self._default = Belief()

    # Loading

    def load_s(
        self, model: ModelSpec, node: NodeSpec, source: Tier, stages: int | None = None
    ) -> float:
        """Seconds from start to ready on an idle path, corrected by loads seen.

        `stages` are those it would be loaded in, if not the model's own.
        """
        key = (model.id, source, node.kind)
        ratio = self._ratio.get(key)
        if ratio is None:
            ratio = self._tier_ratio.get((source, node.kind), 1.0)
        return self._prior_load_s(model, node, source, stages or model.stages) * ratio

    def wake_s(self, model: ModelSpec, node: NodeSpec, source: Tier) -> float:
        """Seconds to bring a sleeping instance back, from DRAM (level 1) or a lower tier."""
        return self.belief(node.kind).wake_s + transfer_s(model.weight_bytes, node, source)

    def attach_s(self, adapter: AdapterSpec, node: NodeSpec, source: Tier) -> float:
        """Seconds to load an adapter into a slot."""
        return self.estimation.attach_s(adapter, node, source, self.belief(node.kind))

    def belief(self, kind: str) -> Belief:
        return self.beliefs.get(kind, self._default)

    def saw_load(self, load: Load, node: NodeSpec, load_s: float, *, queued_s: float) -> None:
        """A load took `load_s`, of which `queued_s` were believed to be due to others (q).

        The rest is its own n / b. Loads that share a link may end before that wait was believed to,
        so what is left counts as no less than the prior, unless the whole was faster than it.
        """
        prior_s = self.estimation.load_s(load, node, self.belief(node.kind))
        if not self.online or prior_s <= 0.0:
            return
        ratio = max(load_s - queued_s, min(load_s, prior_s)) / prior_s
        key = (load.model.id, load.source, node.kind)
        self._ratio[key] = mean(self._ratio.get(key), ratio)
        kind = (load.source, node.kind)
        self._tier_ratio[kind] = mean(self._tier_ratio.get(kind), ratio)

    def _prior_load_s(self, model: ModelSpec, node: NodeSpec, source: Tier, stages: int) -> float:
        load = load_of(model, source, stages)
        return self.estimation.load_s(load, node, self.belief(node.kind))

    # Serving

    def pace(self, model: ModelId, kind: str) -> Pace:
        """Seconds a token, prefill and decode, of a model on a node kind."""
        key = (model, kind)
        pace = self._paces.get(key)
        if pace is None:
            pace = self._paces[key] = Pace(self.belief(kind))
        return pace

    def output_tokens(self, model: ModelId) -> float:
        """Mean output length of the model's requests so far; 128 before any was seen."""
        return self._output_tokens.get(model, 128.0)

    def saw_finish(
        self, model: ModelId, pace: Pace, prefill_s_per_token: float, decode_s: float, tokens: int
    ) -> None:
        """A request ended: seconds a prompt token, seconds from first to last token, tokens."""
        if prefill_s_per_token > 0.0:
            pace.prefill_s_per_token += WEIGHT * (prefill_s_per_token - pace.prefill_s_per_token)
        if tokens > 1:
            pace.decode_s_per_token += WEIGHT * (decode_s / (tokens - 1) - pace.decode_s_per_token)
        seen = self._output_tokens
        known = seen.get(model)
        seen[model] = float(tokens) if known is None else known + WEIGHT * (tokens - known)


def mean(known: float | None, seen: float) -> float:
    """An exponentially weighted mean, started by its first observation."""
    return seen if known is None else known + WEIGHT * (seen - known)


def cards(share: Share) -> int:
    return share.gpus if isinstance(share, Whole) else 1


def transfer_s(nbytes: float, node: NodeSpec, source: Tier, gpus: int = 1) -> float:
    """Pipelined: the slowest hop decides. Each of `gpus` cards takes an equal part over PCIe."""
    links = node.links
    hop_s = nbytes / gpus / links.pcie_bytes_per_s
    if source <= Tier.SSD:
        hop_s = max(hop_s, nbytes / links.ssd_bytes_per_s)
    if source is Tier.REMOTE:
        hop_s = max(hop_s, nbytes / links.remote_bytes_per_s)
    return hop_s
