"""Recipes refuse what cannot be drawn, in one line, and survive a round trip through JSON."""

from collections.abc import Callable

import msgspec
import pytest

from traces.schema import TraceError
from traces.synthesis.lengths import CHAT, LengthMix
from traces.synthesis.recipe import (
    RECIPES,
    Adapters,
    Bursty,
    Diurnal,
    Family,
    Osdi24,
    Poisson,
    Power,
    Recipe,
    Tenants,
    Zipf,
    recipe_of,
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Poisson(rate_rps=0.0), "rate_rps: 0.0 is not allowed: expected a finite number"),
        (lambda: Poisson(span_s=float("inf")), "span_s: inf is not allowed"),
        (lambda: Poisson(cv=2.0), "cv: 2.0 is not allowed: expected 1 for Poisson arrivals"),
        (lambda: Bursty(cv=float("nan")), "cv: nan is not allowed: expected a number from 0.01"),
        (lambda: Bursty(accept_within=0.0), "accept_within: 0.0 is not allowed"),
        (lambda: Bursty(families=()), "families: () is not allowed: expected one family or more"),
        (lambda: Bursty(families=(Family("a", 1), Family("a", 2))), "families: ['a', 'a'] is not"),
        (lambda: Family("a", 0), "models of family 'a': 0 is not allowed"),
        (lambda: Osdi24(window_s=90), "window_s: 90 is not allowed: expected a whole number of"),
        (lambda: Osdi24(span_s=900.0), "span_s: 900.0 is not allowed: expected a multiple of 600"),
        (lambda: Diurnal(amplitude=1.5), "amplitude: 1.5 is not allowed: expected a share"),
        (lambda: Diurnal(hourly=(0.0, 0.0)), "hourly: (0.0, 0.0) is not allowed"),
        (lambda: Adapters(share=-0.1), "adapters.share: -0.1 is not allowed"),
        (lambda: Adapters(per_base=1, churn=0.5), "adapters.per_base: 1 is not allowed"),
        (lambda: Tenants(sticky=2.0), "tenants.sticky: 2.0 is not allowed"),
        (lambda: Zipf(-1.0), "exponent: -1.0 is not allowed"),
        (lambda: Power(0.0), "alpha: 0.0 is not allowed"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(TraceError) as refused:
        make()
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", RECIPES.values(), ids=RECIPES)
def test_every_recipe_has_defaults_and_is_read_back_from_its_json(kind: type[Recipe]) -> None:
    recipe = kind(seed=4)
    assert msgspec.json.decode(msgspec.json.encode(recipe), type=kind) == recipe


def test_a_wrong_value_in_a_file_is_named_with_its_place() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"adapters.share: 3.0 .*\$.adapters"):
        msgspec.convert({"adapters": {"share": 3.0}}, Poisson)


def test_a_recipe_is_made_of_the_texts_of_a_command_line() -> None:
    recipe = recipe_of(
        "osdi24",
        {
            "rate_rps": "1.4",
            "seed": "3",
            "families": "opt-6.7b:32,opt-13b:16",
            "lengths": "chat",
            "adapters": {"share": 0.1, "law": {"type": "power", "alpha": 0.3}},
        },
    )
    assert recipe == Osdi24(
        rate_rps=1.4,
        seed=3,
        families=(Family("opt-6.7b", 32), Family("opt-13b", 16)),
        lengths=LengthMix((CHAT,)),
        adapters=Adapters(share=0.1, law=Power(0.3)),
    )


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (
            "osdi",
            {},
            "recipe 'osdi' is not allowed (do you mean 'osdi24'?): expected one of osdi24",
        ),
        ("poisson", {"rate": 1}, "poisson: 'rate' is not allowed"),
        ("poisson", {"rate_rps": "fast"}, "poisson: Expected `float`, got `str` - at `$.rate_rps`"),
        ("poisson", {"rate_rps": -1}, "poisson: rate_rps: -1.0 is not allowed: expected a finite"),
        ("poisson", {"tenants": {"n": 1}}, "poisson: Object contains unknown field `n`"),
        ("poisson", {"families": "opt"}, "families: 'opt' is not allowed: expected name:models"),
        ("poisson", {"lengths": "short"}, "lengths: 'short' is not allowed: expected parts of"),
    ],
)
def test_values_that_make_no_recipe_are_refused_with_their_field(
    name: str, values: dict[str, object], message: str
) -> None:
    with pytest.raises(TraceError) as refused:
        recipe_of(name, values)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_models_are_named_by_family_with_digits_enough_to_sort() -> None:
    recipe = Bursty(families=(Family("opt-6.7b", 2), Family("opt-30b", 1)))
    assert recipe.model_names == ("opt-6.7b-00", "opt-6.7b-01", "opt-30b-00")
    assert Family("m", 1001).model_names[7] == "m-0007"
