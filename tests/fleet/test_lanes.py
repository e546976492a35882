"""Waiting requests: first come, first served in a lane; the oldest head among open lanes."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.domain import AdapterId, ArtifactId, ModelId, Request, RequestId, TenantId
from fleet.holders import Flight
from fleet.lanes import Lanes


def flight(number: int, adapter: int | None = None, tenant: int = 0) -> Flight:
    lora = None if adapter is None else AdapterId(ArtifactId(adapter))
    model = ModelId(ArtifactId(0))
    at = float(number)
    return Flight(Request(RequestId(number), model, lora, at, 1, 1, TenantId(tenant)))


def drain(lanes: Lanes) -> list[int]:
    out: list[int] = []
    while (lane := lanes.oldest()) is not None:
        out.append(lanes.pop(lane).request.id)
    return out


@given(st.lists(st.tuples(st.sampled_from([None, 1, 2]), st.integers(0, 1)), max_size=20))
def test_the_oldest_head_comes_first_whatever_its_lane(keys: list[tuple[int | None, int]]) -> None:
    lanes = Lanes()
    for number, (adapter, tenant) in enumerate(keys):
        lanes.push(flight(number, adapter, tenant))
    assert lanes.waiting == len(keys)
    assert drain(lanes) == list(range(len(keys)))
    assert lanes.waiting == 0


@given(st.permutations(range(8)), st.integers(0, 8))
def test_requests_that_come_back_take_the_places_of_their_arrival(
    order: list[int], back: int
) -> None:
    lanes = Lanes()
    for number in sorted(order[back:]):
        lanes.push(flight(number))
    for number in order[:back]:
        lanes.push(flight(number), front=True)
    assert drain(lanes) == list(range(8))


def test_a_lane_set_aside_blocks_no_other() -> None:
    lanes = Lanes()
    lanes.push(flight(0, adapter=1))
    lanes.push(flight(1))
    blocked = lanes.oldest()
    assert blocked is not None
    lanes.set_aside(blocked)
    assert drain(lanes) == [1]
    lanes.restore()
    assert drain(lanes) == [0]


def test_a_request_taken_from_the_middle_leaves_the_order() -> None:
    lanes = Lanes()
    flights = [flight(number) for number in range(4)]
    for one in flights:
        lanes.push(one)
    lanes.remove(flights[0])
    lanes.remove(flights[2])
    assert drain(lanes) == [1, 3]


@given(st.data())
def test_any_mix_of_changes_keeps_the_oldest_open_head_in_front(data: st.DataObject) -> None:
    lanes = Lanes()
    waiting: dict[int, Flight] = {}
    aside: set[tuple[AdapterId | None, TenantId]] = set()
    for number in range(data.draw(st.integers(0, 25))):
        action = data.draw(st.sampled_from(["push", "push", "remove", "aside", "restore"]))
        lane = lanes.oldest()
        if action == "push":
            adapter = data.draw(st.sampled_from([None, 1]))
            waiting[number] = flight(number, adapter, data.draw(st.integers(0, 1)))
            lanes.push(waiting[number])
        elif action == "remove" and waiting:
            lanes.remove(waiting.pop(data.draw(st.sampled_from(sorted(waiting)))))
        elif action == "aside" and lane is not None:
            lanes.set_aside(lane)
            aside.add((lane.adapter, lane.tenant))
        elif action == "restore":
            lanes.restore()
            aside.clear()
        gone = {key for key in aside if key not in {_key(f) for f in waiting.values()}}
        aside -= gone  # an emptied lane comes back open
        open_ = [n for n, f in waiting.items() if _key(f) not in aside]
        head = lanes.oldest()
        assert (head.flights[0].request.id if head else None) == min(open_, default=None)


def _key(one: Flight) -> tuple[AdapterId | None, TenantId]:
    return one.request.adapter, one.request.tenant
