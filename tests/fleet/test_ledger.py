"""The ledger: what was held is charged, to the last byte and nanosecond."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain import Tier
from fleet.ledger import Cause, Holdings, Ledger, Meter

STEPS = st.lists(
    st.tuples(
        st.floats(0.0, 1e5),
        st.integers(0, 80 * 2**30),
        st.sampled_from(Cause),
        st.sampled_from(["turn", "resize", "charge"]),
    ),
    max_size=30,
)


@given(STEPS)
def test_the_causes_sum_to_all_that_was_held_exactly(
    steps: list[tuple[float, int, Cause, str]],
) -> None:
    ledger, holdings, now = Ledger(), Holdings(), 0.0
    meter = Meter(Tier.GPU, Cause.LOADING, now)
    for wait_s, held_bytes, cause, action in steps:
        now += wait_s
        if action == "resize":
            holdings.change(held_bytes - meter.held_bytes, now)
            ledger.resize(meter, now, held_bytes)
        elif action == "turn":
            ledger.turn(meter, now, cause)
        else:
            ledger.charge(meter, now, cause)
    ledger.charge(meter, now, meter.cause)
    assert ledger.total_ns(Tier.GPU) == holdings.settle(now)


def test_each_stint_is_charged_to_the_cause_and_the_kind_that_had_it() -> None:
    ledger = Ledger()
    meter = Meter(Tier.GPU, Cause.LOADING, 0.0, 10, "A40")
    ledger.turn(meter, 2.0, Cause.SERVING)
    ledger.turn(meter, 5.0, Cause.IDLE)
    ledger.charge(meter, 6.0, Cause.WASTED)
    held_ns = ledger.byte_ns[Tier.GPU, "A40"]
    assert held_ns[Cause.LOADING] == 20 * 10**9
    assert held_ns[Cause.SERVING] == 30 * 10**9
    assert held_ns[Cause.WASTED] == 10 * 10**9
    assert held_ns[Cause.IDLE] == 0
    assert ledger.total_ns(Tier.DRAM) == 0


def test_two_meters_of_one_tier_add_up() -> None:
    ledger = Ledger()
    for kind, held in (("A40", 3), ("H100", 5)):
        ledger.charge(Meter(Tier.SSD, Cause.IDLE, 1.0, held, kind), 3.0, Cause.IDLE)
    assert ledger.total_ns(Tier.SSD) == 16 * 10**9
    assert ledger.byte_seconds(Tier.SSD, "H100")[Cause.IDLE] == pytest.approx(10.0)
