"""A real model through the whole store: Hugging Face folder to our format, to tensors, and back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="models are torch's")
pytest.importorskip("transformers", reason="the model is one of transformers'")
pytest.importorskip("typer", reason="the command line")

import torch
from typer.testing import CliRunner

from hotbed.__main__ import app
from runtime.store.format.converting import to_ours, to_safetensors
from runtime.store.format.parsing import read_index
from runtime.store.format.verifying import verify
from runtime.store.loading.loads import Store
from runtime.store.memory.pool import Pool
from runtime.store.memory.regions import Region
from tests.runtime.real_weights import smollm2

TENSORS = 272


@pytest.fixture(scope="module")
def huggingface() -> Path:
    return smollm2()


@pytest.fixture(scope="module")
def ours(huggingface: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("ours") / "smollm2"
    to_ours(huggingface, target)
    return target


@pytest.fixture
def store() -> Iterator[Store]:
    with Region.create(600 << 20) as region, Store(Pool(region)) as store:
        yield store


def _wanted(huggingface: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    found: dict[str, torch.Tensor] = load_file(huggingface / "model.safetensors")
    assert len(found) == TENSORS
    return found


def _assert_equal(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_every_tensor_is_what_the_safetensors_package_reads(
    huggingface: Path, ours: Path, store: Store
) -> None:
    assert not verify(ours, deep=True).faults
    wanted = _wanted(huggingface)
    for copy in (False, True):
        with store.load(ours, copy=copy).wait() as loaded:
            assert loaded.in_pool is not copy
            _assert_equal(loaded.tensors, wanted)


def test_its_safetensors_load_without_conversion(huggingface: Path, store: Store) -> None:
    with store.load(huggingface).wait() as loaded:
        _assert_equal(loaded.tensors, _wanted(huggingface))


def test_a_pool_smaller_than_the_model_lets_it_through(huggingface: Path, ours: Path) -> None:
    with (
        Region.create(64 << 20) as region,
        Store(Pool(region), ring_bytes=48 << 20) as store,
        store.load(ours).wait() as loaded,
    ):
        assert not loaded.in_pool
        _assert_equal(loaded.tensors, _wanted(huggingface))


def test_converted_back_it_says_the_same(huggingface: Path, ours: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    to_safetensors(ours, tmp_path / "back", shard_bytes=100_000_000)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "back")
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    said = []
    for folder in (huggingface, tmp_path / "back"):
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
        with torch.inference_mode():
            tokens = model.generate(**prompt, max_new_tokens=3, do_sample=False)
        said.append(tokenizer.decode(tokens[0], skip_special_tokens=True))
    assert said[0] == said[1]
    assert "Paris" in said[0]


def test_cut_for_three_devices_and_merged_it_is_the_same_model(
    huggingface: Path, ours: Path, tmp_path: Path
) -> None:
    cut = to_ours(huggingface, tmp_path / "cut", devices=3)  # it has 9 heads, 3 for keys
    assert len(cut.partitions) == 3
    assert cut.digest == read_index(ours).digest
    to_safetensors(tmp_path / "cut", tmp_path / "merged")
    assert to_ours(tmp_path / "merged", tmp_path / "again").digest == cut.digest


def test_the_command_line_brings_it_in_and_takes_it_away(
    huggingface: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOTBED_STORE", str(tmp_path / "models"))

    def run(*words: str) -> str:
        result = CliRunner().invoke(app, ["models", *words])
        assert result.exit_code == 0, result.output
        return result.output

    run("import", str(huggingface), "--name", "smollm2")
    assert "smollm2" in run("list")
    run("verify", "smollm2", "--deep")
    run("rm", "smollm2", "--yes")
    assert "smollm2" not in run("list")
