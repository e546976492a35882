"""Popularity laws, their fit, and sticky tenants."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.streams import Streams
from traces.synthesis.popularity import (
    draw,
    last_free_choice,
    power_shares,
    top_share,
    zipf_exponent,
    zipf_shares,
)


def test_zipf_shares_fall_as_a_power_of_the_rank() -> None:
    shares = zipf_shares(100, 1.43)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[0] / shares[9] == pytest.approx(10**1.43)


def test_s_lora_s_law_is_uniform_at_one_and_gives_the_first_adapter_n_to_the_minus_alpha() -> None:
    assert power_shares(8, 1.0) == pytest.approx(np.full(8, 1 / 8))
    assert power_shares(874, 0.375)[0] == pytest.approx(874**-0.375)
    assert power_shares(50, 0.3).sum() == pytest.approx(1.0)


def test_s_lora_s_shares_are_those_of_its_own_sampler() -> None:
    ranks = np.floor(20 * Streams(1).array("numpy").power(0.3, 100_000)).astype(int)
    realised = np.bincount(ranks, minlength=20) / 100_000
    assert realised == pytest.approx(power_shares(20, 0.3), abs=0.006)


def test_draws_have_the_wanted_shares() -> None:
    shares = zipf_shares(30, 1.0)
    picks = draw(Streams(2).array("draw"), shares, 200_000)
    realised = np.bincount(picks, minlength=30) / 200_000
    assert np.abs(realised - shares).max() < 4 * math.sqrt(0.25 / 200_000)


@given(
    weights=st.lists(st.sampled_from([0.0, 0.5, 3.0]), min_size=1, max_size=8).filter(any),
    seed=st.integers(0, 50),
)
@settings(max_examples=50, deadline=None)
def test_an_item_without_a_share_is_never_drawn(weights: list[float], seed: int) -> None:
    picks = draw(Streams(seed).array("zero"), np.array(weights), 200)
    assert all(weights[pick] > 0 for pick in picks)


@pytest.mark.parametrize("exponent", [0.5, 0.92, 1.43])
def test_the_fit_finds_the_exponent_that_the_draws_were_made_with(exponent: float) -> None:
    picks = draw(Streams(3).array("fit"), zipf_shares(60, exponent), 100_000)
    assert zipf_exponent(np.bincount(picks)) == pytest.approx(exponent, abs=0.02)


def test_the_fit_is_exact_on_exact_shares_in_any_order() -> None:
    shares = zipf_shares(40, 1.2)
    assert zipf_exponent(Streams(4).array("order").permutation(shares)) == pytest.approx(1.2)
    assert zipf_exponent(np.array([5, 5, 5])) == pytest.approx(0.0, abs=1e-6)
    assert zipf_exponent(np.array([7])) is None


def test_the_top_share_counts_the_most_used() -> None:
    counts = np.array([1, 6, 0, 3])
    assert top_share(counts, 1) == pytest.approx(0.6)
    assert top_share(counts, 10) == pytest.approx(1.0)
    assert top_share(np.zeros(3), 1) == 0.0


@given(rows=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=40))
@settings(max_examples=80, deadline=None)
def test_a_repeat_takes_its_tenant_s_last_free_row_as_a_plain_loop_finds_it(
    rows: list[tuple[int, bool]],
) -> None:
    tenants = np.array([tenant for tenant, _ in rows], dtype=np.int64)
    repeats = np.array([again for _, again in rows], dtype=bool)
    last: dict[int, int] = {}
    expected = []
    for row, (tenant, again) in enumerate(rows):
        if not again or tenant not in last:
            last[tenant] = row
        expected.append(last[tenant])
    assert last_free_choice(tenants, repeats).tolist() == expected
