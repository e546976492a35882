"""Hugging Face folders: an index of shards is believed only where the shards agree with it."""

import json
from pathlib import Path

import numpy as np
import pytest

from runtime.store.errors import StoreError
from runtime.store.format.huggingface import read_adapter, read_object, read_weights
from runtime.store.format.safetensors import Outgoing, write_file

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def _shard(path: Path, *names: str) -> None:
    data = np.arange(4, dtype=np.float32).view(np.uint8).data
    tensors = [Outgoing(name, "float32", (4,), 16, lambda: iter([data])) for name in names]
    write_file(path, tensors, {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _shard(tmp_path / SHARDS[0], "a")
    _shard(tmp_path / SHARDS[1], "b")
    _map(tmp_path, {"a": SHARDS[0], "b": SHARDS[1]})
    return tmp_path


def _map(folder: Path, places: dict[str, str]) -> None:
    text = json.dumps({"metadata": {}, "weight_map": places})
    (folder / "model.safetensors.index.json").write_text(text)


def test_shards_are_read_together(folder: Path) -> None:
    headers = read_weights(folder).headers
    assert [tensor.name for header in headers for tensor in header.tensors] == ["a", "b"]


@pytest.mark.parametrize(
    "places",
    [
        {"a": SHARDS[0], "b": "model-00003-of-00002.safetensors"},
        {"a": SHARDS[0], "b": "../elsewhere.safetensors"},
        {"a": SHARDS[0], "b": "/etc/passwd"},
        {"a": SHARDS[1], "b": SHARDS[1]},
        {"a": SHARDS[0], "b": SHARDS[1], "c": SHARDS[1]},
    ],
    ids=["missing shard", "climbs out", "absolute", "not in its shard", "not there"],
)
def test_a_map_that_the_shards_do_not_bear_out_is_refused(
    folder: Path, places: dict[str, str]
) -> None:
    _map(folder, places)
    with pytest.raises(StoreError) as refused:
        read_weights(folder)
    assert "\n" not in str(refused.value)
    assert str(folder) in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"weight_map": {"a": "x", "a": "y"}}', "'a' is there twice"),
        ("[]", "must be a JSON object"),
        ("{", "is not JSON"),
        ("\xff", "is not JSON"),
    ],
)
def test_an_object_says_each_thing_once(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreError, match=said):
        read_object(path)


@pytest.mark.parametrize(
    "config",
    [
        {"peft_type": "IA3", "r": 8},
        {"peft_type": "LORA"},
        {"peft_type": "LORA", "r": 0},
        {"peft_type": "LORA", "r": "8"},
    ],
)
def test_an_adapter_that_is_no_lora_of_a_rank_is_refused(
    tmp_path: Path, config: dict[str, object]
) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    _shard(tmp_path / "adapter_model.safetensors", "base_model.model.q_proj.lora_A.weight")
    with pytest.raises(StoreError, match=r"adapter_config\.json"):
        read_adapter(tmp_path / "adapter_config.json")
