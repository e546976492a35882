"""Functions become models: counts are mapped, windowed and scaled without loss."""

import json

import numpy as np
import pytest

from traces.formats.azure_functions import FunctionMinutes
from traces.schema import TraceError
from traces.synthesis.demand import model_rates
from traces.synthesis.popularity import zipf_shares
from traces.synthesis.recipe import Family, Osdi24, Zipf
from traces.workload import TraceMeta


def functions_of(counts: list[list[int]]) -> FunctionMinutes:
    names = tuple(f"f{row}" for row in range(len(counts)))
    return FunctionMinutes(names, np.array(counts, dtype=np.int32), 0, TraceMeta(source="made"))


# Minutes 0 to 3; f1 is idle in minutes 1 to 2.
COUNTS = [[9, 1, 3, 0], [5, 0, 0, 5], [0, 2, 2, 0], [0, 4, 0, 0]]


def test_functions_idle_in_the_span_are_left_out_and_the_rest_striped_over_the_models() -> None:
    recipe = Osdi24(
        rate_rps=2.0, span_s=120, window_s=60, start_minute=1, families=(Family("m", 2),)
    )
    rates = model_rates(recipe, functions_of(COUNTS))
    # Invocations per model and minute: m-00 has f0 and f3, m-01 has f2; 12 in 2 minutes.
    assert rates.rate_rps == pytest.approx(np.array([[5.0, 3.0], [2.0, 2.0]]) * 2.0 / 6.0)
    mapping = json.loads(rates.notes["function_to_model"])
    assert mapping == {"f0": "m-00", "f2": "m-01", "f3": "m-00"}


def test_windows_add_up_their_minutes() -> None:
    recipe = Osdi24(rate_rps=1.0, span_s=240, window_s=120, families=(Family("m", 1),))
    rates = model_rates(recipe, functions_of(COUNTS)).rate_rps
    assert rates == pytest.approx(np.array([[21.0, 10.0]]) / 15.5)


@pytest.mark.parametrize("total", ["shaped", "constant"])
def test_the_mean_of_the_summed_rates_is_the_rate_asked_for(total: str) -> None:
    recipe = Osdi24(
        rate_rps=3.0,
        span_s=240,
        window_s=60,
        families=(Family("m", 3),),
        total="shaped" if total == "shaped" else "constant",
    )
    per_window = model_rates(recipe, functions_of(COUNTS)).rate_rps.sum(axis=0)
    assert per_window.mean() == pytest.approx(3.0)
    if total == "constant":
        assert per_window == pytest.approx(np.full(4, 3.0))


def test_without_functions_the_shares_follow_zipf_in_an_order_of_the_seed() -> None:
    recipe = Osdi24(families=(Family("m", 8),), popularity=Zipf(1.1), seed=3)
    rates = model_rates(recipe, None).rate_rps
    assert rates.shape == (8, 6)
    assert sorted(rates[:, 0], reverse=True) == pytest.approx(0.8 * zipf_shares(8, 1.1))
    other = Osdi24(families=(Family("m", 8),), popularity=Zipf(1.1), seed=4)
    assert model_rates(other, None).rate_rps[:, 0] != pytest.approx(rates[:, 0])


@pytest.mark.parametrize(
    ("recipe", "counts", "message"),
    [
        (Osdi24(span_s=600), COUNTS, "start_minute + span in minutes: 10 is not allowed"),
        (Osdi24(span_s=60, window_s=60), [[0, 1]], "functions: 0 is not allowed"),
        (
            Osdi24(span_s=120, window_s=60, total="constant"),
            [[1, 0]],
            "total: 'constant' is not allowed",
        ),
    ],
)
def test_minutes_that_cannot_give_the_rates_are_refused(
    recipe: Osdi24, counts: list[list[int]], message: str
) -> None:
    with pytest.raises(TraceError) as refused:
        model_rates(recipe, functions_of(counts))
    assert str(refused.value).startswith(message)
