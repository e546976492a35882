"""What the fleet is made of: specs that never change, and dense integer ids.

Models and LoRA adapters are both *artifacts* and share one id space, so that what is
cached, fetched and dropped is said once. Names exist for people; nothing is looked up by one.
"""

from enum import IntEnum
from typing import NewType, TypeAlias

import msgspec

ArtifactId = NewType("ArtifactId", int)
ModelId = NewType("ModelId", ArtifactId)
AdapterId = NewType("AdapterId", ArtifactId)
NodeId = NewType("NodeId", int)
InstanceId = NewType("InstanceId", int)
RequestId = NewType("RequestId", int)
TenantId = NewType("TenantId", int)
CommandId = NewType("CommandId", int)


class Tier(IntEnum):
    """Where an artifact's bytes are, slowest first: `tier >= Tier.DRAM` reads well."""

    REMOTE = 0
    SSD = 1
    DRAM = 2
    GPU = 3


class Whole(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Whole cards of one node."""

    gpus: int


class Part(msgspec.Struct, frozen=True, tag=True, gc=False):
    """A share of one card's memory (weights, KV cache and adapters), and of its time."""

    gpu_bytes: int


Share: TypeAlias = Whole | Part


class ModelSpec(msgspec.Struct, frozen=True, tag=True, gc=False):
    """A base model. `need` is what one pipeline stage takes; most models have one stage."""

    id: ModelId
    name: str
    weight_bytes: int
    need: Share
    stages: int = 1
    max_sequences: int = 256
    kv_bytes_per_token: int = 0
    max_adapters: int = 0  # adapter slots of an instance
    shape: str = ""  # names the rows of the node kind's profile; "" takes the default


class AdapterSpec(msgspec.Struct, frozen=True, tag=True, gc=False):
    """A LoRA adapter of a base model. A fused adapter names those it was made of."""

    id: AdapterId
    name: str
    model: ModelId
    weight_bytes: int
    rank: int
    parents: tuple[AdapterId, ...] = ()


class LinkSpec(msgspec.Struct, frozen=True, gc=False):
    """Nominal bandwidths of a node's paths, bytes per second."""

    remote_bytes_per_s: float  # remote store to this node's SSD or memory
    ssd_bytes_per_s: float  # SSD to DRAM
    pcie_bytes_per_s: float  # DRAM to one GPU
    peer_bytes_per_s: float  # from another node


class NodeSpec(msgspec.Struct, frozen=True, gc=False):
    """A machine of one kind (GPU type). Its price is for the whole machine."""

    id: NodeId
    name: str
    kind: str
    gpus: int
    gpu_bytes: int
    dram_bytes: int
    ssd_bytes: int
    links: LinkSpec
    price_per_s: float = 0.0
    rack: int = 0


class Place(msgspec.Struct, frozen=True, gc=False):
    """A tier of a node; a peer is a source like any other. `node` is None for the remote store."""

    node: NodeId | None
    tier: Tier


REMOTE = Place(None, Tier.REMOTE)


class Shard(msgspec.Struct, frozen=True, gc=False):
    """The cards that one stage holds, and how much of each."""

    node: NodeId
    gpus: tuple[int, ...]
    gpu_bytes: int


class Request(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a client reveals. Its output length is not here: no policy may know it.

    `deadline_at` is when its first token should be there. `prefix` are ids of the prompt's whole
    blocks of `block_tokens` tokens, first block first; equal ids are equal text from the prompt's
    start on. `session` is the conversation it belongs to; more `priority` is more urgent.
    """

    id: RequestId
    model: ModelId
    adapter: AdapterId | None
    arrived_at: float
    prompt_tokens: int
    max_tokens: int
    tenant: TenantId = TenantId(0)
    deadline_at: float | None = None
    session: int | None = None
    prefix: tuple[int, ...] = ()
    block_tokens: int = 0
    priority: int = 0
