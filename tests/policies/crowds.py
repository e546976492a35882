"""Random crowded fleets: one node to clear, others that may take what runs there."""

from hypothesis import strategies as st

from fleet.domain import NodeId, Share, Tier, Whole
from tests.policies.bench import Bench, model, node, part

#: Who may be running: one card, two cards, and shares of a card; of several sizes.
CROWD = (
    model(0, Whole(1)),
    model(1, Whole(2), slots=1, weight_bytes=160),
    model(2, part(30), weight_bytes=20),
    model(3, part(50), slots=1, weight_bytes=40),
    model(4, Whole(1), slots=3, weight_bytes=40),
    model(5, Whole(1), slots=1, weight_bytes=10),
    model(6, Whole(1), slots=2, weight_bytes=120),
)
SHARES: tuple[Share, ...] = (Whole(2), Whole(1), Whole(3), part(60), part(70))
#: The model that needs room.
NEWCOMER = 9

tiers = st.sampled_from([Tier.REMOTE, Tier.SSD, Tier.DRAM])


@st.composite
def crowds(draw: st.DrawFn) -> Bench:
    """Node 0 is to be cleared: nearly full, mostly busy. The others have some room."""
    gpus = draw(st.integers(2, 4))
    kinds = draw(st.lists(st.sampled_from(["slow", "fast"]), min_size=2, max_size=4))
    nodes = [node(0, gpus, kinds[0])]
    nodes += [node(i, draw(st.integers(1, 2)), kind) for i, kind in enumerate(kinds) if i]
    newcomer = model(NEWCOMER, draw(st.sampled_from(SHARES)))
    bench = Bench(nodes, (*CROWD, newcomer), resident=draw_copies(draw, len(nodes)))
    for _ in range(draw(st.integers(gpus - 1, gpus + 1))):
        crowd(draw, bench, 0)
    for _ in range(draw(st.integers(0, 2))):
        crowd(draw, bench, draw(st.integers(1, len(nodes) - 1)))
    bench.at(draw(st.sampled_from([0.0, 1.0, 5.0])))
    for n in range(len(nodes)):
        queue_s = draw(st.sampled_from([-1.0, 0.0, 0.5, 4.0]))
        bench.state.nodes.loading_until[NodeId(n)] = bench.state.now + queue_s
    return bench


def crowd(draw: st.DrawFn, bench: Bench, on: int) -> None:
    spec = draw(st.sampled_from(CROWD))
    requests = min(spec.max_sequences, draw(st.sampled_from([1, 1, 1, 2, 0])))
    bench.run(spec.id, on, requests, prompt=draw(st.sampled_from([0, 10, 300])))


def draw_copies(draw: st.DrawFn, nodes: int) -> list[tuple[int, int, Tier]]:
    copies: list[tuple[int, int, Tier]] = []
    for spec in CROWD:
        for on in range(nodes):
            tier = draw(tiers)
            if tier is not Tier.REMOTE:
                copies.append((int(spec.id), on, tier))
    return copies
