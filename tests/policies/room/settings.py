"""Small fleets in which somebody is in the way of somebody else: what ways of making room do.

All nodes are those of ServerlessLLM's second test bed with as many cards as a setting says; a
model of 13 GB loads in 0.5 s from memory, 2.6 s from the SSD and 11 s from the remote store.
"""

from collections.abc import Sequence

from fleet.domain import Tier, Whole
from fleet.events import RequestArrived, RequestFinished
from fleet.policy import Policy, Room
from policies import recipes
from policies.room.stopping import CheapestRoom, EvictIdle
from sim.calendar import Arrival
from tests.policies.clusters import spec
from tests.policies.duels import GB, Played, Setting, a40, arrival, with_

Copies = Sequence[tuple[int, int, Tier]]
SIZE = 13 * GB
SSD, DRAM = Tier.SSD, Tier.DRAM


def beside_idle(room: Room) -> Policy:
    """ServerlessLLM with this way of making room, or by stopping idle instances if cheaper."""
    return with_(recipes.serverlessllm(), room=CheapestRoom((EvictIdle(), room)))


IDLE_ONLY = with_(recipes.serverlessllm(), room=EvictIdle())


def fleet(
    gpus: Sequence[int], needs: Sequence[int], copies: Copies, rows: Sequence[Arrival]
) -> Setting:
    """Nodes of so many cards, and models of so many; `copies` are (model, node, tier)."""
    return Setting(
        nodes=tuple(a40(i, gpus=n) for i, n in enumerate(gpus)),
        models=tuple(spec(i, SIZE * need, Whole(need)) for i, need in enumerate(needs)),
        resident=tuple(copies),
        arrivals=tuple(rows),
    )


def in_the_way(output_tokens: int = 2000) -> Setting:
    """Model 1 runs long where model 0 lies in memory; the free node has model 1 alone."""
    copies = [(0, 0, DRAM), (1, 0, DRAM), (1, 1, DRAM)]
    rows = [arrival(0, 0.0, 1, output_tokens), arrival(1, 10.0, 0, 50)]
    return fleet([1, 1], [1, 1], copies, rows)


def crossing() -> Setting:
    """Two victims want the same target, and the second has no other near one."""
    copies = [(0, 0, DRAM), *((m, n, DRAM) for m in (1, 2) for n in (0, 1)), (1, 2, SSD)]
    rows = [arrival(0, 0.0, 1, 2000), arrival(1, 5.0, 2, 2000), arrival(2, 15.0, 0, 50)]
    return fleet([2, 1, 1], [2, 1, 1], copies, rows)


def queue_behind(newcomers: int, output_tokens: int, long_tokens: int = 3000) -> Setting:
    """One card runs model 1 long, requests for model 0 come after 10 s; model 2 keeps the other.

    What waits is thought of again when something ends: the short requests of model 2.
    """
    copies = [(m, 0, DRAM) for m in range(3)]
    rows = [(0.0, 1, long_tokens)]
    rows += [(10.0 + i, 0, output_tokens) for i in range(newcomers)]
    rows += [(1.0 + 1.5 * i, 2, 50) for i in range(40)]
    return fleet([2], [1, 1, 1], copies, in_order(rows))


def in_order(rows: Sequence[tuple[float, int, int]]) -> list[Arrival]:
    """Requests from (second, model, output tokens)."""
    return [arrival(i, at, model, tokens) for i, (at, model, tokens) in enumerate(sorted(rows))]


def idle_between(again_at: float) -> Setting:
    """Two models in turn on one card; model 1 is asked for again at that time."""
    copies = [(0, 0, SSD), (1, 0, SSD)]
    rows = [arrival(0, 0.0, 1, 50), arrival(1, 10.0, 0, 50), arrival(2, again_at, 1, 50)]
    return fleet([1], [1, 1], copies, rows)


def starving(wide_at: float = 10.0) -> Setting:
    """A node of two cards, always asked for by small models, and one request for both cards."""
    copies = [(m, 0, DRAM) for m in range(4)]
    small = [(4.0 * i, 1 + i % 3, 200) for i in range(50)]
    return fleet([2], [2, 1, 1, 1], copies, in_order([*small, (wide_at, 0, 50)]))


def one_long_beside_short() -> Setting:
    """Two cards: a request of 70 s on one, short ones on the other; then one for both cards."""
    copies = [(m, 0, DRAM) for m in range(3)]
    short = [(1.0 + 4.0 * i, 2, 50) for i in range(20)]
    return fleet([2], [2, 1, 1], copies, in_order([(0.0, 1, 2000), *short, (10.0, 0, 50)]))


def first_token_s(played: Played, model: int = 0) -> float:
    """Mean seconds from arrival to first token of a model's finished requests."""
    events = [event for event, _ in played.journal]
    came = {e.request.id: e.request for e in events if isinstance(e, RequestArrived)}
    ended = [e for e in events if isinstance(e, RequestFinished)]
    waits = [
        e.first_token_at - came[e.request].arrived_at
        for e in ended
        if came[e.request].model == model
    ]
    return sum(waits) / len(waits)


def longest_gap_s(played: Played) -> float:
    """The longest that anybody waited for a next token."""
    gaps = played.summary.latency.longest_gap_s
    assert gaps is not None, "somebody got two tokens"
    return gaps.max


def mean_e2e_s(played: Played) -> float:
    ends = played.summary.latency.e2e_s
    assert ends is not None, "somebody finished"
    return ends.mean
