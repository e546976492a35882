"""Rates of models and of adapters, by hand."""

from math import exp

import pytest

from fleet.domain import AdapterId, ArtifactId, ModelId, Request, RequestId
from policies.upkeep.rates import AdapterRates, ArtifactRates
from tests.policies.bench import Bench, adapter, model, node

MODEL, LORA = ModelId(ArtifactId(1)), AdapterId(ArtifactId(20))


def request(adapter: AdapterId | None) -> Request:
    return Request(RequestId(0), MODEL, adapter, 0.0, 10, 10)


def test_a_request_counts_for_its_model_and_its_adapter_and_fades() -> None:
    rates = ArtifactRates(100.0)
    rates.saw(request(LORA), 0.0)
    rates.saw(request(None), 50.0)
    assert rates.rate(MODEL, 100.0) == pytest.approx((exp(-1.0) + exp(-0.5)) / 100.0)
    assert rates.rate(LORA, 100.0) == pytest.approx(exp(-1.0) / 100.0)
    assert dict(rates.known(100.0)).keys() == {MODEL, LORA}


def test_what_is_not_asked_for_any_more_is_forgotten() -> None:
    """e^-7 is less than a thousandth."""
    rates = ArtifactRates(100.0)
    rates.saw(request(LORA), 0.0)
    rates.saw(request(None), 600.0)
    assert list(dict(rates.known(700.0))) == [MODEL]
    assert rates.rate(LORA, 700.0) == 0.0


def test_adapters_are_known_by_base_until_they_are_removed_or_unused() -> None:
    bench = Bench([node(0)], [model(1, adapters=2)], adapters=[adapter(20, 1)])
    gone = AdapterId(ArtifactId(99))
    rates = AdapterRates(100.0)
    for lora in (LORA, LORA, gone, None):
        rates.saw(request(lora), 0.0)
    assert rates.by_base(bench.view) == {MODEL: {LORA: pytest.approx(2.0 / 100.0)}}
    assert rates.by_base(bench.at(2000.0).view) == {}
