"""Indexes against a plain recount after any history."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.domain import ArtifactId, InstanceId, NodeId, Shard, Tier, Whole
from fleet.holders import Instance
from fleet.indexes import LoadBuckets, Residency
from fleet.ledger import Cause
from tests.machines.fleets import model

SPEC = model(0, Whole(1), slots=3)
IT = ArtifactId(4)


def instance(number: int, load: int = 0) -> Instance:
    made = Instance(InstanceId(number), SPEC, (Shard(NodeId(0), (0,), 1),), Cause.IDLE, 0.0)
    made.load = load
    return made


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "remove", "more", "less"]), st.integers(0, 4)),
        max_size=60,
    )
)
def test_the_least_loaded_is_found_after_any_history(history: list[tuple[str, int]]) -> None:
    buckets, ready = LoadBuckets(), dict[int, Instance]()
    for action, number in history:
        one = ready.get(number)
        if action == "add" and one is None:
            ready[number] = instance(number, number % 3)
            buckets.add(ready[number])
        elif one is not None and action == "remove":
            buckets.remove(ready.pop(number))
        elif one is not None and action == "more" and one.load < one.slots:
            buckets.shift(one, 1)
        elif one is not None and action == "less" and one.load:
            buckets.shift(one, -1)
        loads = sorted(i.load for i in ready.values())
        least = buckets.least()
        assert (None if least is None else least.load) == (loads[0] if loads else None)
        assert [i.load for i in buckets] == loads
        assert {i.id for i in buckets} == {i.id for i in ready.values()}
        assert len(buckets) == len(ready)
        assert buckets.has_slot() == any(load < SPEC.max_sequences for load in loads)


def test_of_equally_loaded_the_one_longest_at_that_load_comes_first() -> None:
    buckets = LoadBuckets()
    first, second = instance(1), instance(2)
    buckets.add(first)
    buckets.add(second)
    assert buckets.least() is first
    buckets.shift(first, 1)
    buckets.shift(first, -1)
    assert buckets.least() is second


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(list(Tier)[:3])), max_size=30))
def test_the_column_of_tiers_follows_every_change(changes: list[tuple[int, Tier]]) -> None:
    residency, known = Residency(), dict[NodeId, Tier]()
    for number, (node, tier) in enumerate(changes):
        if number == 3:
            residency.column(IT, 4)  # kept from here on
        residency.set(IT, NodeId(node), tier)
        known[NodeId(node)] = tier
        assert residency.of(IT) == {n: t for n, t in known.items() if t is not Tier.REMOTE}
    column = [known.get(NodeId(n), Tier.REMOTE) for n in range(5)]
    assert list(residency.column(IT, 4)) == column[:4]
    assert list(residency.column(IT, 5)) == column, "a node has joined"
