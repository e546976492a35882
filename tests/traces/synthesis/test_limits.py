"""What is refused is named with its value and what is allowed."""

from collections.abc import Callable

import pytest

from traces.schema import TraceError
from traces.synthesis.limits import (
    require,
    require_count,
    require_exponent,
    require_positive,
    require_share,
)


def test_a_refusal_is_one_line_with_name_value_and_range() -> None:
    with pytest.raises(TraceError) as refused:
        require(False, "spin", "up", "'down'")
    assert str(refused.value) == "spin: 'up' is not allowed: expected 'down'"
    require(True, "spin", "up", "anything")


@pytest.mark.parametrize("check", [require_positive, require_share, require_exponent])
def test_not_a_number_and_below_zero_pass_no_check(check: Callable[[str, float], None]) -> None:
    check("x", 0.5)
    for value in (float("nan"), float("inf"), -0.5):
        with pytest.raises(TraceError, match="x: "):
            check("x", value)


def test_a_count_may_have_its_own_least() -> None:
    require_count("n", 0, 0)
    with pytest.raises(TraceError, match="n: 1 is not allowed: expected a whole number of 2"):
        require_count("n", 1, 2)
