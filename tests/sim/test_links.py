"""Shared links against closed forms, conservation laws and an independent event oracle."""

import math
from collections.abc import Callable
from functools import partial

import msgspec
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.links import Link, Network, Transfer, TransferError

GB = 1e9


def network() -> tuple[simpy.Environment, Network]:
    env = simpy.Environment()
    return env, Network(env)


def at(env: simpy.Environment, when: float, act: Callable[[], object]) -> None:
    def step(_event: object) -> None:
        act()

    env.timeout(when).callbacks.append(step)


def test_an_undisturbed_transfer_takes_its_slowest_hop_and_one_chunk_a_further_hop() -> None:
    env, net = network()
    path = [Link("nic", 1.25 * GB), Link("ssd", 5 * GB), Link("pcie", 25 * GB)]
    transfer = net.transfer(13.3 * GB, path, chunk_bytes=32e6)
    assert env.run(transfer) == pytest.approx(13.3 / 1.25 + 2 * 32e6 / (1.25 * GB), rel=1e-12)
    assert transfer.bytes_done == 13.3 * GB
    assert [link.bytes_carried for link in path] == [13.3 * GB] * 3


def test_a_link_that_stores_no_chunk_limits_the_rate_and_adds_no_filling() -> None:
    env, net = network()
    path = [Link("store", 1 * GB, stores_chunks=False), Link("nic", 2 * GB)]
    assert env.run(net.transfer(8 * GB, path, chunk_bytes=1e9)) == pytest.approx(8.0)


def test_a_chunk_is_never_larger_than_what_is_moved() -> None:
    env, net = network()
    path = [Link("ssd", 1 * GB), Link("pcie", 10 * GB)]
    assert env.run(net.transfer(1e6, path, chunk_bytes=32e6)) == pytest.approx(2e-3)


def test_a_cap_is_one_more_hop_that_sets_the_pace() -> None:
    env, net = network()
    path = [Link("ssd", 5 * GB), Link("pcie", 25 * GB)]
    transfer = net.transfer(10 * GB, path, chunk_bytes=40e6, cap_bytes_per_s=4 * GB)
    assert env.run(transfer) == pytest.approx(2.5 + 0.01)


def test_two_equal_transfers_share_a_link_and_end_together_in_the_order_they_began() -> None:
    env, net = network()
    link = Link("pcie", 10 * GB)
    ended: list[simpy.Event] = []
    transfers = [net.transfer(10 * GB, [link]) for _ in range(3)]
    for transfer in reversed(transfers):
        transfer.callbacks.append(ended.append)
    env.run()
    assert env.now == pytest.approx(3.0)
    assert ended == transfers


def test_a_staggered_pair_shares_only_while_both_are_there() -> None:
    env, net = network()
    link = Link("ssd", 1 * GB)
    first = net.transfer(4 * GB, [link])  # alone for 1 s, then half: 1 + 3 / 0.5 = 7 s
    later: list[Transfer] = []
    at(env, 1.0, lambda: later.append(net.transfer(4 * GB, [link])))
    assert env.run(first) == pytest.approx(7.0)
    assert env.run(later[0]) == pytest.approx(7.0)  # 3 GB in the 6 s shared, 1 GB alone
    assert env.now == pytest.approx(8.0)


def test_transfers_with_different_bottlenecks_leave_each_other_what_a_share_is() -> None:
    env, net = network()
    ssd, fast, slow = Link("ssd", 10 * GB), Link("pcie0", 25 * GB), Link("slow", 2 * GB)
    held_back = net.transfer(4 * GB, [ssd, slow])
    free = net.transfer(10 * GB, [ssd, fast])
    # Each may have half the SSD: one takes 2 of its 5, the other its 5 until the first has ended.
    assert env.run(held_back) == pytest.approx(2.0)
    assert env.run(free) == pytest.approx(2.0)


def test_a_cancelled_transfer_keeps_what_it_moved_and_frees_its_share() -> None:
    env, net = network()
    link = Link("ssd", 2 * GB)
    doomed, kept = net.transfer(8 * GB, [link]), net.transfer(4 * GB, [link])
    at(env, 1.0, doomed.cancel)
    assert env.run(kept) == pytest.approx(1.0 + 3 / 2)
    assert doomed.bytes_done == pytest.approx(1 * GB)
    doomed.cancel()
    env.run()
    assert not doomed.triggered
    assert link.bytes_carried == pytest.approx(5 * GB)


def test_cutting_links_cancels_all_that_crosses_them_and_nothing_else() -> None:
    env, net = network()
    lost, shared, other = Link("lost", GB), Link("shared", GB), Link("other", GB)
    crossing = [net.transfer(GB, [shared, lost]), net.transfer(GB, [lost])]
    spared = net.transfer(GB, [shared, other])
    assert net.cut([lost, other][:1]) == crossing
    assert env.run(spared) == pytest.approx(1.0)
    assert not any(transfer.triggered for transfer in crossing)


def test_a_change_does_not_re_time_those_who_share_no_link_with_it() -> None:
    env, net = network()
    link = Link("a", GB)
    for _ in range(50):
        net.transfer(GB, [Link("lonely", GB)])
    pushes = net._pushes
    net.transfer(GB, [link])
    net.transfer(GB, [link])
    assert net._pushes - pushes == 3  # itself, then itself and the one beside it
    env.run()


class CountingEnvironment(simpy.Environment):
    timeouts = 0

    def schedule(self, event: simpy.Event, priority: int = 1, delay: float = 0) -> None:
        self.timeouts += isinstance(event, simpy.Timeout)
        super().schedule(event, priority, delay)  # type: ignore[arg-type]


def test_however_many_share_a_link_a_change_costs_simpy_at_most_one_wake_up() -> None:
    env = CountingEnvironment()
    net, link = Network(env), Link("a", GB)
    transfers = [net.transfer(GB * (1 + i), [link]) for i in range(40)]
    transfers[-1].cancel()
    env.run()
    assert env.timeouts <= 40 + 1 + 39


def test_nothing_to_move_takes_no_time() -> None:
    env, net = network()
    assert env.run(net.transfer(0, [Link("a", GB), Link("b", GB)], chunk_bytes=1e6)) == 0
    assert env.run(net.transfer(5 * GB, [])) == 0
    assert env.run(net.transfer(5 * GB, [], cap_bytes_per_s=GB)) == 5


@pytest.mark.parametrize(
    ("nbytes", "chunk_bytes", "cap", "words"),
    [
        (-1.0, 0.0, 1.0, "nbytes is -1.0"),
        (math.inf, 0.0, 1.0, "nbytes is inf"),
        (1.0, -2.0, 1.0, "chunk_bytes is -2.0"),
        (1.0, 0.0, 0.0, "cap_bytes_per_s is 0.0"),
    ],
)
def test_a_transfer_that_cannot_be_says_what_is_wrong(
    nbytes: float, chunk_bytes: float, cap: float, words: str
) -> None:
    _env, net = network()
    with pytest.raises(TransferError, match=words):
        net.transfer(nbytes, [Link("a", GB)], chunk_bytes=chunk_bytes, cap_bytes_per_s=cap)


def test_a_link_needs_bandwidth_and_is_crossed_once() -> None:
    _env, net = network()
    with pytest.raises(TransferError, match="link a: bytes_per_s is 0; it must be above 0"):
        Link("a", 0)
    link = Link("b", GB)
    with pytest.raises(TransferError, match="crosses a link once"):
        net.transfer(1, [link, link])


class Job(msgspec.Struct, frozen=True):
    """A transfer to be: `links` are indices; `cancel_at` may come after its end."""

    at: float
    nbytes: float
    links: tuple[int, ...]
    chunk_bytes: float
    cap: float
    cancel_at: float


times = st.floats(0, 20).map(lambda s: round(s, 3))
jobs = st.builds(
    Job,
    at=times,
    nbytes=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.7, 10.0]),
    links=st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True).map(tuple),
    chunk_bytes=st.sampled_from([0.0, 0.1, 1.5]),
    cap=st.sampled_from([math.inf, 0.4, 1.1]),
    cancel_at=st.one_of(st.just(math.inf), times),
)
speeds = st.lists(st.sampled_from([0.5, 1.0, 1.7, 3.0]), min_size=4, max_size=4)


class Run:
    """One run of jobs in the network, with what it carried looked at on every start and end."""

    def __init__(self, jobs: list[Job], speeds: list[float]) -> None:
        self.env, self.net = network()
        self.links = [Link(f"l{i}", speed) for i, speed in enumerate(speeds)]
        self.transfers: dict[int, Transfer] = {}
        self.ended: dict[int, float] = {}
        self.samples: list[tuple[float, list[float]]] = []
        for index, job in enumerate(jobs):
            at(self.env, job.at, partial(self._begin, index, job))
            if job.at < job.cancel_at < math.inf:
                at(self.env, job.cancel_at, partial(self._cancel, index))
        self.env.run()

    def _begin(self, index: int, job: Job) -> None:
        links = [self.links[i] for i in job.links]
        transfer = self.net.transfer(
            job.nbytes, links, chunk_bytes=job.chunk_bytes, cap_bytes_per_s=job.cap
        )
        self.transfers[index] = transfer
        transfer.callbacks.append(lambda _event: self._finish(index))
        self._sample()

    def _finish(self, index: int) -> None:
        self.ended[index] = self.env.now
        self._sample()

    def _cancel(self, index: int) -> None:
        self.transfers[index].cancel()
        self._sample()

    def _sample(self) -> None:
        carried = [
            link.bytes_carried + sum(t.bytes_done for t in link.sharers) for link in self.links
        ]
        self.samples.append((self.env.now, carried))


@settings(max_examples=60, deadline=None)
@given(st.lists(jobs, min_size=1, max_size=9), speeds)
def test_no_link_carries_more_than_it_can_and_every_transfer_ends(
    work: list[Job], speeds: list[float]
) -> None:
    run = Run(work, speeds)
    for (start, before), (end, after) in zip(run.samples, run.samples[1:], strict=False):
        for speed, was, is_ in zip(speeds, before, after, strict=True):
            assert -1e-9 <= is_ - was <= speed * (end - start) + 1e-9
    for index, job in enumerate(work):
        if index not in run.ended:
            assert job.at < job.cancel_at < math.inf
            assert run.transfers[index].bytes_done <= job.nbytes
        else:
            assert run.transfers[index].bytes_done == job.nbytes
    carried = [0.0] * 4
    for transfer in run.transfers.values():
        for link in transfer.links:
            carried[run.links.index(link)] += transfer.bytes_done
    assert [link.bytes_carried for link in run.links] == pytest.approx(carried)
    assert not any(link.sharers for link in run.links)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(times, st.floats(0.01, 10)), min_size=1, max_size=12))
def test_one_link_works_whenever_there_is_work(work: list[tuple[float, float]]) -> None:
    env, net = network()
    link = Link("only", 1.3)
    for when, nbytes in work:
        at(env, when, partial(net.transfer, nbytes, [link]))
    busy_until = 0.0
    for when, nbytes in sorted(work):
        busy_until = max(busy_until, when) + nbytes / 1.3
    last: list[float] = []
    while env.peek() < math.inf:
        env.step()
        if link.sharers:
            last.clear()
        elif not last:
            last.append(env.now)
    assert last[0] == pytest.approx(busy_until, rel=1e-9)


def oracle(work: list[Job], speeds: list[float]) -> dict[int, float]:
    """When each job ends, by recomputing every rate from nothing at every instant."""
    left: dict[int, float] = {}
    ended: dict[int, float] = {}
    pending = sorted(range(len(work)), key=lambda i: work[i].at)
    now = 0.0
    while pending or left:
        count = [sum(link in work[i].links for i in left) for link in range(4)]
        rate = {
            i: min([work[i].cap, *(speeds[link] / count[link] for link in work[i].links)])
            for i in left
        }
        cancels = [work[i].cancel_at for i in left]
        begins = [work[i].at for i in pending[:1]]
        moment = min([now + left[i] / rate[i] for i in left] + cancels + begins)
        for i in list(left):
            left[i] -= rate[i] * (moment - now)
            if left[i] <= 1e-12:
                ended[i] = moment
                del left[i]
            elif work[i].cancel_at <= moment:
                del left[i]
        now = moment
        while pending and work[pending[0]].at <= now:
            i = pending.pop(0)
            fill = (len(work[i].links) - 1) * min(work[i].chunk_bytes, work[i].nbytes)
            left[i] = work[i].nbytes + fill
    return ended


@settings(max_examples=150, deadline=None)
@given(st.lists(jobs, min_size=1, max_size=9), speeds)
def test_random_runs_end_when_an_oracle_says_they_do(work: list[Job], speeds: list[float]) -> None:
    # A cancel no later than its start is never armed: say the same to the oracle.
    work = [
        msgspec.structs.replace(
            job, cancel_at=math.inf if job.cancel_at <= job.at else job.cancel_at
        )
        for job in work
    ]
    run, expected = Run(work, speeds), oracle(work, speeds)
    for index in run.ended.keys() ^ expected.keys():  # a cancel at the very instant of the end
        (moment,) = {run.ended.get(index), expected.get(index)} - {None}
        assert moment == pytest.approx(work[index].cancel_at, rel=1e-9)
    for index in run.ended.keys() & expected.keys():
        assert run.ended[index] == pytest.approx(expected[index], rel=1e-6, abs=1e-9)


def test_far_from_time_zero_a_run_still_ends() -> None:
    env = simpy.Environment(initial_time=3e7)
    net = Network(env)
    link = Link("a", 3.0)
    for nbytes in (1.0, 0.1, 1e-9, 7.0):
        net.transfer(nbytes, [link])
    env.run()
    assert not link.sharers
    assert env.now == pytest.approx(3e7 + 8.1 / 3, abs=1e-6)
