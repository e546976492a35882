"""Unmet needs: the oldest first, and a size that found no room skipped for the round."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.domain import Whole
from fleet.needs import Need, Needs
from tests.machines.fleets import model


def need(number: int, since: float, gpus: int = 1) -> Need:
    return Need(model(number, Whole(gpus)), 1, since)


def order(needs: Needs) -> list[int]:
    """The round of a policy that can meet none of them."""
    seen = []
    while (found := needs.oldest()) is not None:
        seen.append(int(found.model.id))
        needs.tried(found)
    needs.restore()
    return seen


def test_the_one_that_waited_longest_is_tried_first() -> None:
    needs = Needs()
    for number, since in ((1, 5.0), (2, 3.0), (3, 4.0)):
        needs.add(need(number, since))
    assert order(needs) == [2, 3, 1]
    assert order(needs) == [2, 3, 1], "they are all back for the next round"


def test_a_size_without_room_is_asked_for_once_a_round() -> None:
    needs = Needs()
    for number, gpus in ((1, 2), (2, 2), (3, 1), (4, 2), (5, 1)):
        needs.add(need(number, float(number), gpus))
    seen = []
    while (found := needs.oldest()) is not None:
        seen.append(int(found.model.id))
        needs.full(found)
    assert seen == [1, 3]
    needs.restore()
    assert len(needs) == 5
    assert order(needs) == [1, 2, 3, 4, 5]


def test_what_is_still_to_be_tried_in_a_round_can_be_looked_through() -> None:
    needs = Needs()
    for number, gpus in ((1, 2), (2, 2), (3, 1), (4, 1)):
        needs.add(need(number, float(number), gpus))
    first, third = (n for n in list(needs) if n.model.id in (1, 3))
    needs.full(first)
    needs.tried(third)
    assert [int(n.model.id) for n in needs] == [4]
    needs.restore()
    assert sorted(int(n.model.id) for n in needs) == [1, 2, 3, 4]


def test_a_need_is_kept_as_it_was_first_known() -> None:
    needs = Needs()
    needs.add(need(1, 2.0))
    needs.add(need(1, 9.0))
    assert len(needs) == 1
    found = needs.oldest()
    assert found is not None
    assert found.since == 2.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "remove", "try", "full", "restore"]),
            st.integers(0, 5),
            st.integers(0, 4),
        ),
        max_size=40,
    )
)
def test_any_history_offers_the_oldest_that_is_open_and_not_full(
    history: list[tuple[str, int, int]],
) -> None:
    needs, known = Needs(), dict[int, Need]()
    aside, full = set[int](), set[int]()
    for action, number, since in history:
        head = needs.oldest()
        if action == "add" and number not in known and not aside:
            known[number] = need(number, float(since), 1 + number % 2)
            needs.add(known[number])
        elif action == "remove" and number in known and number not in aside and not full:
            needs.remove(known.pop(number).model.id)
        elif action in ("try", "full") and head is not None:
            aside.add(int(head.model.id))
            if action == "full":
                full.add(1 + int(head.model.id) % 2)
            (needs.full if action == "full" else needs.tried)(head)
        elif action == "restore":
            needs.restore()
            aside.clear()
            full.clear()
        open_ = [n for n in known if n not in aside and 1 + n % 2 not in full]
        best = min(((known[n].since, n) for n in open_), default=None)
        found = needs.oldest()
        assert (None if found is None else (found.since, found.model.id)) == best
        assert len(needs) == len(known)
        assert all(known[n].model.id in needs for n in known)
