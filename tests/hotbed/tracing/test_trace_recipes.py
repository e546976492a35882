from pathlib import Path

import pytest

from hotbed.tracing.trace_recipes import SynthOptions, families_of, recipe_of, sample_of
from traces.schema import TraceError
from traces.synthesis.recipe import (
    Adapters,
    Bursty,
    Diurnal,
    Family,
    Mmpp,
    MmppState,
    Osdi24,
    SLora,
    Tenants,
)


def test_what_is_not_typed_stays_the_default_of_the_recipe() -> None:
    assert recipe_of("osdi24", SynthOptions()) == Osdi24()
    assert recipe_of("diurnal", SynthOptions(seed=4)) == Diurnal(seed=4)


def test_every_option_reaches_its_parameter() -> None:
    options = SynthOptions(
        rate_rps=2.0, models="3", adapters_per_base=5, churn=0.5, tenants=7, cv=2.0, duration_s=60.0
    )
    made = recipe_of("bursty", options)
    assert isinstance(made, Bursty)
    assert (made.rate_rps, made.cv, made.span_s) == (2.0, 2.0, 60.0)
    assert made.families == (Family("base", 3),)
    assert made.adapters == Adapters(per_base=5, churn=0.5)
    assert getattr(made, "tenants", None) == Tenants(count=7)


def test_a_number_of_adapters_keeps_the_law_of_the_recipe() -> None:
    default, changed = SLora().adapters, recipe_of("s-lora", SynthOptions(adapters_per_base=9))
    assert default is not None
    assert isinstance(changed, SLora)
    assert changed.adapters is not None
    assert changed.adapters.per_base == 9
    assert (changed.adapters.law, changed.adapters.share) == (default.law, default.share)


def test_families_are_a_number_or_names_with_numbers() -> None:
    assert families_of("16") == (Family("base", 16),)
    assert families_of("a=1, b=2") == (Family("a", 1), Family("b", 2))
    for text in ("", "a", "a=", "a=x", "1,2", "-3"):
        with pytest.raises(TraceError, match="expected a number, or NAME=NUMBER"):
            families_of(text)


def test_lengths_of_a_csv_are_its_own_rows(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("p,o\n7,8\n9,10\n")
    sample = sample_of(f"{tmp_path / 'l.csv'}:p:o", seed=1)
    assert sample.name == "l"
    assert (sample.prompt_tokens.tolist(), sample.output_tokens.tolist()) == ([7, 9], [8, 10])


def test_lengths_of_a_mix_are_drawn_by_the_seed() -> None:
    first, again, other = (sample_of("gsm8k", seed).prompt_tokens for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()
    assert first.mean() == pytest.approx(63.3, rel=0.02)


def test_states_are_pairs_of_a_rate_and_seconds() -> None:
    recipe = recipe_of("mmpp", SynthOptions(states="1:300,20:5.5"))
    assert isinstance(recipe, Mmpp)
    assert recipe.states == (MmppState(1.0, 300.0), MmppState(20.0, 5.5))


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ("1:300,20", "states: '20' is not allowed: expected RATE:SECONDS"),
        ("1:300,x:2", "states: 'x:2' is not allowed"),
        ("1:300,1:0", "dwell_s: 0.0 is not allowed"),
        ("1:300", "states: (MmppState(rate=1.0, dwell_s=300.0),) is not allowed: expected two"),
        ("0:300,0:1", "states: [0.0, 0.0] is not allowed: expected rates that are not all 0"),
    ],
)
def test_states_that_make_no_process_are_refused(states: str, message: str) -> None:
    with pytest.raises(TraceError) as caught:
        recipe_of("mmpp", SynthOptions(states=states))
    assert message in str(caught.value)


def test_clients_have_no_adapters_by_number() -> None:
    with pytest.raises(TraceError, match="recipe 'servegen' has no adapters: leave that option"):
        recipe_of("servegen", SynthOptions(adapters_per_base=4))
