"""What the pairs of two sides say, on times made by hand."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from fleet.commands import Reject
from fleet.domain import CommandId, InstanceId, Request, RequestId
from fleet.events import RequestArrived, RequestFinished
from fleet.streams import Streams
from tests.sim.worlds import model, node
from traces.asked.counterfactual import Comparison, columns_of, compared
from traces.collector import Recorder
from traces.metrics import summarise
from traces.record import RunRecord
from traces.summary import Slo, Summary

Times = Sequence[float | None]
N = 320
SLO = Slo(ttft_s=2.0, tpot_s=10.0)


def record(ttfts_s: Sequence[float | None]) -> RunRecord:
    """Requests a second apart, in order; those without a time are rejected as they come."""
    recorder = Recorder([node(0)], [model(0)])
    ends = []
    for i, ttft in enumerate(ttfts_s):
        request = Request(RequestId(i), model(0).id, None, float(i), 5, 10)
        refused = [Reject(CommandId(-1), request.id, "full")] if ttft is None else []
        recorder.observe(RequestArrived(float(i), request), refused)
        if ttft is not None:
            first = i + ttft
            about = CommandId(i), RequestId(i), InstanceId(0)
            ends.append(RequestFinished(first + 1, *about, float(i), first, first + 1, 4, 0, 0.1))
    for end in sorted(ends, key=lambda one: one.at):
        recorder.observe(end, [])
    return recorder.record()


def summary(of: RunRecord, gpu_s: float) -> Summary:
    found = summarise(of, SLO)
    cost = msgspec.structs.replace(found.cost, gpu_s_total=gpu_s, price_total=gpu_s / 100)
    return msgspec.structs.replace(found, cost=cost)


def comparison(base: Sequence[Times], other: Sequence[Times]) -> Comparison:
    """Sides by world; base held 10 GPU-seconds, the other 12."""
    ours, theirs = [record(times) for times in base], [record(times) for times in other]
    sides = columns_of(ours, SLO, {}), columns_of(theirs, SLO, {})
    pairs = zip(ours, theirs, strict=True)
    sums = [(summary(one, 10.0), summary(two, 12.0)) for one, two in pairs]
    return compared(ours[0].requests, sides, sums)


def times(seed: int, mean_s: float = 1.0) -> list[float | None]:
    return list(Streams(seed).array("times").exponential(mean_s, N))


def test_a_second_more_for_everybody_is_a_real_difference_of_a_second() -> None:
    base = times(1)
    found = comparison([base], [[(one or 0.0) + 1.0 for one in base]])
    by_name = {change.name: change for change in found.changes}
    for name in ("TTFT mean", "TTFT p50", "TTFT p99", "end to end mean"):
        apart = by_name[name].difference
        assert (apart.estimate, apart.low, apart.high) == pytest.approx((1.0, 1.0, 1.0))
        assert by_name[name].real is True
    assert by_name["TTFT mean"].base == pytest.approx(np.mean([one or 0.0 for one in base]))
    assert by_name["within objective"].real is True
    assert by_name["finished"].real is False
    assert (found.gains.later, found.gains.sooner, found.gains.same) == (1.0, 0.0, 0.0)


def test_chance_is_not_called_real() -> None:
    found = comparison([times(1)], [times(2)])
    by_name = {change.name: change for change in found.changes}
    assert by_name["TTFT mean"].real is False
    assert found.gains.sooner + found.gains.later == pytest.approx(1.0)


def test_requests_that_finish_on_one_side_only_are_counted_apart() -> None:
    base, other = times(1), times(1)
    base[:32] = [None] * 32
    other[16:64] = [None] * 48
    found = comparison([base], [other])
    assert found.gains.neither_finished == pytest.approx(16 / N)
    assert found.gains.only_other_finished == pytest.approx(16 / N)
    assert found.gains.only_base_finished == pytest.approx(32 / N)
    assert found.gains.same == pytest.approx((N - 64) / N)
    assert any("did not finish on both sides" in note for note in found.notes)
    by_name = {change.name: change for change in found.changes}
    assert by_name["finished"].difference.estimate == pytest.approx(-16 / N)
    assert by_name["TTFT mean"].difference.estimate == pytest.approx(0.0)


def test_worlds_are_averaged_and_costs_have_intervals_from_five_on() -> None:
    base = [times(seed) for seed in range(5)]
    other = [[(one or 0.0) + 0.5 for one in own] for own in base]
    found = comparison(base, other)
    assert (found.worlds, found.requests) == (5, N)
    assert "5 worlds" in found.method
    (gpu, price) = found.costs
    assert (gpu.base, gpu.other, gpu.difference.estimate) == pytest.approx((10.0, 12.0, 2.0))
    assert gpu.difference.low == pytest.approx(2.0)
    assert price.difference.estimate == pytest.approx(0.02)
    alone = comparison(base[:1], other[:1]).costs[0].difference
    assert alone.estimate == pytest.approx(2.0)
    assert alone.low is None


def test_sides_of_which_nothing_finished_still_say_so() -> None:
    found = comparison([[None] * N], [[None] * N])
    assert found.gains.neither_finished == 1.0
    by_name = {change.name: change for change in found.changes}
    assert by_name["TTFT mean"].real is None
