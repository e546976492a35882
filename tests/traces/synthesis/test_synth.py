"""Whole recipes: rates, popularity, stickiness, churn, provenance and exact repetition."""

import hashlib
import math
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from traces.formats.azure_functions import FunctionMinutes
from traces.schema import TraceError
from traces.synthesis.lengths import CHAT, LengthMix
from traces.synthesis.popularity import zipf_shares
from traces.synthesis.recipe import (
    RECIPES,
    Adapters,
    Bursty,
    Diurnal,
    Family,
    Mmpp,
    Osdi24,
    Poisson,
    ServeGen,
    SLora,
    Tenants,
    Zipf,
)
from traces.synthesis.synth import osdi24, stream, synthesise
from traces.workload import TraceMeta, Workload

Drawn = Osdi24 | Poisson | Bursty | Diurnal | Mmpp | SLora  # from nothing but the recipe
RICH = Bursty(
    rate_rps=2.0,
    span_s=4000.0,
    seed=7,
    families=(Family("big", 3), Family("small", 5)),
    adapters=Adapters(share=0.5, per_base=6, churn=0.3, day_s=500.0),
    tenants=Tenants(count=20),
)


def digest(workload: Workload) -> str:
    text = workload.frame.to_csv() + msgspec.json.encode(workload.meta).decode()
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_osdi24_recipe_keeps_the_rate_asked_for() -> None:
    """0.8 rps for an hour is 2,880 requests; Var N ~ CV^2 L makes one run vary by about 15 %."""
    sizes = np.array([len(osdi24(Osdi24(seed=seed))) for seed in range(60)])
    assert sizes.mean() == pytest.approx(2880, abs=4 * sizes.std() / math.sqrt(60))
    assert 0.10 < sizes.std() / 2880 < 0.20


def test_the_field_s_generator_is_off_by_far_and_its_workload_says_so() -> None:
    workload = osdi24(Osdi24(generator="per-window"))
    stated = float(workload.meta.notes["bias"].split(" yields ")[1].split()[0])
    sizes = [len(osdi24(Osdi24(seed=seed, generator="per-window"))) for seed in range(8)]
    error = float(np.std(sizes)) / math.sqrt(8)
    assert stated > 2.5 * 2880
    assert np.mean(sizes) == pytest.approx(stated, abs=5 * error)


def test_models_get_the_shares_of_their_functions() -> None:
    counts = np.array([[30] * 60, [10] * 60, [0] * 60, [20] * 60], dtype=np.int32)
    functions = FunctionMinutes(tuple("abcd"), counts, 0, TraceMeta(source="made"))
    recipe = Osdi24(rate_rps=5.0, cv=1.0, families=(Family("m", 3),), seed=1)
    workload = synthesise(recipe, functions)
    shares = workload.frame["model_id"].value_counts(normalize=True)
    for name, share in (("m-00", 30 / 60), ("m-01", 10 / 60), ("m-02", 20 / 60)):
        error = math.sqrt(share * (1 - share) / len(workload))
        assert shares[name] == pytest.approx(share, abs=5 * error)
    assert "3 functions" in workload.meta.notes["popularity"]


def test_accepting_only_near_rates_redraws_and_records_which_draw_it_took() -> None:
    sizes = []
    draws = set()
    for seed in range(6):
        workload = osdi24(Osdi24(seed=seed, accept_within=0.05))
        sizes.append(len(workload))
        draws.add(workload.meta.notes["accepted"])
    assert all(abs(size / 2880 - 1) <= 0.05 for size in sizes)
    assert len(draws) > 1


def test_a_tolerance_that_no_draw_can_meet_is_refused() -> None:
    recipe = Osdi24(generator="per-window", accept_within=0.05, span_s=600, rate_rps=0.1)
    with pytest.raises(
        TraceError, match=r"accept_within: 0\.05 is not allowed: none of 1000 draws"
    ):
        osdi24(recipe)


def test_no_request_at_all_is_refused_with_the_rate_that_gave_none() -> None:
    with pytest.raises(TraceError, match=r"rate_rps \* span_s: .* is not allowed"):
        stream(Poisson(rate_rps=1e-9))


def test_other_lengths_move_no_arrival_and_no_name() -> None:
    other = msgspec.structs.replace(RICH, lengths=LengthMix((CHAT,), context_tokens=4096))
    before, after = stream(RICH).frame, stream(other).frame
    lengths = ["prompt_tokens", "output_tokens", "slo_class"]
    assert before.drop(columns=lengths).equals(after.drop(columns=lengths))
    assert not before["prompt_tokens"].equals(after["prompt_tokens"])


def test_adapters_move_no_arrival_no_base_and_no_length() -> None:
    plain = stream(msgspec.structs.replace(RICH, adapters=None)).frame
    rich = stream(RICH).frame
    assert rich.drop(columns="adapter_ids").equals(plain.drop(columns="adapter_ids"))
    assert not plain["adapter_ids"].map(len).any()


def test_one_more_model_moves_the_others_by_their_rates_only() -> None:
    """Equal rates per model: the arrivals of the first models stay as they were."""
    few = osdi24(Osdi24(rate_rps=0.4, families=(Family("m", 4),), popularity=Zipf(0.0))).frame
    more = osdi24(Osdi24(rate_rps=0.5, families=(Family("m", 5),), popularity=Zipf(0.0))).frame
    for name in ("m-00", "m-03"):
        before = few.loc[few["model_id"] == name, "arrival_us"].tolist()
        assert more.loc[more["model_id"] == name, "arrival_us"].tolist() == before


def test_a_tenant_repeats_its_last_base_as_often_as_it_sticks_or_hits_it_again() -> None:
    recipe = Poisson(rate_rps=20.0, span_s=2000.0, tenants=Tenants(count=50, sticky=0.6))
    frame = stream(recipe).frame
    last = frame.groupby("tenant_id")["model_id"].shift()
    known = last.notna()
    repeated = float((frame["model_id"] == last)[known].mean())
    by_chance = float((zipf_shares(16, 1.43) ** 2).sum())
    error = math.sqrt(0.25 / known.sum())
    assert repeated == pytest.approx(0.6 + 0.4 * by_chance, abs=4 * error)


def test_bases_and_tenants_follow_their_zipf_laws_sticky_or_not() -> None:
    recipe = Poisson(rate_rps=30.0, span_s=2000.0, tenants=Tenants(count=40, sticky=0.3))
    frame = stream(recipe).frame
    tenants = frame["tenant_id"].value_counts(normalize=True).to_numpy()
    assert tenants[:5] == pytest.approx(zipf_shares(40, 0.81)[:5], rel=0.06)
    bases = frame["model_id"].value_counts(normalize=True).to_numpy()
    assert bases[:3] == pytest.approx(zipf_shares(16, 1.43)[:3], rel=0.1)


def test_adapters_have_their_share_and_belong_to_the_base_of_their_request() -> None:
    frame = stream(RICH).frame
    used = frame["adapter_ids"].map(len)
    assert set(used) == {0, 1}
    recipe = Poisson(rate_rps=10.0, adapters=Adapters(share=0.22))
    share = float(stream(recipe).frame["adapter_ids"].map(len).mean())
    assert share == pytest.approx(0.22, abs=4 * math.sqrt(0.22 * 0.78 / 36_000))
    for base, names in zip(frame["model_id"], frame["adapter_ids"], strict=True):
        assert all(name.startswith(f"{base}-lora-") for name in names)


def test_the_osdi24_recipe_takes_adapters_too() -> None:
    recipe = Osdi24(rate_rps=4.0, adapters=Adapters(share=0.4, churn=0.4, day_s=600.0))
    workload = osdi24(recipe)
    share = float(workload.frame["adapter_ids"].map(len).mean())
    assert share == pytest.approx(0.4, abs=0.03)
    plain = osdi24(msgspec.structs.replace(recipe, adapters=None))
    assert plain.frame["arrival_us"].equals(workload.frame["arrival_us"])


def test_a_diurnal_day_has_its_requests_where_its_rate_is() -> None:
    day = stream(Diurnal(rate_rps=1.0, amplitude=0.9, peak_at_s=43_200.0))
    counts = np.histogram(day.arrivals_s, bins=4, range=(0.0, 86_400.0))[0]
    swing = 0.9 * 2 / math.pi  # the mean of a cosine over the half turn around its peak
    inner = (counts[1] + counts[2]) / len(day)
    assert inner == pytest.approx((1 + swing) / 2, abs=0.01)


def test_an_hourly_profile_is_scaled_to_the_mean_rate() -> None:
    recipe = Diurnal(rate_rps=2.0, span_s=7200.0, period_s=3600.0, hourly=(0.0, 30.0, 10.0))
    workload = stream(recipe)
    counts = np.histogram(workload.arrivals_s % 3600.0, bins=3, range=(0.0, 3600.0))[0]
    assert counts[0] == 0
    assert counts[1] / counts[2] == pytest.approx(3.0, rel=0.1)
    assert len(workload) == pytest.approx(14_400, abs=4 * 120)


def test_the_s_lora_recipe_puts_all_requests_on_adapters_of_one_base() -> None:
    workload = stream(SLora(span_s=3000.0))
    assert workload.models() == ("llama-7b-00",)
    assert (workload.frame["adapter_ids"].map(len) == 1).all()
    top = workload.frame["adapter_ids"].value_counts(normalize=True).to_numpy()[0]
    assert top == pytest.approx(100**-0.3, abs=0.03)


def test_functions_given_to_another_recipe_are_refused() -> None:
    functions = FunctionMinutes(("f",), np.ones((1, 60), dtype=np.int32), 0, TraceMeta())
    with pytest.raises(TraceError, match="functions: 'given' is not allowed"):
        synthesise(Poisson(), functions)


@pytest.mark.parametrize("kind", [kind for kind in RECIPES.values() if kind is not ServeGen])
def test_every_workload_is_valid_and_says_what_it_is(kind: type[Drawn]) -> None:
    recipe = kind(seed=2, span_s=600.0, rate_rps=2.0)
    workload = synthesise(recipe)
    workload.validate()
    meta = workload.meta
    assert workload.arrivals_s[-1] < 600.0
    assert meta.seed == 2
    assert set(meta.synthetic_fields) == set(workload.frame) - {"request_id", "adapter_ids"} | (
        {"adapter_ids"} if recipe.adapters else set()
    )
    assert msgspec.json.decode(meta.notes["recipe"], type=kind) == recipe
    assert meta.notes["realised_rate"].startswith(f"{len(workload) / 600.0:.4g} rps")
    assert meta.notes["realised_cv"].endswith(f"{recipe.cv:g} asked")


def test_seeds_differ_and_a_seed_repeats_byte_for_byte_in_other_processes() -> None:
    here = digest(stream(RICH))
    assert here != digest(stream(msgspec.structs.replace(RICH, seed=8)))
    assert here == digest(stream(RICH))
    program = "from tests.traces.synthesis.test_synth import *; print(digest(stream(RICH)))"
    for hash_seed in ("0", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        run = subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[3],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == here
