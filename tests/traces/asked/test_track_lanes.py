"""Tracks side by side: as many as overlap at once, the first free one taken again."""

from tests.traces.chrome_rules import check
from traces.asked.chrome_trace import ChromeTrace
from traces.asked.track_lanes import TrackLanes


def test_a_lane_that_was_given_back_is_taken_first() -> None:
    parts: list[bytes] = []
    trace = ChromeTrace(parts.append)
    lanes = TrackLanes(trace, trace.process("node"), "GPU 0", 0)
    taken = [lanes.take() for _ in range(3)]
    assert [number for number, _ in taken] == [0, 1, 2]
    assert [track.name for _, track in taken] == ["GPU 0", "GPU 0 (2)", "GPU 0 (3)"]
    lanes.give(1)
    assert lanes.take() == taken[1]
    assert lanes.take()[0] == 3
    trace.close()
    check(b"".join(parts))
