"""Who is due first, for slots and for capacity."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from fleet.domain import ArtifactId, ModelId, Part, Request, RequestId, TenantId
from fleet.holders import Flight
from fleet.lanes import Lanes
from fleet.needs import Need, Needs
from policies.ordering.arrival import LongestWaiting
from policies.ordering.deadlines import EarliestDeadline, EarliestDeadlineNeed
from tests.policies.bench import Bench, model, node
from tests.policies.contended import contended, evicting
from tests.policies.duels import gains, loses
from tests.policies.routing.sent import asked
from tests.policies.routing.test_load import Fleet
from tests.policies.warm import WARM_AT, Row, missed, poisson, replicas, warm

VIEW = Bench([node(0)], [model(0)]).view


def flight(number: int, tenant: int, due_at: float | None) -> Flight:
    model_id = ModelId(ArtifactId(0))
    number_id, who = RequestId(number), TenantId(tenant)
    return Flight(Request(number_id, model_id, None, float(number), 1, 1, who, due_at))


def served(flights: list[Flight]) -> list[int]:
    lanes = Lanes()
    for each in flights:
        lanes.push(each)
    out: list[int] = []
    while (lane := EarliestDeadline().next(lanes, VIEW)) is not None:
        out.append(lanes.pop(lane).request.id)
    return out


def test_edf_by_hand_takes_the_earliest_deadline_among_heads() -> None:
    """Tenant 0's second request is due first of all, but stands behind its first."""
    waiting = [flight(0, 0, 50.0), flight(1, 0, 5.0), flight(2, 1, 20.0), flight(3, 2, None)]
    assert served(waiting) == [2, 0, 1, 3]


@given(st.lists(st.none() | st.floats(0.0, 100.0), max_size=10))
def test_with_a_tenant_each_all_are_served_by_deadline_then_by_arrival(
    due: list[float | None],
) -> None:
    expected = sorted(range(len(due)), key=lambda n: (inf if due[n] is None else due[n], n))
    assert served([flight(n, n, at) for n, at in enumerate(due)]) == expected


def test_a_lane_that_is_set_aside_is_not_asked_again() -> None:
    lanes = Lanes()
    lanes.push(flight(0, 0, 1.0))
    lanes.push(flight(1, 1, 2.0))
    first = EarliestDeadline().next(lanes, VIEW)
    assert first is not None
    lanes.set_aside(first)
    second = EarliestDeadline().next(lanes, VIEW)
    assert second is not None
    assert second.tenant == 1


def test_edf_by_hand_takes_the_need_whose_requests_are_due_first() -> None:
    """Two models without cards; the second has an older request, the first an urgent one."""
    fleet = Fleet(0)
    bench = Bench([], [model(0), model(1)])
    needs = Needs()
    for number, due_at, tenant in ((1, 30.0, 0), (0, 20.0, 0), (0, 9.0, 1)):
        request = asked(fleet, deadline_at=due_at, tenant=TenantId(tenant))
        lanes = bench.state.serving[ModelId(ArtifactId(number))].lanes
        lanes.push(Flight(request))
    needs.add(Need(model(0, Part(10)), 2, 5.0))
    needs.add(Need(model(1, Part(20)), 1, 1.0))
    tried = []
    while (need := EarliestDeadlineNeed().next(needs, bench.view)) is not None:
        tried.append(int(need.model.id))
        needs.tried(need)
    assert tried == [0, 1]


# In the simulator


def with_deadlines(seconds: float, tenant: int, at: list[float]) -> list[Row]:
    """Requests of a tenant that must begin within so many seconds."""
    return [(t, 100, {"tenant": tenant, "deadline_at": WARM_AT + t + seconds}) for t in at]


EDF = replicas(1, ordering=EarliestDeadline())


def test_edf_gains_where_some_can_wait() -> None:
    """A queue of six seconds: too long for half of the requests, and the others have sixty."""
    hurry = with_deadlines(2.0, 1, poisson(2.5, 100))
    setting = warm([*hurry, *with_deadlines(60.0, 0, poisson(2.5, 100, 1))], 1)
    ours, theirs = gains(setting, EDF, replicas(1), missed(setting), by=5.0)
    assert missed(setting)(ours) == 0.0
    assert ours.finished == theirs.finished


def test_edf_loses_where_the_urgent_are_too_many() -> None:
    """They alone are more than can be served: what is late already keeps passing the others."""
    hurry = with_deadlines(2.0, 1, poisson(8.0, 300))
    setting = warm([*hurry, *with_deadlines(40.0, 0, poisson(2.0, 80, 1))], 1)
    loses(setting, EDF, replicas(1), missed(setting), by=1.1)


def due(models: int, seconds: list[float]) -> list[tuple[float, int, dict[str, float]]]:
    """One request for each model, a tenth of a second apart, due at these times."""
    return [(m * 0.1, m, {"deadline_at": seconds[m]}) for m in range(models)]


EDF_NEEDS = evicting(arbitration=EarliestDeadlineNeed())
OLDEST = evicting(arbitration=LongestWaiting())


def test_edf_gains_where_models_that_can_wait_asked_first() -> None:
    setting = contended(due(8, [60.0 - 5.0 * m for m in range(8)]), 8)
    ours, _ = gains(setting, EDF_NEEDS, OLDEST, missed(setting))
    assert missed(setting)(ours) == 0.0


def test_edf_loses_where_loads_for_the_late_come_before_loads_in_time() -> None:
    """Every second model is due before it could be loaded, the others in thirty seconds."""
    setting = contended(due(12, [30.0 if m % 2 else 2.0 for m in range(12)]), 12)
    loses(setting, EDF_NEEDS, OLDEST, missed(setting), by=1.1)
