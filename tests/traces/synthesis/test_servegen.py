"""Many clients, each a tenant: rates, burstiness, bases, adapters and lengths."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.traces.tenants import WINDOW_S, data, lengths, windows
from traces.describing.burstiness import interarrival_cv
from traces.schema import TraceError
from traces.synthesis.clients import Client, ClientData
from traces.synthesis.recipe import Family, Poisson, ServeGen
from traces.synthesis.servegen import servegen
from traces.synthesis.synth import synthesise

RATES = [[3.0, 1.0, 0.0, 2.0], [0.0, 2.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0]]
HOUR = {"span_s": 4 * 600.0, "families": (Family("m", 2),)}


def test_every_client_asks_as_often_as_it_did_in_every_window() -> None:
    """Bursty or not, recorded or scaled: a window that holds 3 of 14 parts gets 3 of 14."""
    recipe = ServeGen(rate_rps=1.0, **HOUR)  # type: ignore[arg-type]
    counts = np.zeros((3, 4))
    runs = 150
    for seed in range(runs):
        work = servegen(msgspec.structs.replace(recipe, seed=seed), data(RATES, shape=0.1))
        window = work.frame["arrival_us"].to_numpy() // (WINDOW_S * 1_000_000)
        names = ["big/client-000", "big/client-001", "small/client-000"]
        client = work.frame["tenant_id"].map(names.index).to_numpy()
        np.add.at(counts, (client, window), 1)
    expected = np.array(RATES) / 14 * recipe.span_s
    # The variance of a count tends to CV^2 times its mean, here 10 times.
    error = np.sqrt(10 * expected / runs)
    assert np.all(np.abs(counts / runs - expected) <= 4 * error)
    assert not counts[np.array(RATES) == 0].any()


@pytest.mark.parametrize(("weibull", "cv"), [(False, 2.0), (True, math.sqrt(5.0))])
def test_gaps_have_the_law_of_the_client(weibull: bool, cv: float) -> None:
    """Gamma of shape 1/4 has CV 2; Weibull of shape 1/2 has sqrt(Gamma(5)/Gamma(3)^2 - 1)."""
    one = data([[0.0] * 100, [100.0] * 100], weibull=weibull, shape=0.5 if weibull else 0.25)
    recipe = ServeGen(rate_rps=2.0, span_s=60_000.0, families=(Family("m", 1),))
    found = interarrival_cv(servegen(recipe, one).arrivals_s)
    assert found == pytest.approx(cv, rel=0.08)


def test_clients_are_striped_over_the_models_busiest_first() -> None:
    work = servegen(ServeGen(**HOUR), data(RATES))  # type: ignore[arg-type]
    base = work.frame.groupby("tenant_id")["model_id"].agg(set)
    assert base.to_dict() == {
        "big/client-000": {"m-00"},
        "big/client-001": {"m-01"},
        "small/client-000": {"m-00"},
    }
    assert set(work.meta.synthetic_fields) == set(work.frame) - {"request_id", "adapter_ids"}


def test_a_family_called_as_a_source_serves_its_clients() -> None:
    families = (Family("small", 1), Family("m", 2))
    recipe = ServeGen(span_s=2400.0, families=families)
    base = servegen(recipe, data(RATES)).frame.groupby("tenant_id")["model_id"].agg(set)
    assert base.to_dict() == {
        "big/client-000": {"m-00"},
        "big/client-001": {"m-01"},
        "small/client-000": {"small-00"},
    }
    with pytest.raises(TraceError, match=r"families: \['small'\] is not allowed: expected a model"):
        servegen(ServeGen(span_s=2400.0, families=(Family("small", 1),)), data(RATES))


def test_the_busiest_clients_of_a_source_are_taken() -> None:
    recipe = ServeGen(span_s=2400.0, clients=1, sources=("big",))
    work = servegen(recipe, data(RATES))
    assert work.tenants() == ("big/client-000",)
    assert work.meta.notes["clients"] == "1 clients of big in clients"


def test_clients_may_own_an_adapter_of_their_base() -> None:
    work = servegen(ServeGen(own_adapters=1.0, **HOUR), data(RATES))  # type: ignore[arg-type]
    assert len(work.adapters()) == 3
    for _, rows in work.frame.groupby("tenant_id"):
        assert rows["adapter_ids"].nunique() == 1
        ((name,),) = set(rows["adapter_ids"])
        assert name.startswith(f"{rows['model_id'].iloc[0]}-lora-")


def test_lengths_are_the_client_s_or_another_client_s_of_its_source() -> None:
    tables = {
        Client("big", 1): lengths(100.0, 0),
        Client("small", 0): lengths(4000.0, 0),
    }
    both = ClientData(windows(RATES), tables)
    work = servegen(ServeGen(context_tokens=6000, **HOUR), both)  # type: ignore[arg-type]
    middle = work.frame.groupby("tenant_id")["prompt_tokens"].median()
    assert middle["big/client-001"] == pytest.approx(100, rel=0.1)
    assert middle["big/client-000"] == pytest.approx(100, rel=0.1)
    assert middle["small/client-000"] == pytest.approx(4000, rel=0.1)
    total = work.frame["prompt_tokens"] + work.frame["output_tokens"]
    assert total.max() == 6000
    assert "1 clients with those of another" in work.meta.notes["lengths"]
    with pytest.raises(TraceError, match="client lengths: none of small"):
        servegen(
            ServeGen(span_s=2400.0), ClientData(windows(RATES), {Client("big", 0): lengths(1, 0)})
        )


def test_windows_without_telemetry_are_filled_and_counted() -> None:
    silent = [[1.0, 0.0, 1.0], [1.0, 0.0, 1.0], [9.0, 9.0, 9.0]]
    work = servegen(ServeGen(span_s=1800.0, rate_rps=2.0), data(silent))
    assert work.meta.notes["telemetry"].startswith("1 windows")
    window = work.frame["arrival_us"] // 600_000_000
    assert (work.frame["tenant_id"][window == 1] != "small/client-000").any()


def test_a_client_s_arrivals_do_not_change_with_the_others() -> None:
    """At the same factor: one of three clients gone, a third of the rate gone with it."""
    rates = [[2.0, 2.0]] * 3
    whole = servegen(ServeGen(span_s=1200.0, rate_rps=3.0), data(rates)).frame
    part = servegen(ServeGen(span_s=1200.0, rate_rps=2.0), data(rates[1:])).frame
    assert (
        whole[whole["tenant_id"] == "small/client-000"]["arrival_us"].tolist()
        == part[part["tenant_id"] == "small/client-000"]["arrival_us"].tolist()
    )


def test_clients_of_equal_rates_do_not_ask_in_step() -> None:
    """A generator that seeds every client alike gives all of them one sequence of gaps."""
    work = servegen(ServeGen(span_s=1200.0, rate_rps=3.0), data([[2.0, 2.0]] * 3))
    times = work.frame.groupby("tenant_id")["arrival_us"].agg(set).tolist()
    assert all(len(a & b) < 3 for a in times for b in times if a is not b)


def test_one_seed_repeats_byte_for_byte() -> None:
    recipe = ServeGen(own_adapters=0.5, seed=3, **HOUR)  # type: ignore[arg-type]
    both = ClientData(windows(RATES), {c: lengths(50.0, 0) for c in windows(RATES).clients})
    first, again = (servegen(recipe, both) for _ in range(2))
    assert first.frame.equals(again.frame)
    assert first.meta == again.meta
    first.validate()
    other = servegen(msgspec.structs.replace(recipe, seed=4), both)
    assert not first.frame.equals(other.frame)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start_s": 300.0}, "start_s: 300.0 is not allowed: expected multiples of the data's"),
        ({"span_s": 900.0}, "span_s: 900.0 is not allowed"),
        ({"start_s": 600.0, "span_s": 2400.0}, "start_s + span_s: 3000.0 is not allowed"),
        ({"sources": ("huge",)}, "sources: 'huge' is not allowed: expected one of big, small"),
        ({"rate_rps": 1e-9}, "rate_rps * span_s: 2.4"),
    ],
)
def test_a_recipe_that_the_data_cannot_serve_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(TraceError) as caught:
        servegen(msgspec.structs.replace(ServeGen(span_s=2400.0), **changes), data(RATES))
    assert str(caught.value).startswith(message)


def test_a_span_in_which_nobody_asks_is_refused() -> None:
    with pytest.raises(TraceError, match="a span in which a client asks anything"):
        servegen(ServeGen(span_s=600.0), data([[0.0, 1.0], [0.0, 1.0]]))


def test_clients_belong_to_this_recipe_alone() -> None:
    with pytest.raises(TraceError, match="clients: None is not allowed: expected a file"):
        synthesise(ServeGen())
    with pytest.raises(TraceError, match="clients: 'given' is not allowed: expected none"):
        synthesise(Poisson(), clients=data(RATES))
    assert len(synthesise(ServeGen(**HOUR), clients=data(RATES)))  # type: ignore[arg-type]
