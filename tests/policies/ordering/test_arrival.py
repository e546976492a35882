"""Who is next, whatever order things were put in."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.domain import AdapterId, ArtifactId, ModelId, Part, Request, RequestId, TenantId
from fleet.holders import Flight
from fleet.lanes import Lanes
from fleet.needs import Need, Needs
from policies.ordering.arrival import FirstComeFirstServed, LongestWaiting
from tests.policies.bench import Bench, model, node

VIEW = Bench([node(0)], [model(0)]).view


def flight(number: int, adapter: int | None, tenant: int) -> Flight:
    lora = None if adapter is None else AdapterId(ArtifactId(adapter))
    model_id, who = ModelId(ArtifactId(0)), TenantId(tenant)
    return Flight(Request(RequestId(number), model_id, lora, float(number), 1, 1, who))


@given(st.lists(st.tuples(st.sampled_from([None, 20, 21]), st.integers(0, 2)), max_size=12))
def test_fcfs_by_hand_serves_in_the_order_of_arrival(keys: list[tuple[int | None, int]]) -> None:
    """Released ServerlessLLM sorts by the place in each model's queue, not by time."""
    lanes = Lanes()
    for number, (adapter, tenant) in enumerate(keys):
        lanes.push(flight(number, adapter, tenant))
    served = []
    while (lane := FirstComeFirstServed().next(lanes, VIEW)) is not None:
        served.append(lanes.pop(lane).request.id)
    assert served == list(range(len(keys)))


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=8, unique=True))
def test_longest_waiting_by_hand_tries_needs_from_the_longest_wait_on(since: list[float]) -> None:
    needs = Needs()
    for number, at in enumerate(since):
        needs.add(Need(model(number, Part(10 + number)), 1, at))
    tried = []
    while (need := LongestWaiting().next(needs, VIEW)) is not None:
        tried.append(need.since)
        needs.tried(need)
    assert tried == sorted(since)
