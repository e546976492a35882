"""Toppings' score and LoRAServe's table by hand, and what they are good and bad for."""

from dataclasses import replace
from math import isclose

from msgspec import structs

from fleet.domain import AdapterId, ArtifactId, ModelId, Request, RequestId
from fleet.holders import Instance
from policies.routing.load import LeastLoaded
from policies.routing.ranks import RankTable, Toppings, distance, ranks
from tests.policies.adapters import lora, replicas, shared
from tests.policies.bench import Bench, adapter, model, node
from tests.policies.duels import Played, Setting, gains, loses
from traces.summary import Slo

LOW, HIGH, LAST = 20, 21, 22


class Fleet:
    """Two instances with adapters of rank 8 and 64 attached to both, and one of rank 32 to none."""

    def __init__(self) -> None:
        loras = [structs.replace(adapter(n), rank=r) for n, r in ((LOW, 8), (HIGH, 64), (LAST, 32))]
        base = model(0, slots=16, adapters=3)
        self.bench = Bench([node(0, 2)], [base], adapters=loras)
        self.instances = [self._run(), self._run()]

    def _run(self) -> Instance:
        instance = self.bench.run(0, 0)
        assert instance is not None
        return instance

    def load(self, number: int, lora_id: int, requests: int) -> "Fleet":
        self.bench.aim.at = self.instances[number]
        for _ in range(requests):
            self.bench.finish(self.bench.ask(0, adapter=lora_id))
        self.bench.aim.at = None
        return self

    def attach(self, number: int, lora_id: int) -> "Fleet":
        """Attached, and not in use."""
        self.load(number, lora_id, 1)
        instance = self.instances[number]
        request = list(instance.running)[-1]
        flight = self.bench.state.flights.pop(request)
        self.bench.controller.requests.moves.leave(flight, instance)
        return self

    def routed(self, policy: Toppings | RankTable, lora_id: int | None) -> int | None:
        named = None if lora_id is None else AdapterId(ArtifactId(lora_id))
        request = Request(RequestId(999), ModelId(ArtifactId(0)), named, 0.0, 10, 100)
        instance = policy.route(request, self.bench.view)
        return None if instance is None else self.instances.index(instance)


def test_toppings_by_hand_adds_prefill_and_decode_times_the_requests_there() -> None:
    """Two of rank 64 here, three of rank 8 there; one more of rank 8, with the padding kernel.

    Here: 3 * 64 - 2 * 64 = 64 units of 1 ms for 2 requests: 128 and the prefill twice.
    There: 4 * 8 - 3 * 8 = 8 units for 3 requests: 24, so it goes there though more run there.
    With the other kernel both add 8 units a request: it goes where fewer are.
    """
    fleet = Fleet().load(0, HIGH, 2).attach(0, LOW).load(1, LOW, 3).attach(1, HIGH)
    assert ranks(fleet.instances[0], fleet.bench.view) == (2, 128, 64)
    assert fleet.routed(Toppings("bgmv", bgmv_s_per_rank=1e-3, tpot_slo_s=9.0), LOW) == 1
    assert fleet.routed(Toppings("mbgmv", mbgmv_s_per_rank=1e-3, tpot_slo_s=9.0), LOW) == 0
    assert fleet.routed(Toppings(), None) == 0


def test_an_engine_whose_steps_would_be_too_long_is_taken_only_if_all_are_such() -> None:
    """0.1 s a token as believed, and 1 ms a rank: 0.228 + 0.064 s here, 0.124 + 0.064 s there."""
    fleet = Fleet().load(0, HIGH, 2).attach(0, LOW).load(1, LOW, 3).attach(1, HIGH)
    slow = Toppings(mbgmv_s_per_rank=1e-3, tpot_slo_s=0.25)
    assert fleet.routed(slow, HIGH) == 1
    assert fleet.routed(replace(slow, tpot_slo_s=0.1), HIGH) == 0


def test_who_has_the_adapter_comes_before_who_could_have_it() -> None:
    fleet = Fleet().load(0, HIGH, 5)
    assert fleet.routed(Toppings(), HIGH) == 0
    assert fleet.routed(RankTable(), HIGH) == 0


def test_loraserve_by_hand_goes_where_the_ranks_are_nearest() -> None:
    """Rank 32 is 24 from the one of 8, and 32 from the one of 64; on the mean of both, 4."""
    fleet = Fleet().load(0, HIGH, 1).load(1, LOW, 3)
    assert isclose(distance(fleet.instances[0], 32, fleet.bench.view), 32.0)
    assert isclose(distance(fleet.instances[1], 32, fleet.bench.view), 24.0)
    assert fleet.routed(RankTable(), LAST) == 1
    fleet.load(0, LOW, 1)
    assert isclose(distance(fleet.instances[0], 32, fleet.bench.view), 4.0)
    assert fleet.routed(RankTable(), LAST) == 0
    assert fleet.routed(RankTable(), LOW) == 0, "a holder, and the less loaded one"


# In the simulator. A step grows by 3 us for each rank in it (sum of ranks).


def missed(played: Played) -> float:
    """The share of requests whose tokens came too slowly."""
    attained = played.summary.objective.tpot_attainment
    assert attained is not None
    return 1.0 - attained


def in_turn(requests: int, tpot_slo_s: float) -> Setting:
    """Requests of rank 128 and 8 in turn, so that one of two engines gets all of the large ones."""
    first = [(5.0, 0, 1), (5.0, 1, 1), (6.0, 0, 1), (6.0, 1, 1)]
    rows = [(20.0 + 0.01 * i, i % 2, 400) for i in range(requests)]
    setting = shared([*first, *rows], (lora(0, 128), lora(1, 8)))
    return replace(setting, slo=Slo(10.0, tpot_slo_s))


LEAST = replicas(2, routing=LeastLoaded())


def test_toppings_gains_steps_that_are_short_enough() -> None:
    """It fills an engine with large ranks up to the bound, and no further."""
    toppings = replicas(2, routing=Toppings(tpot_slo_s=0.045))
    gains(in_turn(80, 0.047), toppings, LEAST, missed, by=1.1)


def test_toppings_loses_time_for_most_where_no_engine_can_hold_the_bound() -> None:
    toppings = replicas(2, routing=Toppings(tpot_slo_s=0.045))
    loses(in_turn(80, 0.047), toppings, LEAST, mean_tpot_s, by=1.05)


def mean_tpot_s(played: Played) -> float:
    tpot = played.summary.latency.tpot_s
    assert tpot is not None
    return tpot.mean


def six(slots: int = 2, gap_s: float = 0.4) -> Setting:
    """Six adapters in turn on three engines; all lie in the remote store."""
    loras = tuple(lora(i) for i in range(6))
    rows = [(10.0 + gap_s * i, (5 * i + i // 7) % 6, 60) for i in range(150)]
    return shared(rows, loras, instances=3, slots=slots)


def test_loraserve_gains_the_loads_of_adapters_that_lie_somewhere_already() -> None:
    table = replicas(3, routing=RankTable())
    least = replicas(3, routing=LeastLoaded())
    gains(six(), table, least, lambda p: p.summary.adapters.attaches, by=5.0)


def hot(instances: int = 3) -> Setting:
    """One adapter is asked for by all, at once."""
    rows = [(5.0, 0, 1), *((10.0 + 0.01 * i, 0, 300) for i in range(60))]
    return shared(rows, (lora(0, 128),), instances=instances)


def test_loraserve_loses_where_one_adapter_has_all_the_requests() -> None:
    """The table sends them all to the one engine that holds it."""
    table = replicas(3, routing=RankTable())
    loses(hot(), table, replicas(3, routing=LeastLoaded()), mean_tpot_s, by=1.1)
