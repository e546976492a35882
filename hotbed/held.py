"""The controller's ledger as a summary wants it: seconds of cards and bytes, by node kind."""

from collections import defaultdict

from fleet.domain import Tier
from fleet.state import State
from traces.record import RunRecord
from traces.summary import Held


def held_of(state: State, record: RunRecord) -> dict[str, Held]:
    """What was held, by kind and cause.

    The ledger counts bytes of the whole fleet. In a fleet of several kinds, each kind gets the
    part of every cause that its instances held of all GPU bytes, and DRAM and SSD go in with the
    first: their totals are exact, as is everything in a fleet of one kind.
    """
    card_bytes = {spec.kind: spec.gpu_bytes for spec in state.nodes.specs}
    shares = _gpu_shares(record) if len(card_bytes) > 1 else dict.fromkeys(card_bytes, 1.0)
    gpu = _byte_s(state, Tier.GPU)
    first = next(iter(card_bytes))
    return {
        kind: Held(
            gpu_s={cause: amount * shares.get(kind, 0.0) / card for cause, amount in gpu.items()},
            dram_byte_s=_byte_s(state, Tier.DRAM) if kind == first else {},
            ssd_byte_s=_byte_s(state, Tier.SSD) if kind == first else {},
        )
        for kind, card in card_bytes.items()
    }


def _byte_s(state: State, tier: Tier) -> dict[str, float]:
    return {cause.value: amount for cause, amount in state.ledger.byte_seconds(tier).items()}


def _gpu_shares(record: RunRecord) -> dict[str, float]:
    """Of all GPU byte-seconds that instances held, the part on each kind."""
    byte_s: dict[str, float] = defaultdict(float)
    for load in record.loads:
        until = record.ended_at if load.ended_at is None else load.ended_at
        for shard in load.shards:
            kind = record.nodes[shard.node].kind
            byte_s[kind] += shard.gpu_bytes * len(shard.gpus) * (until - load.started_at)
    total = sum(byte_s.values())
    return {kind: amount / total for kind, amount in byte_s.items()} if total else {}
