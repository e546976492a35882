"""The controller's ledger as a summary wants it: seconds of cards and bytes, by node kind."""

from fleet.domain import Tier
from fleet.state import State
from traces.summary import Held


def held_of(state: State) -> dict[str, Held]:
    """What nodes of each kind held, by cause; GPU bytes as seconds of their cards."""
    card_bytes = {spec.kind: spec.gpu_bytes for spec in state.nodes.specs}
    return {
        kind: Held(
            gpu_s={c: amount / card for c, amount in _byte_s(state, Tier.GPU, kind).items()},
            dram_byte_s=_byte_s(state, Tier.DRAM, kind),
            ssd_byte_s=_byte_s(state, Tier.SSD, kind),
        )
        for kind, card in card_bytes.items()
    }


def _byte_s(state: State, tier: Tier, kind: str) -> dict[str, float]:
    return {cause.value: n for cause, n in state.ledger.byte_seconds(tier, kind).items()}
