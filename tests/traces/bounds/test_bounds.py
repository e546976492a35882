"""Every bound of a run in one pass over its journal."""

import msgspec
import pytest

from fleet.controller import Setup
from tests.traces.runs import model, node, two_request_story
from traces.bounds.bounds import Bounds, bounds_of


def bounds() -> Bounds:
    """A cold request and a warm one; 12 GB from remote in 4 s, of which 1 s is no moving."""
    return bounds_of(Setup((node(0), node(1)), (model(0), model(1))), two_request_story().pairs)


def test_all_parts_are_of_the_same_run() -> None:
    found = bounds()
    assert found.requests == 2
    assert [gap.tier for gap in found.caches] == ["node DRAM", "node SSD", "all"]
    assert (found.start_ups.cold_requests, found.start_ups.loads) == (1, 1)
    assert found.start_ups.least_load_s is not None
    assert found.start_ups.least_load_s.mean == pytest.approx(1.0 + 12.0)
    assert (found.loads.loads, found.loads.least_loads, found.loads.gaps) == (1, 1, 1)
    assert found.queues == ()


def test_they_come_back_from_json_as_they_were() -> None:
    found = bounds()
    assert msgspec.json.decode(msgspec.json.encode(found), type=Bounds) == found
