"""What was sent where: an LRU list an instance, always of beginnings."""

from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from fleet import events as e
from fleet.domain import AdapterId, ArtifactId, CommandId, InstanceId, NodeId
from policies.routing.prefix_index import PrefixIndex, keys
from tests.policies.routing.sent import asked, send
from tests.policies.routing.test_load import Fleet

#: Texts share beginnings: the first `k` blocks are those of text `t // 2`, and so on.
Sent: TypeAlias = tuple[int, int, int]
sent = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 7), st.integers(1, 4)), max_size=20)


def blocks(text: int, length: int) -> tuple[int, ...]:
    """A path in a binary tree from its root: equal ids, equal text from the start on."""
    return tuple((1 << depth) + (text >> (3 - depth)) for depth in range(length))


class Plain:
    """The same by recounting: every block with the time it was last sent."""

    def __init__(self, per_instance: int) -> None:
        self.per_instance = per_instance
        self.held: dict[int, list[int]] = {}

    def sent(self, instance: int, prompt: tuple[int, ...]) -> None:
        held = [b for b in self.held.get(instance, []) if b not in prompt]
        self.held[instance] = (list(prompt) + held)[: self.per_instance]  # most recent first

    def matched(self, prompt: tuple[int, ...], instance: int) -> int:
        length = 0
        while length < len(prompt) and prompt[length] in self.held.get(instance, []):
            length += 1
        return length


@given(sent, st.integers(1, 9), st.integers(0, 7), st.integers(0, 2))
def test_the_index_counts_what_a_recount_of_all_that_was_sent_counts(
    history: list[Sent], per_instance: int, text: int, gone: int
) -> None:
    index, plain = PrefixIndex(per_instance), Plain(per_instance)
    for instance, of, length in history:
        index.sent(InstanceId(instance), blocks(of, length))
        plain.sent(instance, blocks(of, length))
    if history:
        index.drop(InstanceId(gone))
        plain.held.pop(gone, None)
    prompt = blocks(text, 4)
    expected = {i: n for i in range(3) if (n := plain.matched(prompt, i))}
    counted = {i: index.matched(prompt, InstanceId(i)) for i in range(3)}
    assert {i: n for i, n in counted.items() if n} == expected
    assert index.deepest(prompt) == max(expected.values(), default=0)
    found = index.longest(prompt, 10)
    assert found == expected
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert list(index.longest(prompt, 1)) == list(found)[:1]


def test_an_adapter_has_blocks_of_its_own() -> None:
    fleet = Fleet(1)
    plain = asked(fleet, prefix=(1, 2, 3))
    lora = asked(fleet, prefix=(1, 2, 3), adapter=AdapterId(ArtifactId(20)))
    assert keys(plain, 2) == (1, 2)
    assert keys(lora, 2) == ((20, 1), (20, 2))


def test_what_an_instance_loses_is_forgotten() -> None:
    """By its stop, its sleep, its crash or the loss of its node."""
    for number, made in enumerate((e.InstanceStopped, e.Slept, e.InstanceLost, e.NodeLost)):
        fleet, index = Fleet(1), PrefixIndex()
        instance = fleet.instances[0].id
        index.observe(send(fleet, 0, [], prefix=(1, 2)), fleet.bench.view)
        assert index.matched((1, 2), instance) == 2
        fact: e.Event
        if made is e.NodeLost:
            fact = e.NodeLost(0.0, NodeId(0))
        elif made is e.InstanceLost:
            fact = e.InstanceLost(0.0, instance, "crashed")
        else:
            answered = e.InstanceStopped if number == 0 else e.Slept
            fact = answered(0.0, CommandId(5), instance)
        index.observe(fact, fleet.bench.view)
        assert index.matched((1, 2), instance) == 0
        assert index.longest((1, 2), 5) == {}
