"""What is learned from the ends of requests: rates, and lengths that are still to come."""

from math import exp, inf, isclose

from fleet.domain import Whole
from fleet.holders import Flight, Instance
from policies.room.draining import remaining
from policies.room.ends import MEMORY_S, PATIENCE_S, Ends
from tests.policies.bench import Bench, model, node


def running(so_far_s: float) -> tuple[Bench, Instance, Flight]:
    """One request, at 0.1 s a token since 0 s."""
    bench = Bench([node(0)], [model(0), model(1, Whole(2))])
    instance = bench.run(0, 0, 1)
    assert instance is not None
    return bench.at(so_far_s), instance, next(iter(instance.running.values()))


def test_the_rate_of_ends_is_their_number_over_a_memory_as_long_as_the_run() -> None:
    bench, instance, _ = running(30.0)
    ends = Ends()
    assert ends.per_s(0.0) == 0.0
    assert ends.until_free_s(instance.model, bench.view) == inf
    for at in (10.0, 20.0, 30.0):
        ends.saw(instance, 10, at)
    count = exp(-20.0 / MEMORY_S) + exp(-10.0 / MEMORY_S) + 1.0
    per_s = count / (MEMORY_S * (1.0 - exp(-30.0 / MEMORY_S)))
    assert isclose(ends.per_s(30.0), per_s)
    assert isclose(ends.until_free_s(instance.model, bench.view), 1.0 / per_s)


def test_several_cards_come_free_on_one_node_seldom() -> None:
    bench, instance, _ = running(30.0)
    ends = Ends()
    ends.saw(instance, 10, 30.0)
    bench.ask(1)
    wide = bench.need(1).model
    assert isclose(ends.until_free_s(wide, bench.view), 2 / ends.per_s(30.0))


def test_who_overtakes_others_gains_nothing_but_for_one_that_starves() -> None:
    bench, instance, _ = running(30.0)
    ends = Ends()
    ends.saw(instance, 10, 30.0)
    bench.ask(1)
    bench.ask(0)
    small, wide = bench.need(0).model, bench.need(1).model
    assert ends.until_free_s(small, bench.view) == 0.0
    assert ends.until_free_s(wide, bench.view) == 0.0
    bench.at(30.0 + PATIENCE_S)
    assert ends.until_free_s(small, bench.view) == 0.0
    assert ends.until_free_s(wide, bench.view) == inf


def test_an_end_that_leaves_others_running_frees_no_card() -> None:
    bench = Bench([node(0)], [model(0)])
    instance = bench.run(0, 0, 2)
    assert instance is not None
    ends = Ends()
    ends.saw(instance, 10, 5.0)
    assert ends.per_s(5.0) == 0.0


def test_what_is_left_is_the_mean_of_the_longer_ones_less_what_it_has() -> None:
    """20 tokens so far; 4 of 8 were longer: 30, 40, 50 and 60, 45 in the mean."""
    bench, instance, flight = running(2.0)
    ends = Ends()
    assert isclose(ends.left_s(flight, bench.view), remaining(flight, bench.view))
    for tokens in (5, 10, 15, 20, 30, 40, 50, 60):
        ends.saw(instance, tokens, 2.0)
    assert isclose(ends.left_s(flight, bench.view), (45 - 20) * 0.1)


def test_what_is_longer_than_all_before_is_expected_to_be_twice_as_long() -> None:
    bench, instance, flight = running(7.0)
    ends = Ends()
    for _ in range(8):
        ends.saw(instance, 60, 7.0)
    assert isclose(ends.left_s(flight, bench.view), 7.0)
