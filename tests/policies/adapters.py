"""A base model with adapters of several ranks on a few cards: settings for rules about adapters."""

from collections.abc import Sequence

from fleet.domain import AdapterId, AdapterSpec, ArtifactId, ModelId, Tier, Whole
from fleet.policy import Policy
from policies import recipes
from policies.keep_alive.idle_time import KeepForever
from policies.scaling.queue import FixedReplicas
from tests.policies.clusters import spec
from tests.policies.duels import GB, Setting, a40, arrival, with_

#: An adapter of rank 64 of a 7B model.
RANK_64_BYTES = 100_000_000


def lora(number: int, rank: int = 16, nbytes: int = RANK_64_BYTES) -> AdapterSpec:
    """Adapter `number` of model 0."""
    base = ModelId(ArtifactId(0))
    return AdapterSpec(AdapterId(ArtifactId(100 + number)), f"a{number}", base, nbytes, rank)


def replicas(number: int, **answers: object) -> Policy:
    """ServerlessLLM with so many instances of the base, for good, and other answers."""
    policy = with_(recipes.serverlessllm(), scaling=FixedReplicas(number), keep_alive=KeepForever())
    return with_(policy, **answers)


def shared(
    rows: Sequence[tuple[float, int, int]],
    loras: Sequence[AdapterSpec],
    *,
    instances: int = 2,
    sequences: int = 64,
    slots: int = 2,
    tier: Tier = Tier.DRAM,
) -> Setting:
    """Requests from (second, adapter or -1, output tokens); a request at 0 s starts the instances.

    Adapters lie in that tier of every node.
    """
    base = spec(0, 13 * GB, Whole(1), slots=sequences, adapters=slots)
    copies = [(0, n, Tier.DRAM) for n in range(instances)]
    if tier is not Tier.REMOTE:
        copies += [(int(a.id), n, tier) for a in loras for n in range(instances)]
    arrivals = [arrival(0, 0.0, 0, 1)]
    for number, (at, adapter, tokens) in enumerate(sorted(rows), 1):
        lora_id = None if adapter < 0 else loras[adapter].id
        arrivals.append(arrival(number, at, 0, tokens, adapter=lora_id))
    return Setting(
        nodes=tuple(a40(n, gpus=1) for n in range(instances)),
        models=(base,),
        adapters=tuple(loras),
        resident=tuple(copies),
        arrivals=tuple(arrivals),
    )
