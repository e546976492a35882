"""Pools: room is taken from the start, victims are counted until they have gone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain import ArtifactId, Tier
from fleet.pools import Entry, Pool, Stay


def here(pool: Pool, number: int, size: int) -> Entry:
    entry = pool.add(ArtifactId(number), size, 0.0)
    entry.stay = Stay.HERE
    return entry


def test_room_is_taken_before_the_bytes_have_come() -> None:
    pool = Pool(Tier.DRAM, 10)
    pool.add(ArtifactId(1), 6, 0.0)
    assert pool.free == 4
    assert ArtifactId(1) in pool
    assert not pool.has(ArtifactId(1))
    with pytest.raises(AssertionError, match="over-committed"):
        pool.add(ArtifactId(2), 5, 0.0)


def test_a_victim_makes_room_for_its_reservation_and_no_other_until_it_has_gone() -> None:
    pool = Pool(Tier.DRAM, 10)
    victim = here(pool, 1, 8)
    pool.going_out(victim)
    here(pool, 2, 10)
    assert pool.free == -8
    pool.remove(victim)
    assert pool.free == 0


def test_what_is_read_or_on_its_way_is_not_evictable() -> None:
    pool = Pool(Tier.DRAM, 10)
    read, free = here(pool, 1, 2), here(pool, 2, 3)
    read.pins += 1
    pool.add(ArtifactId(3), 4, 0.0)
    assert list(pool.evictable()) == [free]
    assert pool.room() == 4
    with pytest.raises(AssertionError, match="pinned"):
        pool.going_out(read)


def test_a_use_moves_an_entry_to_the_recent_end() -> None:
    pool = Pool(Tier.DRAM, 10)
    entries = [here(pool, number, 1) for number in range(3)]
    pool.touch(entries[0], 5.0, 2.0)
    assert [e.artifact for e in pool.evictable()] == [1, 2, 0]
    assert (entries[0].uses, entries[0].used_at, entries[0].cost_s) == (1, 5.0, 2.0)


@given(st.lists(st.sampled_from(["add", "come", "go", "stay", "remove", "pin"]), max_size=40))
def test_any_history_keeps_the_counts_right(history: list[str]) -> None:
    pool = Pool(Tier.SSD, 12)
    for number, action in enumerate(history):
        entries = list(pool.entries.values())
        if action == "add" and pool.free >= 3:
            pool.add(ArtifactId(number), 3, 0.0)
        elif entries:
            change(pool, entries[number % len(entries)], action)
        pool.check()
        assert pool.used <= 12


def change(pool: Pool, entry: Entry, action: str) -> None:
    if action == "come" and entry.stay is Stay.COMING:
        entry.stay = Stay.HERE
    elif action == "go" and entry.stay is Stay.HERE and not entry.pins:
        pool.going_out(entry)
    elif action == "stay" and entry.stay is Stay.GOING:
        pool.stays(entry)
    elif action == "remove":
        pool.remove(entry)
    elif action == "pin":
        entry.pins = 1 - entry.pins
