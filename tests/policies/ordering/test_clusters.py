"""Who goes with the adapters that run, and what that is good and bad for."""

import random

from fleet.domain import AdapterId, ArtifactId, RequestId, Tier
from fleet.holders import Flight
from fleet.lanes import Lanes
from policies.ordering.clusters import FewAdapters, adapters_running
from tests.policies.adapters import lora, replicas, shared
from tests.policies.bench import Bench, adapter, model, node
from tests.policies.duels import Setting, arrival, gains, loses


def named(number: int | None) -> AdapterId | None:
    return None if number is None else AdapterId(ArtifactId(number))


def running(*adapters: int, slots: int = 4) -> Bench:
    """One instance with a request for each of these adapters."""
    base = model(0, slots=slots, adapters=4)
    bench = Bench([node(0)], [base], adapters=[adapter(n) for n in (20, 21, 22, 23)])
    bench.aim.at = bench.run(0, 0)
    for number in adapters:
        bench.finish(bench.ask(0, adapter=number))
    bench.aim.at = None
    return bench


def order(policy: FewAdapters, waiting: list[int | None], bench: Bench) -> list[int | None]:
    """Adapters in the order in which they are served; each waits a second longer than the next."""
    lanes = Lanes()
    for number, each in enumerate(waiting):
        request = arrival(100 + number, float(number), 0, adapter=named(each)).request
        lanes.push(Flight(request))
    out: list[int | None] = []
    while (lane := policy.next(lanes, bench.view)) is not None:
        out.append(lanes.pop(lane).request.adapter)
    return out


def test_slora_cluster_by_hand_takes_those_that_run_already_before_older_ones() -> None:
    """20 and 21 run. With two adapters a batch 22 waits until nobody wants those; with three it is
    one more, being the oldest; without an adapter one goes with every batch."""
    bench = running(20, 21)
    assert adapters_running(bench.need(0).model.id, bench.view) == {20, 21}
    waiting = [22, 21, 23, None, 20]
    assert order(FewAdapters(2), waiting, bench) == [21, None, 20, 22, 23]
    assert order(FewAdapters(3), waiting, bench) == [22, 21, 23, None, 20]
    assert order(FewAdapters(3), [22, 23, 22], bench) == [22, 23, 22]


def test_what_runs_where_no_slot_is_free_does_not_count() -> None:
    bench = running(20, 21, slots=2)
    assert adapters_running(bench.need(0).model.id, bench.view) == set()
    assert order(FewAdapters(1), [22, 20, 22], bench) == [22, 20, 22]
    assert FewAdapters().next(Lanes(), bench.view) is None
    assert RequestId(100) not in bench.state.flights


def twelve() -> Setting:
    """Twelve adapters of 1 GB by chance, four slots, and more requests than the engine can take."""
    rng = random.Random(0)
    rows = [(5.0 + 0.2 * i, rng.randrange(12), 60) for i in range(300)]
    loras = tuple(lora(i, 16, 10**9) for i in range(12))
    return shared(rows, loras, instances=1, sequences=8, slots=4, tier=Tier.REMOTE)


FEW = replicas(1, ordering=FewAdapters(2))


def test_slora_cluster_gains_the_loads_of_adapters_that_would_take_turns() -> None:
    gains(twelve(), FEW, replicas(1), lambda p: p.summary.adapters.attaches, by=1.5)


def test_slora_cluster_loses_on_the_worst() -> None:
    """Who wants an adapter that does not run waits until those who want one that does are few."""
    loses(twelve(), FEW, replicas(1), lambda p: p.p99_ttft_s, by=1.1)
