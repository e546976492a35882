"""Whole systems, each an expression: one answer for every question."""

from dataclasses import replace
from typing import Annotated, Literal

from msgspec import Meta

from fleet.estimates import SlowestHop
from fleet.policy import KeepAlive, Policy
from policies.admission.gates import AdmitAll, BoundedHold
from policies.estimation.bandwidth_share import BandwidthShare
from policies.keep_alive.histogram import HybridHistogram
from policies.keep_alive.idle_time import FixedKeepAlive, KeepForever, LoadTimeKeepAlive
from policies.ordering.arrival import FirstComeFirstServed, LongestWaiting
from policies.ordering.clusters import FewAdapters
from policies.ordering.fair import LeastServedNeed, VirtualTokenCounter
from policies.placement.aegaeon import AegaeonPrefill
from policies.placement.alpaserve import AlpaServePlacement
from policies.placement.anywhere import RandomPlacement
from policies.placement.earliest import EarliestReady
from policies.placement.hydraserve import HydraServe
from policies.retention.chameleon import Chameleon
from policies.retention.first_in import FirstInFirstOut
from policies.retention.greedy_dual import GreedyDualSizeFrequency
from policies.retention.recency import KeepNothing, LeastRecentlyUsed
from policies.room.mechanism import CheapestMechanism
from policies.room.migration import MigrateVictims
from policies.room.stopping import CheapestRoom, EvictIdle, NoRoom, PreemptMovable
from policies.room.warm_pool import EvictGreedyDual
from policies.routing.affinity import AdapterAffinity
from policies.routing.freeness import Freeness
from policies.routing.hashing import BoundedConsistentHash
from policies.routing.load import LeastLoaded
from policies.routing.merging import DloraDispatch
from policies.routing.prefixes import AibrixPrefix
from policies.routing.ranks import RankTable, Toppings
from policies.scaling.alpaserve import AlpaServeReplicas
from policies.scaling.concurrency import TargetConcurrency
from policies.scaling.memory import FreenessScaling
from policies.scaling.pod_autoscalers import AibrixPodAutoscaler
from policies.scaling.queue import FixedReplicas, PerQueue
from policies.scaling.released import OneStepATick
from policies.upkeep.aegaeon import AegaeonDecode
from policies.upkeep.consolidation import Consolidate
from policies.upkeep.dlora import DloraMigration
from policies.upkeep.llumnix import LlumnixMigration
from policies.upkeep.preloading import DensityKnapsack
from policies.upkeep.prewarm import Prewarm
from policies.upkeep.rank_packing import RankPacking
from policies.upkeep.replication import DloraPlacement, ReplicasOnDemand


def serverlessllm() -> Policy:
    """ServerlessLLM as published (OSDI'24): earliest ready, live migration, corrected estimates."""
    return Policy(
        admission=AdmitAll(),
        ordering=FirstComeFirstServed(),
        arbitration=LongestWaiting(),
        routing=LeastLoaded(),
        scaling=PerQueue(),
        placement=EarliestReady(),
        room=CheapestRoom((EvictIdle(), MigrateVictims())),
        retention=LeastRecentlyUsed(),
        keep_alive=LoadTimeKeepAlive(),
    )


def serverlessllm_no_migration() -> Policy:
    """ServerlessLLM's start-up-time-aware placement without live migration."""
    return replace(serverlessllm(), room=EvictIdle())


def serverlessllm_as_released() -> Policy:
    """ServerlessLLM as its repository has it (0.8), with what differs from the paper.

    An autoscaler that moves one step a second and stops what idles; estimates that are never
    corrected, know one PCIe bandwidth and no store; a host cache that drops what was loaded first;
    no migration, which cannot be switched on since 0.7, and so no way to make room but to wait.
    """
    return replace(
        serverlessllm(),
        scaling=OneStepATick(),
        room=NoRoom(),
        retention=FirstInFirstOut(),
        keep_alive=KeepForever(),
        estimation=SlowestHop("code"),
        online_estimates=False,
    )


def hotbed() -> Policy:
    """This project's own: what is in the way of a start leaves by the cheapest mechanism."""
    return replace(serverlessllm(), room=CheapestRoom((EvictIdle(), CheapestMechanism())))


def shepherd_star() -> Policy:
    """The paper's Shepherd*: ServerlessLLM's placement, preempting what it would migrate."""
    return replace(serverlessllm(), room=CheapestRoom((EvictIdle(), PreemptMovable())))


def serverless() -> Policy:
    """The paper's "Serverless": local checkpoints and caches, but a random node with room."""
    return replace(serverlessllm(), placement=RandomPlacement(), room=EvictIdle())


def ray_serve() -> Policy:
    """Ray Serve as the paper ran it: any node, every load from the remote store."""
    return replace(serverless(), retention=KeepNothing(), online_estimates=False)


def ray_serve_cached() -> Policy:
    """Ray Serve with an LRU cache of checkpoints on each node's SSD."""
    return replace(ray_serve(), retention=LeastRecentlyUsed(tiers=("ssd",)))


def static() -> Policy:
    """Nothing ever moves: one instance a model, first come, for as long as cards last."""
    return replace(
        serverlessllm(),
        scaling=FixedReplicas(1),
        room=NoRoom(),
        keep_alive=KeepForever(),
    )


def keep_alive(keep_alive_s: Annotated[float, Meta(ge=0)] = 60.0) -> Policy:
    """ServerlessLLM's placement with a fixed keep-alive, as FaaS platforms have."""
    kept: KeepAlive = FixedKeepAlive(keep_alive_s)
    return replace(serverlessllm_no_migration(), keep_alive=kept)


def gdsf() -> Policy:
    """FaasCache's GDSF in every cache; idle instances stay until their cards are needed.

    Which of them go then is GDSF's choice too.
    """
    return replace(
        serverlessllm_no_migration(),
        room=EvictGreedyDual(),
        retention=GreedyDualSizeFrequency(),
        keep_alive=KeepForever(),
    )


def hybrid_histogram(variant: Literal["paper", "code"] = "paper") -> Policy:
    """Azure's hybrid histogram (ATC'20): keep-alive and prewarming by each model's idle times."""
    return replace(
        serverlessllm_no_migration(),
        keep_alive=HybridHistogram(variant),
        upkeep=(Prewarm(variant),),
    )


def adapter_affinity(most_held: Annotated[int, Meta(ge=0)] = 256) -> Policy:
    """Adapters stay where they are attached, with spill; a bounded hold while a model loads."""
    return replace(
        serverlessllm(),
        admission=BoundedHold(most_held),
        routing=AdapterAffinity(),
        retention=GreedyDualSizeFrequency(),
    )


def chameleon() -> Policy:
    """Chameleon's adapter cache (MICRO'25) under adapter-affine routing.

    Its multi-level queue, which needs lengths predicted for each request, is not part of it.
    """
    return replace(adapter_affinity(), retention=Chameleon())


def serverlesslora() -> Policy:
    """ServerlessLoRA (arXiv 2505.14468): bases and adapters preloaded by value density.

    What is worth least a byte leaves first; requests go where their adapter is.
    """
    return replace(
        keep_alive(),
        routing=AdapterAffinity(),
        retention=GreedyDualSizeFrequency(),
        upkeep=(DensityKnapsack(),),
    )


def hydraserve(
    ttft_slo_s: Annotated[float, Meta(gt=0)] = 10.0,
    tpot_slo_s: Annotated[float, Meta(gt=0)] = 0.2,
) -> Policy:
    """HydraServe (NSDI'26): cold starts in stages on shared links, consolidated as they serve."""
    return replace(
        keep_alive(),
        placement=HydraServe(ttft_slo_s, tpot_slo_s),
        upkeep=(Consolidate(),),
        estimation=BandwidthShare(),
    )


def alpaserve() -> Policy:
    """AlpaServe (OSDI'23): a static placement of replicas for the models' rates, replanned."""
    return replace(
        serverlessllm_no_migration(),
        scaling=AlpaServeReplicas(),
        placement=AlpaServePlacement(),
        keep_alive=KeepForever(),
    )


def aegaeon(
    tbt_slo_s: Annotated[float, Meta(gt=0)] = 0.2,
    most_quota_s: Annotated[float, Meta(gt=0)] = 4.0,
) -> Policy:
    """Aegaeon (SOSP'25): groups of eight requests, and models that take turns on cards."""
    return replace(
        serverlessllm_no_migration(),
        scaling=PerQueue(per_instance=8),
        placement=AegaeonPrefill(),
        keep_alive=FixedKeepAlive(60.0, sleep_level=1),
        upkeep=(AegaeonDecode(tbt_slo_s=tbt_slo_s, most_quota_s=most_quota_s),),
    )


def kubeai() -> Policy:
    """KubeAI: prompts hashed to replicas with bounded load, replicas by mean concurrency.

    Kubernetes places pods without a look at copies and evicts none for another model.
    """
    return replace(
        ray_serve_cached(),
        routing=BoundedConsistentHash(),
        scaling=TargetConcurrency(),
        room=NoRoom(),
        keep_alive=KeepForever(),
    )


def aibrix() -> Policy:
    """AIBrix: prefix-aware routing, and its pod autoscaler (APA) on requests per replica."""
    return replace(kubeai(), routing=AibrixPrefix(), scaling=AibrixPodAutoscaler())


def fair_share() -> Policy:
    """ServerlessLLM, with slots and cards going to the tenant that was served least (VTC)."""
    return replace(serverlessllm(), ordering=VirtualTokenCounter(), arbitration=LeastServedNeed())


def llumnix() -> Policy:
    """Llumnix (OSDI'24): freeness in routing and scaling, and migration that evens it out."""
    return replace(
        keep_alive(),
        routing=Freeness(),
        scaling=FreenessScaling(),
        upkeep=(LlumnixMigration(),),
    )


def slora() -> Policy:
    """S-LoRA (MLSys'24) on each instance: batches from few adapters, the least used leave."""
    return replace(keep_alive(), ordering=FewAdapters(), routing=AdapterAffinity())


def dlora() -> Policy:
    """dLoRA (OSDI'24): dispatch by merged batches, adapters placed ahead, requests migrated."""
    return replace(
        keep_alive(),
        routing=DloraDispatch(),
        upkeep=(DloraMigration(), DloraPlacement()),
    )


def toppings(tpot_slo_s: Annotated[float, Meta(gt=0)] = 0.2) -> Policy:
    """Toppings (ATC'25): rank-aware routing over instances that hold the adapter."""
    return replace(keep_alive(), routing=Toppings(tpot_slo_s=tpot_slo_s))


def loraserve() -> Policy:
    """LoRAServe: adapters of like ranks together, re-packed as demand drifts; routed by that."""
    return replace(keep_alive(), routing=RankTable(), upkeep=(RankPacking(), ReplicasOnDemand()))
