"""Hashes that keep together what belongs together."""

import random
from collections import Counter
from typing import Any

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain import InstanceId, Request, TenantId
from fleet.holders import Instance
from policies.routing.hashing import BoundedConsistentHash, Ring, SessionHash, digest, mixed
from policies.routing.load import LeastLoaded
from tests.policies.duels import gains, loses
from tests.policies.routing.test_load import Fleet, request
from tests.policies.warm import Row, begins, poisson, replicas, warm

SESSIONS = range(200)


def asked(**more: Any) -> Request:
    return msgspec.structs.replace(request(), **more)


def by_session(fleet: Fleet, policy: SessionHash | BoundedConsistentHash) -> list[int]:
    routed = [policy.route(asked(session=s), fleet.bench.view) for s in SESSIONS]
    return [fleet.instances.index(i) for i in routed if i is not None]


def test_digests_are_the_same_in_every_process() -> None:
    """CRC-32 of "(7,)", and the first word that SplitMix64 gives from the seed 0 (public)."""
    assert digest(7) == 0x1E65581A
    assert int(mixed(np.zeros(1, np.uint64))[0]) == 0xE220A8397B1DCDAF


# Sessions


def test_session_hash_by_hand_takes_the_largest_digest_of_instance_and_session() -> None:
    fleet = Fleet(3)
    session = 5
    key = np.uint64(digest(session))
    numbers = np.array([i.id for i in fleet.instances], np.uint64)
    best = int(np.argmax(mixed(mixed(numbers) ^ key)))
    assert SessionHash().route(asked(session=session), fleet.bench.view) is fleet.instances[best]


def test_session_hash_spreads_sessions_and_moves_none_but_those_of_who_went() -> None:
    before = by_session(Fleet(4), SessionHash())
    assert min(Counter(before).values()) > len(SESSIONS) / 4 / 2
    after = by_session(Fleet(4).load(3, 4), SessionHash())  # full: as good as gone
    assert all(a == b for a, b in zip(after, before, strict=True) if b != 3)
    assert 3 not in after


def test_session_hash_keeps_a_tenant_without_sessions_together() -> None:
    fleet = Fleet(4)
    policy = SessionHash()
    homes = {policy.route(asked(tenant=TenantId(3)), fleet.bench.view) for _ in range(3)}
    assert len(homes) == 1
    tenants = [policy.route(asked(tenant=TenantId(t)), fleet.bench.view) for t in range(40)]
    assert len({i.id for i in tenants if i is not None}) == 4


def conversations(sessions: int, turns: int) -> list[Row]:
    """Each turn's prompt is the whole conversation so far: 640 tokens more."""
    rng = random.Random(0)
    rows: list[Row] = []
    for session in range(sessions):
        at = rng.random() * 4.0
        for turn in range(turns):
            rows.append((at, 20, {"session": session, **begins(session, 40 * (turn + 1))}))
            at += rng.uniform(3.0, 6.0)
    return rows


def test_session_hash_gains_where_conversations_grow() -> None:
    """Where a session was last, its prompt's beginning is still in the prefix cache."""
    setting = warm(conversations(12, 8), 4)
    sticky, least = replicas(4, routing=SessionHash()), replicas(4, routing=LeastLoaded())
    gains(setting, sticky, least, lambda p: p.mean_ttft_s, by=1.5)


def test_session_hash_loses_where_one_session_asks_for_most() -> None:
    """Two thirds of the requests are of one session and nothing is cached: one instance in four
    does two thirds of the work."""
    rng = random.Random(0)
    sessions = [0] * 6 + [1, 2, 3]
    rows: list[Row] = [
        (at, 30, {"session": rng.choice(sessions), "prompt_tokens": 800})
        for at in poisson(6.0, 150)
    ]
    sticky, least = replicas(4, routing=SessionHash()), replicas(4, routing=LeastLoaded())
    loses(warm(rows, 4), sticky, least, lambda p: p.mean_ttft_s, by=1.5)


# A ring


members = st.sets(st.integers(0, 40), min_size=1, max_size=8)


def ring_of(numbers: set[int], ring: Ring | None = None) -> Ring:
    ring = ring or Ring(16)
    ring.hold({InstanceId(n) for n in numbers})
    return ring


@given(members, members, st.integers(0, 2**32 - 1))
def test_a_ring_is_the_same_however_its_members_came(
    first: set[int], then: set[int], key: int
) -> None:
    changed = ring_of(then, ring_of(first))
    assert changed.walk(key, 2000) == ring_of(then).walk(key, 2000)
    assert set(changed.walk(key, 2000)) == then


@given(members, st.integers(0, 2**32 - 1))
def test_who_leaves_a_ring_leaves_the_order_of_the_rest(numbers: set[int], key: int) -> None:
    whole = ring_of(numbers).walk(key, 2000)
    gone = whole[0]
    rest = numbers - {int(gone)}
    if rest:
        left = ring_of(rest).walk(key, 2000)
        assert sorted(left) == sorted(whole[1:])


# Bounded loads


def test_chwbl_by_hand_passes_over_who_is_above_the_bound() -> None:
    """Loads 3, 0, 0 of 4 slots: the bound is 1.25 * (3 + 1) / 3 = 1.67, so 0 is passed over."""
    fleet, policy = Fleet(3), BoundedConsistentHash()
    homes = by_session(fleet, policy)
    fleet.load(0, 3)
    passed = by_session(fleet, policy)
    assert 0 in homes
    assert 0 not in passed
    assert all(a == b for a, b in zip(passed, homes, strict=True) if b != 0)
    loose = BoundedConsistentHash(load_factor=2.25)  # 2.25 * 4 / 3 = 3: the bound itself is allowed
    assert by_session(fleet, loose) == homes


def test_chwbl_takes_the_first_with_a_slot_where_all_on_the_way_are_overloaded() -> None:
    """The holder of the adapter has 3 requests, the bound is 1.67; there is no other holder."""
    fleet = Fleet(3).load(0, 3, 20)
    assert fleet.routed(BoundedConsistentHash(), 20) == 0


def test_chwbl_keeps_equal_beginnings_together_and_other_adapters_apart() -> None:
    fleet, policy = Fleet(4), BoundedConsistentHash()

    def home(**more: Any) -> Instance | None:
        return policy.route(asked(**more), fleet.bench.view)

    for text in range(20):
        one, other = begins(text, 5), begins(text, 5)
        longer = begins(text, 9)
        assert home(**one) is home(**other) is home(**longer)
    homes = {i.id for text in range(40) if (i := home(**begins(text, 2))) is not None}
    assert len(homes) == 4


def test_chwbl_forgets_an_instance_that_is_gone_and_finds_one_that_came() -> None:
    small, policy = Fleet(2), BoundedConsistentHash()
    assert set(by_session(small, policy)) == {0, 1}
    instance = small.instances[1]
    small.bench.state.serving[instance.model.id].ready.remove(instance)
    assert set(by_session(small, policy)) == {0}
    small.bench.state.serving[instance.model.id].ready.add(instance)
    assert set(by_session(small, policy)) == {0, 1}


def test_chwbl_gains_where_prompts_begin_alike() -> None:
    """Eight texts of 1,600 tokens, four instances: each text is prefilled on one or two of them."""
    rng = random.Random(0)
    rows: list[Row] = [(at, 30, begins(rng.randrange(8), 100)) for at in poisson(6.0, 150)]
    ring, least = replicas(4, routing=BoundedConsistentHash()), replicas(4, routing=LeastLoaded())
    gains(warm(rows, 4), ring, least, lambda p: p.mean_ttft_s, by=1.1)


def test_chwbl_loses_where_nothing_is_shared() -> None:
    """Every prompt is another: the bound lets a quarter more than the mean onto an instance."""
    rows: list[Row] = [
        (at, 30, {"session": i, "prompt_tokens": 1000}) for i, at in enumerate(poisson(6.0, 150))
    ]
    ring, least = replicas(4, routing=BoundedConsistentHash()), replicas(4, routing=LeastLoaded())
    loses(warm(rows, 4), ring, least, lambda p: p.mean_ttft_s, by=1.1)
