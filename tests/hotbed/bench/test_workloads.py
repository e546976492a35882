import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotbed.bench.fleets import arrivals
from hotbed.bench.workloads import (
    crowd,
    find_w,
    read_w,
    synthetic_w,
    write_mooncake,
)
from traces.formats.mooncake import BLOCK_TOKENS


def test_synthetic_w_has_the_moments_that_it_is_said_to_have() -> None:
    w = synthetic_w(40_000, 0)
    assert 40_000 / w.arrived_at[-1] == pytest.approx(8.0, rel=0.02)
    assert w.prompt_tokens.mean() == pytest.approx(884, rel=0.03)
    assert w.prompt_tokens.std() == pytest.approx(638, rel=0.06)
    assert w.output_tokens.mean() == pytest.approx(223, rel=0.03)
    assert w.output_tokens.std() == pytest.approx(162, rel=0.06)
    assert (w.prompt_tokens + w.output_tokens).max() <= 4096


@given(st.integers(0, 2**32), st.integers(1, 30))
@settings(max_examples=15, deadline=None)
def test_a_written_trace_reads_back_to_the_millisecond(
    tmp_path_factory: pytest.TempPathFactory, seed: int, requests: int
) -> None:
    path = tmp_path_factory.mktemp("w") / "w.jsonl"
    written = synthetic_w(requests, seed)
    write_mooncake(written, path)
    read = read_w(path)
    assert read.arrived_at == pytest.approx(written.arrived_at, abs=0.0005)
    assert read.prompt_tokens.tolist() == written.prompt_tokens.tolist()
    assert read.output_tokens.tolist() == written.output_tokens.tolist()


def test_no_two_requests_share_a_block(tmp_path: Path) -> None:
    write_mooncake(synthetic_w(50, 1), tmp_path / "w.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "w.jsonl").read_text().splitlines()]
    blocks = [block for line in lines for block in line["hash_ids"]]
    assert blocks == list(range(len(blocks)))
    for line in lines:
        assert len(line["hash_ids"]) == -(-line["input_length"] // BLOCK_TOKENS)


def test_a_crowd_is_as_large_as_asked_sorted_and_led_by_its_first_models() -> None:
    found = crowd(60_000, 300.0, 20, seed=2)
    assert len(found) == pytest.approx(60_000, rel=0.1)
    assert (np.diff(found.arrived_at) >= 0).all()
    assert 0 <= found.arrived_at[0] <= found.arrived_at[-1] <= 300.0
    uses = np.bincount(found.model, minlength=20)
    assert uses[0] > uses[9] > 0
    assert found.prompt_tokens.mean() == pytest.approx(256, rel=0.05)


def test_one_seed_makes_one_crowd() -> None:
    first, again, other = (crowd(500, 60.0, 5, seed) for seed in (4, 4, 5))
    assert first.arrived_at.tolist() == again.arrived_at.tolist()
    assert first.arrived_at.tolist() != other.arrived_at.tolist()


def test_arrivals_are_the_rows_in_order() -> None:
    requested = crowd(9_000, 60.0, 5, seed=0)  # more than are made at once
    made = list(arrivals(requested))
    assert [arrival.request.id for arrival in made] == list(range(len(requested)))
    assert [arrival.request.arrived_at for arrival in made] == requested.arrived_at.tolist()
    assert [arrival.output_tokens for arrival in made] == requested.output_tokens.tolist()


def test_the_published_w_is_written_as_it_was(tmp_path: Path) -> None:
    found = find_w(None) if os.environ.get("HOTBED_DATA") else None
    if found is None:
        pytest.skip("HOTBED_DATA names no folder with bench/moon_10000.jsonl")
    write_mooncake(read_w(found), tmp_path / "w.jsonl")
    written, published = (path.read_text().splitlines() for path in (tmp_path / "w.jsonl", found))
    assert [json.loads(line) for line in written] == [json.loads(line) for line in published]
