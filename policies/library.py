"""Every policy and every whole system by name: data, a line each. It builds none of them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from fleet import policy as protocols
from fleet.estimates import Estimation, SlowestHop
from fleet.policy import Policy
from policies import recipes
from policies.admission import budgets, feasible, gates
from policies.estimation import bandwidth_share, phases, pipelined, rank_linear
from policies.keep_alive import forecast, histogram, idle_time, prices
from policies.ordering import arrival, clusters, deadlines, deficit, fair, length, newest
from policies.placement import aegaeon, alpaserve, anywhere, earliest, hydraserve, locality, tangram
from policies.retention import (
    arc,
    chameleon,
    chance,
    first_in,
    foresight,
    frequency,
    greedy_dual,
    recency,
    s3fifo,
    sieve,
)
from policies.room import draining, knapsack, mechanism, migration, stopping, warm_pool
from policies.routing import (
    affinity,
    filter_score,
    freeness,
    hashing,
    kv_aware,
    load,
    merging,
    prefixes,
    ranks,
    scorers,
    scoring,
    shares,
    tokens,
)
from policies.scaling import alpaserve as alpaserve_replicas
from policies.scaling import concurrency, lookahead, memory, pod_autoscalers, queue, released
from policies.upkeep import aegaeon as turns
from policies.upkeep import (
    consolidation,
    defragmentation,
    dlora,
    llumnix,
    prefetch,
    preloading,
    prewarm,
    rank_packing,
    replication,
    tenants,
)

Named = dict[str, type[Any]]
CATALOG: Final[Mapping[str, Named]] = MappingProxyType(
    {
        "admission": {
            "admit_all": gates.AdmitAll,
            "bounded_hold": gates.BoundedHold,
            "gate": gates.Gate,
            "token_bucket": budgets.TokenBucket,
            "probabilistic_shed": feasible.ProbabilisticShed,
            "slo_feasible": feasible.SloFeasible,
        },
        "ordering": {
            "fcfs": arrival.FirstComeFirstServed,
            "edf": deadlines.EarliestDeadline,
            "vtc": fair.VirtualTokenCounter,
            "shortest_first": length.ShortestFirst,
            "dlpm": deficit.DeficitLongestPrefix,
            "newest_first": newest.NewestFirst,
            "slora_cluster": clusters.FewAdapters,
        },
        "arbitration": {
            "longest_waiting": arrival.LongestWaiting,
            "edf": deadlines.EarliestDeadlineNeed,
            "vtc": fair.LeastServedNeed,
        },
        "routing": {
            "least_loaded": load.LeastLoaded,
            "adapter_affinity": affinity.AdapterAffinity,
            "power_of_two": load.PowerOfTwo,
            "session_hash": hashing.SessionHash,
            "chwbl": hashing.BoundedConsistentHash,
            "prefix_aibrix": prefixes.AibrixPrefix,
            "preble": prefixes.Preble,
            "kv_aware": kv_aware.KvAware,
            "freeness": freeness.Freeness,
            "least_tokens": tokens.LeastTokens,
            "filter_score": filter_score.FilterScore,
            "vtc_basic": shares.VtcBasic,
            "toppings": ranks.Toppings,
            "loraserve": ranks.RankTable,
            "dlora_dispatch": merging.DloraDispatch,
        },
        "scaling": {
            "per_queue": queue.PerQueue,
            "fixed": queue.FixedReplicas,
            "bounded": queue.Bounded,
            "concurrency": concurrency.TargetConcurrency,
            "ray_serve": concurrency.RayServeAutoscaler,
            "kpa": pod_autoscalers.KnativePodAutoscaler,
            "apa": pod_autoscalers.AibrixPodAutoscaler,
            "freeness": memory.FreenessScaling,
            "blitz_bounds": memory.BlitzBounds,
            "lookahead": lookahead.QueueLookahead,
            "serverlessllm": released.OneStepATick,
            "alpaserve": alpaserve_replicas.AlpaServeReplicas,
        },
        "placement": {
            "earliest_ready": earliest.EarliestReady,
            "random": anywhere.RandomPlacement,
            "locality": locality.Locality,
            "hydraserve": hydraserve.HydraServe,
            "tangram": tangram.TangramAffinity,
            "alpaserve": alpaserve.AlpaServePlacement,
            "aegaeon_prefill": aegaeon.AegaeonPrefill,
        },
        "room": {
            "none": stopping.NoRoom,
            "evict_idle": stopping.EvictIdle,
            "evict_greedy_dual": warm_pool.EvictGreedyDual,
            "migrate": migration.MigrateVictims,
            "preempt": stopping.PreemptVictims,
            "preempt_movable": stopping.PreemptMovable,
            "drain": draining.DrainBusy,
            "cheapest": stopping.CheapestRoom,
            "serverlessllm_dp": knapsack.KnapsackVictims,
            "cheapest_mechanism": mechanism.CheapestMechanism,
        },
        "retention": {
            "lru": recency.LeastRecentlyUsed,
            "fifo": first_in.FirstInFirstOut,
            "lfu": frequency.LeastFrequentlyUsed,
            "random": chance.RandomRetention,
            "s3fifo": s3fifo.S3Fifo,
            "sieve": sieve.Sieve,
            "arc": arc.AdaptiveReplacement,
            "gdsf": greedy_dual.GreedyDualSizeFrequency,
            "landlord": greedy_dual.Landlord,
            "hyperbolic": frequency.Hyperbolic,
            "chameleon": chameleon.Chameleon,
            "lorax_cycle": first_in.LoraxCycle,
            "belady": foresight.Belady,
            "nothing": recency.KeepNothing,
        },
        "keep_alive": {
            "fixed": idle_time.FixedKeepAlive,
            "load_time": idle_time.LoadTimeKeepAlive,
            "forever": idle_time.KeepForever,
            "hybrid_histogram": histogram.HybridHistogram,
            "break_even": prices.BreakEven,
            "ladder": prices.Ladder,
            "forecast": forecast.ForecastKeepAlive,
        },
        "estimation": {
            "slowest_hop": SlowestHop,
            "pipelined": pipelined.Pipelined,
            "phases": phases.LearnedPhases,
            "bandwidth_share": bandwidth_share.BandwidthShare,
            "rank_linear": rank_linear.RankLinear,
        },
        "upkeep": {
            "consolidate": consolidation.Consolidate,
            "aegaeon_decode": turns.AegaeonDecode,
            "prefetch_popular": prefetch.PrefetchPopular,
            "density_knapsack": preloading.DensityKnapsack,
            "tenant_sticky": tenants.TenantSticky,
            "prewarm": prewarm.Prewarm,
            "llumnix_migration": llumnix.LlumnixMigration,
            "defragment": defragmentation.Defragment,
            "dlora_migration": dlora.DloraMigration,
            "loraserve": rank_packing.RankPacking,
            "dlora_placement": replication.DloraPlacement,
            "adapter_replicas": replication.ReplicasOnDemand,
        },
    }
)

#: What some answers are made of, by kind: no question of their own.
PARTS: Final[Mapping[str, Named]] = MappingProxyType(
    {
        "filter": {"low_queue": filter_score.LowQueue, "low_kv": filter_score.LowKv},
        "scorer": {
            "prefix": scorers.PrefixScorer,
            "queue": scorers.QueueScorer,
            "kv": scorers.KvScorer,
            "lora_affinity": scorers.LoraAffinityScorer,
            "load_aware": scorers.LoadAwareScorer,
            "no_hit_lru": scorers.NoHitLruScorer,
        },
        "picker": {
            "max_score": filter_score.MaxScore,
            "weighted_random": filter_score.WeightedRandom,
        },
    }
)

#: The protocol of each question, and what its policies can do.
ASKED: Final[Mapping[str, tuple[type[Any], tuple[str, ...]]]] = MappingProxyType(
    {
        "admission": (protocols.Admission, ("admit",)),
        "ordering": (protocols.Ordering, ("next",)),
        "arbitration": (protocols.Arbitration, ("next",)),
        "routing": (protocols.Routing, ("route",)),
        "scaling": (protocols.Scaling, ("wanted",)),
        "placement": (protocols.Placement, ("place",)),
        "room": (protocols.Room, ("reach", "make")),
        "retention": (protocols.Retention, ("keeps", "victims", "used")),
        "keep_alive": (protocols.KeepAlive, ("rest",)),
        "estimation": (Estimation, ("load_s", "attach_s", "ready_at")),
        "upkeep": (protocols.Upkeep, ("every_s", "tend")),
    }
)

#: The same of each kind of part.
SHAPES: Final[Mapping[str, tuple[type[Any], tuple[str, ...]]]] = MappingProxyType(
    {
        "filter": (scoring.Filter, ("sift",)),
        "scorer": (scoring.Scorer, ("weight", "scores")),
        "picker": (scoring.Picker, ("pick",)),
    }
)

RECIPES: Final[Mapping[str, Callable[..., Policy]]] = MappingProxyType(
    {
        "serverlessllm": recipes.serverlessllm,
        "serverlessllm_no_migration": recipes.serverlessllm_no_migration,
        "serverlessllm_as_released": recipes.serverlessllm_as_released,
        "hotbed": recipes.hotbed,
        "shepherd_star": recipes.shepherd_star,
        "serverless": recipes.serverless,
        "ray_serve": recipes.ray_serve,
        "ray_serve_cached": recipes.ray_serve_cached,
        "static": recipes.static,
        "keep_alive": recipes.keep_alive,
        "gdsf": recipes.gdsf,
        "hybrid_histogram": recipes.hybrid_histogram,
        "adapter_affinity": recipes.adapter_affinity,
        "chameleon": recipes.chameleon,
        "serverlesslora": recipes.serverlesslora,
        "llumnix": recipes.llumnix,
        "slora": recipes.slora,
        "dlora": recipes.dlora,
        "toppings": recipes.toppings,
        "loraserve": recipes.loraserve,
        "hydraserve": recipes.hydraserve,
        "alpaserve": recipes.alpaserve,
        "aegaeon": recipes.aegaeon,
        "kubeai": recipes.kubeai,
        "aibrix": recipes.aibrix,
        "fair_share": recipes.fair_share,
    }
)
