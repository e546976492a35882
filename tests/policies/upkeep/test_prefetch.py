"""What is fetched ahead of demand."""

from fleet.commands import Fetch
from fleet.domain import Place, Tier, Whole
from policies.retention.recency import LeastRecentlyUsed
from policies.upkeep.prefetch import PrefetchPopular
from tests.policies.bench import Bench, model, node
from tests.policies.clusters import spec
from tests.policies.duels import GB, Played, Setting, a40, arrivals, gains, loses, with_
from tests.policies.retention.caches import each_loads, mean_ttft_s, missed


def fetched(bench: Bench, policy: PrefetchPopular) -> list[tuple[int, int]]:
    """(artifact, node) of each fetch; carried out as it is proposed."""
    found = []
    for plan in policy.tend(bench.view):
        command = plan.steps[0].command
        assert isinstance(command, Fetch)
        assert command.source == Place(command.target.node, Tier.SSD)
        assert command.target.tier is Tier.DRAM
        assert command.target.node is not None
        found.append((int(command.artifact), int(command.target.node)))
        bench.finish(bench.begin(plan))
    return found


def popular(cache_bytes: int = 10_000) -> Bench:
    """Model 1 is asked for three times, model 0 once, model 2 never; all lie on both SSDs."""
    specs = [model(n) for n in range(3)]
    resident = [(m, n, Tier.SSD) for m in range(3) for n in range(2)]
    bench = Bench([node(n, cache_bytes=cache_bytes) for n in range(2)], specs, resident=resident)
    for number in (1, 1, 0, 1):
        bench.ask(number)
    return bench


def test_prefetch_popular_by_hand_the_most_asked_for_comes_first_one_a_node_and_period() -> None:
    bench = popular()
    policy = PrefetchPopular(least_rate=0.001)
    assert fetched(bench, policy) == [(1, 0), (1, 1)]
    assert fetched(bench, policy) == [(0, 0), (0, 1)]
    assert fetched(bench, policy) == []
    assert bench.view.pool(bench.view.node(bench.view.nodes.specs[0].id).id, Tier.DRAM).used == 160


def test_what_is_asked_for_too_seldom_is_not_fetched() -> None:
    """Three arrivals in a window of 60 s are 0.05 a second; one is 0.017."""
    bench = popular()
    policy = PrefetchPopular(least_rate=0.03)
    assert fetched(bench, policy) == [(1, 0), (1, 1)]
    assert fetched(bench, policy) == []


def test_nothing_is_evicted_for_it() -> None:
    bench = popular(cache_bytes=240)
    for n in range(2):
        bench.run(2, n)  # leaves a copy of 80 bytes in memory
    policy = PrefetchPopular(least_rate=0.0)
    for _ in range(5):
        fetched(bench, policy)
    for n in range(2):
        pool = bench.state.pool(bench.view.nodes.specs[n].id, Tier.DRAM)
        assert 2 in pool  # type: ignore[operator]
        assert pool.used == 240


def test_a_dead_node_fetches_nothing() -> None:
    bench = popular()
    bench.state.nodes.lose(bench.view.nodes.specs[0].id)
    policy = PrefetchPopular(least_rate=0.001)
    plans = list(policy.tend(bench.view))
    assert [p.steps[0].command.target.node for p in plans] == [1]  # type: ignore[attr-defined]


PLAIN = each_loads(LeastRecentlyUsed())
OURS = with_(PLAIN, upkeep=(PrefetchPopular(),))


def growing(together: int) -> Setting:
    """Two nodes of one card; two models in turn: three requests, and later some at once."""
    rows = [(t + at, n) for n, t in ((0, 0.0), (1, 100.0)) for at in (0.0, 8.0, 16.0)]
    rows += [(t + 60.0, n) for n, t in ((0, 0.0), (1, 100.0)) for _ in range(together)]
    resident = tuple((m, n, Tier.SSD) for m in range(2) for n in range(2))
    models = (spec(0, 13 * GB, Whole(1)), spec(1, 13 * GB, Whole(1)))
    asked = arrivals(rows, output_tokens=20)
    return Setting((a40(0, gpus=1), a40(1, gpus=1)), models, asked, resident=resident)


def test_prefetch_popular_gains_where_a_model_soon_needs_a_second_node() -> None:
    """The second of two requests at once starts on the other node, which has it in DRAM by then."""
    gains(growing(together=2), OURS, PLAIN, mean_ttft_s, by=1.1)


def moved_bytes(played: Played) -> float:
    return missed(played) + sum(played.summary.caches.fetched_bytes.values())


def test_prefetch_popular_loses_the_reads_that_nobody_needed() -> None:
    """One request at a time runs on the first node; the copies on the other were for nothing."""
    loses(growing(together=1), OURS, PLAIN, moved_bytes, by=1.5)
