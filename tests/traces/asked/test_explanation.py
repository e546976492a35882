"""Why requests waited: cases a person can add up, and what holds for every request of any run."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.commands import SetTimer
from fleet.domain import CommandId, Place, Tier
from fleet.journal import Entry
from policies.catalog import build
from tests.sim.worlds import adapter, arrival, model, node, setup
from tests.traces.explained import explained, journaled, played
from traces.asked.explanation import DepartedError, Explaining
from traces.asked.story import stories_of
from traces.asked.waiting import Wait

#: A load of 40 bytes from SSD at 20 bytes a second, after 0.5 s of process start-up.
LOAD_S = 2.5
#: Eight prompt tokens at 0.125 s each, and a step of 0.25 s.
PREFILL_S = 1.25


def on_ssd(artifact: int, where: int) -> tuple[int, Place]:
    return artifact, Place(node(where).id, Tier.SSD)


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 10_000))
def test_what_every_request_waited_for_adds_up_to_its_first_token(seed: int) -> None:
    """With node losses, crashes, failed loads, migrations, late reports and sleepers."""
    start, policy, entries = journaled(seed)
    for one in explained(start, policy, entries).values():
        assert all(a.end == b.begin for a, b in zip(one.spans, one.spans[1:], strict=False))
        assert all(span.seconds > 0 for span in one.spans)
        if one.ttft_s is not None:
            assert one.spans[0].begin == one.arrived_at
            assert sum(one.waited_s.values()) == pytest.approx(one.ttft_s, abs=1e-9)
        assert one.outcome != "unfinished: the journal ends before it"
        assert [m.at for m in one.moments] == sorted(m.at for m in one.moments)


def test_a_cold_request_waits_for_its_load_and_its_prefill() -> None:
    start = setup([node(0)], [model(0)], resident=[on_ssd(0, 0)])
    entries = played(start, "serverlessllm", [arrival(0, 1.0)])
    one = explained(start, "serverlessllm", entries)[0]
    assert [span.wait for span in one.spans] == [Wait.LOADING, Wait.PREFILL]
    assert [span.seconds for span in one.spans] == pytest.approx([LOAD_S, PREFILL_S])
    (begun,) = one.starts
    assert (begun.node, begun.source, begun.planned_at) == ("n0", "SSD of n0", 1.0)
    assert begun.load_s == pytest.approx(LOAD_S)
    assert begun.believed_load_s == pytest.approx(2.0)
    assert begun.believed_ready_at == pytest.approx(3.0)
    assert [routed.outcome for routed in one.routed] == ["no_instance", "sent"]
    assert one.outcome == "finished"


def test_a_warm_request_names_the_start_that_came_before_it() -> None:
    start = setup([node(0)], [model(0)], resident=[on_ssd(0, 0)])
    policy = {"recipe": "keep_alive", "keep_alive_s": 60}
    entries = played(start, policy, [arrival(0, 1.0), arrival(1, 20.0)])
    one = explained(start, policy, entries)[1]
    assert [span.wait for span in one.spans] == [Wait.PREFILL]
    assert [begun.planned_at for begun in one.starts] == [1.0]
    assert not any("begins to load" in moment.what for moment in one.moments)


def test_a_request_on_a_full_fleet_waits_for_room_and_then_for_the_clearing() -> None:
    """One card; what runs there first must end, and its instance be stopped."""
    start = setup([node(0, 1)], [model(0), model(1)], resident=[on_ssd(0, 0), on_ssd(1, 0)])
    arrivals = [arrival(0, 0.0, 8), arrival(1, 4.0, model=1)]
    entries = played(start, "gdsf", arrivals)
    one = explained(start, "gdsf", entries)[1]
    waits = [span.wait for span in one.spans]
    assert waits[:3] == [Wait.ROOM, Wait.CLEARING, Wait.LOADING]
    assert one.refusals[0].answer == "full"
    (refused,) = one.refusals[0].candidates
    assert (refused.fits, refused.cleared, refused.ready_at) == (False, None, None)
    assert [(held.model, held.phase, held.requests) for held in refused.held] == [
        ("m0", "ready", 1)
    ]
    (begun,) = one.starts
    assert begun.placement is not None
    assert [(v.how, v.model, v.requests) for v in begun.placement.victims] == [("stop", "m0", 0)]
    (chosen,) = begun.placement.candidates
    assert chosen.cleared is not None
    assert chosen.cleared.victims == begun.placement.victims


def test_a_request_behind_others_waits_for_a_slot() -> None:
    start = setup([node(0, 1)], [model(0, slots=1)], resident=[on_ssd(0, 0)])
    entries = played(start, "static", [arrival(0, 0.0, 8), arrival(1, 3.0), arrival(2, 3.5)])
    found = explained(start, "static", entries)
    assert [span.wait for span in found[1].spans] == [Wait.SLOT, Wait.PREFILL]
    assert (found[2].ahead, found[2].ahead_in_all) == (1, 1)


def test_an_adapter_that_must_be_attached_is_told_with_its_estimate() -> None:
    start = setup([node(0, 1)], [model(0, adapters=1)], [adapter(10)], [on_ssd(0, 0)])
    policy = {"recipe": "keep_alive", "keep_alive_s": 60}
    entries = played(start, policy, [arrival(0, 0.0), arrival(1, 20.0, adapter=10)])
    one = explained(start, policy, entries)[1]
    assert [span.wait for span in one.spans] == [Wait.ADAPTER, Wait.PREFILL]
    (attach,) = one.attaches
    assert attach.source == "the remote store"
    assert attach.believed_s == pytest.approx(1.0)  # ten bytes at ten a second
    assert attach.load_s == pytest.approx(one.spans[0].seconds)
    assert [routed.outcome for routed in one.routed] == ["attach", "sent"]
    assert one.routed[0].ready[0].adapter == "absent"


def test_an_adapter_without_a_slot_waits_for_one() -> None:
    """One slot for adapters, and a request on it that is still answered."""
    start = setup([node(0, 1)], [model(0, adapters=1)], [adapter(10), adapter(11)], [on_ssd(0, 0)])
    arrivals = [arrival(0, 0.0, 40, adapter=10), arrival(1, 8.0, adapter=11)]
    entries = played(start, "static", arrivals)
    one = explained(start, "static", entries)[1]
    assert [span.wait for span in one.spans][:2] == [Wait.ADAPTER_SLOT, Wait.ADAPTER]


def test_a_request_that_is_refused_says_by_whom() -> None:
    start = setup([node(0, 1)], [model(0, slots=1)], resident=[on_ssd(0, 0)])
    policy = {"recipe": "static", "admission": {"name": "bounded_hold", "most_held": 1}}
    entries = played(start, policy, [arrival(i, 0.0, 50) for i in range(4)])
    found = explained(start, policy, entries)
    refused = [one for one in found.values() if one.refused is not None]
    assert refused
    assert all(one.outcome.startswith("turned away: ") for one in refused)
    assert {one.refused.policy for one in refused if one.refused} == {"BoundedHold"}


@pytest.mark.parametrize("seed", [2, 4])
def test_who_lost_work_is_told_what_took_it(seed: int) -> None:
    start, policy, entries = journaled(seed)
    lost = [one for one in explained(start, policy, entries).values() if Wait.LOST in one.waited_s]
    assert lost
    for one in lost:
        told = " ".join(moment.what for moment in one.moments)
        assert "is lost" in told or "off its instance" in told or "that failed" in told


def test_a_journal_of_other_commands_is_refused_with_its_line() -> None:
    start = setup([node(0)], [model(0)], resident=[on_ssd(0, 0)])
    entries = played(start, "serverlessllm", [arrival(0, 1.0)])
    changed = Entry(entries[1].event, (*entries[1].commands, SetTimer(CommandId(7), "age", 9.0)))
    altered = [entries[0], changed, *entries[2:]]
    explaining = Explaining(start, build("serverlessllm"), stories_of(altered, [0]))
    with pytest.raises(DepartedError, match="line 3: this version"):
        explaining.replay(altered)


def test_a_journal_that_ends_early_explains_what_there_is() -> None:
    start = setup([node(0)], [model(0)], resident=[on_ssd(0, 0)])
    entries = played(start, "serverlessllm", [arrival(0, 1.0)])
    ready = next(i for i, e in enumerate(entries) if type(e.event).__name__ == "InstanceReady")
    one = explained(start, "serverlessllm", entries[: ready + 1])[0]
    assert one.outcome == "unfinished: the journal ends before it"
    assert one.ttft_s is None
    assert one.waited_s == {Wait.LOADING.value: pytest.approx(LOAD_S)}


def test_an_explanation_is_json() -> None:
    start, policy, entries = journaled(2)
    text = msgspec.json.encode(list(explained(start, policy, entries).values()))
    assert len(msgspec.json.decode(text)) == 150
