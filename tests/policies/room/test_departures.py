"""What each mechanism costs one request, hand-computed, and what a victim comes to."""

from math import inf, isclose

from msgspec import structs

from fleet.commands import By, Keep
from fleet.domain import LinkSpec, NodeId, Tier
from fleet.holders import Instance
from policies.room.clearing import idle_cost_s
from policies.room.departures import Act, Departure, Departures, back_again, card_price
from policies.room.ends import Ends
from policies.room.targets import Move, Targets
from tests.policies.bench import Bench, adapter, model, node
from tests.policies.duels import replace_fields

HERE = NodeId(0)
NEWCOMER = 9


def bench(
    *, price_per_s: float = 0.0, kv_bytes: int = 0, requests: int = 1, peer: float = 20.0
) -> Bench:
    """A victim on node 0 and a free node 1; copies in both memories: 2 s to load anywhere."""
    links = LinkSpec(10.0, 40.0, 80.0, peer)
    changes = {"price_per_s": price_per_s, "links": links}
    nodes = [replace_fields(node(n), changes) for n in range(2)]
    victim = structs.replace(model(0, slots=2), kv_bytes_per_token=kv_bytes)
    resident = [(0, n, Tier.DRAM) for n in range(2)]
    made = Bench(nodes, [victim, model(NEWCOMER)], resident=resident)
    made.run(0, 0, requests, prompt=100)
    return made


def ways(made: Bench, value_per_s: float = 0.01, within_s: float = inf) -> Departures:
    newcomer = made.need(NEWCOMER).model
    targets = Targets(HERE, 4, made.view)
    return Departures(targets, value_per_s, 2, newcomer, Ends(), within_s)


def victim_of(made: Bench) -> Instance:
    return next(i for i in made.state.instances.values() if i.model.id == 0)


def name(how: By | Keep | None) -> str:
    """Both kinds are strings, and equal ones where they keep the same."""
    names = {By.KV: "copy", By.TOKENS: "recompute"} if isinstance(how, By) else {}
    pushes = {Keep.TOKENS: "push", Keep.KV: "swap"}
    return names[how] if isinstance(how, By) else "wait" if how is None else pushes[how]


def acts(made: Bench) -> dict[str, Act]:
    """By mechanism: what the victim's first request could do."""
    known, victim = ways(made), victim_of(made)
    move = next((w for w in known.targets.of(victim, ()) if isinstance(w, Move)), None)
    begin_s = 0.0 if move is None else move.wait_s + move.load_s
    flight = next(iter(victim.running.values()))
    return {name(act.how): act for act in known.acts(flight, victim, move, begin_s)}


def test_each_mechanism_has_its_time_and_its_loss() -> None:
    """A prompt of 100 tokens at 0.01 s each; 128 tokens to come, as believed, at 0.1 s each."""
    by = acts(bench())
    assert set(by) == {"wait", "recompute", "push"}
    assert isclose(by["wait"].after_s, 12.8)
    assert by["wait"].lost_s == 0.0
    assert by["push"].after_s == 0.0
    assert isclose(by["push"].lost_s, 2.0 + 1.0)  # load on the free node, and recomputation
    pause_s = 0.1 + 20 * 0.01  # one iteration, and the last 20 tokens
    assert isclose(by["recompute"].lost_s, pause_s)
    assert isclose(by["recompute"].after_s, 2.0 + 1.0 + pause_s)


def test_a_copy_pauses_for_the_blocks_that_came_meanwhile() -> None:
    """100 tokens of 1 byte at 20 a second are 5 s, in which 50 tokens come: 2.5 s more."""
    by = acts(bench(kv_bytes=1))
    assert isclose(by["copy"].lost_s, 2.5)
    assert isclose(by["copy"].after_s, 2.0 + 5.0 + 2.5)


def test_a_cache_that_grows_faster_than_it_is_copied_is_not_copied() -> None:
    assert "copy" in acts(bench(kv_bytes=1, peer=12.0))
    assert "copy" not in acts(bench(kv_bytes=3))  # 30 bytes a second, at 20


def test_requests_of_one_victim_share_the_way() -> None:
    """Two of 100 tokens: 10 s of copies, and 2 s of recomputation."""
    by = acts(bench(kv_bytes=1, requests=2, peer=40.0))
    assert isclose(by["recompute"].after_s, 2.0 + 2.0 + 0.3)
    assert isclose(by["copy"].after_s, 2.0 + 5.0 + by["copy"].lost_s)


def test_a_preempted_request_returns_at_once_where_a_ready_instance_has_slots() -> None:
    made = bench()
    other = made.run(0, 1)
    assert other is not None
    back = back_again(victim_of(made), made.need(NEWCOMER).model, made.view)
    assert (back.after_s, back.reloads, back.here) == (0.0, False, False)


def test_on_a_full_fleet_it_waits_for_the_newcomer_and_loads_again() -> None:
    """The newcomer loads for 9 s and runs 12.8 s; then the victim's model loads for 2 s."""
    made = bench()
    made.run(NEWCOMER, 1)
    newcomer = made.need(NEWCOMER).model
    load_s = made.view.estimates.load_s(newcomer, made.view.node(HERE), Tier.REMOTE)
    full = back_again(victim_of(made), newcomer, made.view)
    assert isclose(full.after_s, load_s + 12.8 + 2.0)
    assert full.reloads


def test_a_cache_kept_in_memory_is_of_use_on_the_same_node() -> None:
    """Out and back over PCIe, 100 bytes at 80 a second each way, instead of 1 s; only if faster."""
    cards = [replace_fields(node(0, 2), {"links": LinkSpec(10.0, 40.0, 400.0, 20.0)})]
    big = structs.replace(model(0, slots=2), kv_bytes_per_token=1)
    made = Bench(cards, [big, model(NEWCOMER)])
    made.run(0, 0, 1, prompt=100)
    made.run(0, 0)
    by = acts(made)
    assert isclose(by["swap"].after_s, 100 / 400)
    assert isclose(by["swap"].lost_s, 2 * 100 / 400)


def test_who_has_an_adapter_does_not_move_to_where_it_is_not() -> None:
    base = model(0, adapters=1)
    made = Bench([node(0), node(1)], [base, model(NEWCOMER)], adapters=[adapter(20, 0)])
    made.aim.at = made.run(0, 0)
    made.finish(made.ask(0, adapter=20))
    assert set(acts(made)) == {"wait", "push"}


def test_the_way_of_a_victim_is_the_cheapest_that_is_over_in_time() -> None:
    """Without prices: at once by preemption, 3 s lost; from 3.3 s on by migration, a pause."""
    made = bench()
    victim = victim_of(made)
    (pushed,) = ways(made, within_s=1.0).of(victim, ())
    assert [name(act.how) for act in pushed.acts] == ["push"]
    assert isclose(pushed.cost_s, 3.0)
    moved, waited = ways(made, within_s=20.0).of(victim, ())
    assert [name(act.how) for act in moved.acts] == ["recompute"]
    assert isclose(moved.cost_s, 0.3)
    assert [name(act.how) for act in waited.acts] == ["wait"]
    assert isclose(waited.cost_s, idle_cost_s(victim, made.view))


def test_money_is_what_is_held_for_the_requests_until_their_end() -> None:
    """A card costs 0.1 a second, and a second of a client 0.01: ten seconds for each one held."""
    made = bench(price_per_s=0.1)
    victim = victim_of(made)
    assert card_price(made.view.node(HERE)) == 0.1
    found = {name(way.acts[0].how): way for way in ways(made).of(victim, ())}
    moved = found["recompute"]
    # Its own card for 3.3 s; the other for the load of 2 s and the 12.8 s still to run.
    assert isclose(moved.cost_s, 0.3 + 10.0 * (3.3 + 2.0 + 12.8))
    assert isclose(moved.stay_s, 10.0 * 12.8)
    pushed = ways(made, within_s=0.0).of(victim, ())[0]
    # A load of 2 s, the recomputation of 1 s, and the 12.8 s.
    assert isclose(pushed.cost_s, 3.0 + 10.0 * (2.0 + 1.0 + 12.8))
    (waited,) = (w for w in ways(made)._by(victim, None, ()) if w.acts[0].how is None)
    assert isclose(waited.cost_s, idle_cost_s(victim, made.view) + 10.0 * 12.8)


def test_an_idle_victim_leaves_at_once() -> None:
    made = bench(requests=0)
    (way,) = ways(made).of(victim_of(made), ())
    assert way == Departure(idle_cost_s(victim_of(made), made.view), 0.0)
