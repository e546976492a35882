"""Converting: what goes in by safetensors comes out the same, by the real package's reading."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.store.errors import StoreError, TruncatedError, UnsupportedError
from runtime.store.format.converting import to_ours, to_safetensors
from runtime.store.format.encoding import encode
from runtime.store.format.huggingface import read_adapter
from runtime.store.format.parsing import read_index
from runtime.store.format.verifying import verify

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch", reason="torch makes the tensors that are converted")
oracle = pytest.importorskip("safetensors.torch", reason="the safetensors package is the oracle")

TYPES = sorted(oracle._TYPES)


def made(dtype: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    size = torch.empty(shape, dtype=oracle._TYPES[dtype]).nbytes
    raw = torch.randint(0, 2 if dtype == "BOOL" else 256, (size,), generator=generator)
    return raw.to(torch.uint8).view(oracle._TYPES[dtype]).reshape(shape)


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Bit for bit: not-a-numbers too."""
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    flat = (tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (one, other))
    return bool(torch.equal(*flat))


def loaded(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found.update(oracle.load_file(path))
    return found


shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple)
states = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(
        lambda name: name != "__metadata__"
    ),
    st.tuples(st.sampled_from(TYPES), shapes, st.integers(0, 99)),
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(rows=states, shard_bytes=st.sampled_from([1, 100, 1 << 30]))
def test_a_state_dict_goes_in_and_comes_out_the_same(
    rows: dict[str, tuple[str, tuple[int, ...], int]], shard_bytes: int
) -> None:
    state = {name: made(*row) for name, row in rows.items()}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        oracle.save_file(state, folder / "a.safetensors", {"format": "pt"})
        to_ours(folder / "a.safetensors", folder / "ours")
        assert verify(folder / "ours", deep=True).faults == ()
        to_safetensors(folder / "ours", folder / "back", shard_bytes=shard_bytes)
        back = loaded(folder / "back")
        assert back.keys() == state.keys()
        assert all(same(back[name], state[name]) for name in state)
        again = to_ours(folder / "back", folder / "again")
        assert again.digest == read_index(folder / "ours").digest


def llama() -> dict[str, torch.Tensor]:
    layer = "model.layers.0"
    sizes = {
        "model.embed_tokens.weight": (32, 8),
        f"{layer}.self_attn.q_proj.weight": (8, 8),
        f"{layer}.self_attn.q_proj.bias": (8,),
        f"{layer}.self_attn.k_proj.weight": (4, 8),
        f"{layer}.self_attn.v_proj.weight": (4, 8),
        f"{layer}.self_attn.o_proj.weight": (8, 8),
        f"{layer}.self_attn.o_proj.bias": (8,),
        f"{layer}.mlp.gate_proj.weight": (12, 8),
        f"{layer}.mlp.up_proj.weight": (12, 8),
        f"{layer}.mlp.down_proj.weight": (8, 12),
        f"{layer}.input_layernorm.weight": (8,),
        f"{layer}.self_attn.q_norm.weight": (2,),
        "model.norm.weight": (8,),
        "lm_head.weight": (32, 8),
    }
    return {name: made("BF16", shape, seed) for seed, (name, shape) in enumerate(sizes.items())}


def llama_folder(folder: Path) -> dict[str, torch.Tensor]:
    folder.mkdir()
    state = llama()
    oracle.save_file(state, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text('{"num_attention_heads": 4, "num_key_value_heads": 2}')
    return state


def test_a_model_cut_for_two_devices_is_put_together_exactly(tmp_path: Path) -> None:
    state = llama_folder(tmp_path / "hf")
    whole = to_ours(tmp_path / "hf", tmp_path / "whole")
    index = to_ours(tmp_path / "hf", tmp_path / "cut", devices=2)
    assert index.digest == whole.digest
    shapes = {(entry.name.split(".")[-2], entry.shape) for entry in index.of(1)}
    assert {("q_proj", (4, 8)), ("o_proj", (8, 4)), ("down_proj", (8, 6))} <= shapes
    assert {("embed_tokens", (16, 8)), ("norm", (8,)), ("o_proj", (8,))} <= shapes
    to_safetensors(tmp_path / "cut", tmp_path / "back", shard_bytes=200)
    back = loaded(tmp_path / "back")
    assert back.keys() == state.keys()
    assert all(same(back[name], state[name]) for name in state)
    assert (tmp_path / "back" / "config.json").read_text().startswith('{"num_att')
    weight_map = json.loads((tmp_path / "back" / "model.safetensors.index.json").read_text())
    assert weight_map["weight_map"].keys() == state.keys()


def test_pieces_of_two_devices_that_changed_places_are_found(tmp_path: Path) -> None:
    llama_folder(tmp_path / "hf")
    index = to_ours(tmp_path / "hf", tmp_path / "cut", devices=2)
    assert not verify(tmp_path / "cut", deep=True).faults
    tensors = tuple(replace(one, partition=1 - one.partition) for one in index.tensors)
    swapped = replace(index, partitions=index.partitions[::-1], tensors=tensors)
    (tmp_path / "cut" / "index.json").write_bytes(encode(swapped))
    assert verify(tmp_path / "cut", deep=True).faults == (
        f"{tmp_path / 'cut'}: the digest over all tensors is not the index's",
    )


def test_a_cut_through_an_attention_head_is_refused(tmp_path: Path) -> None:
    llama_folder(tmp_path / "hf")
    with pytest.raises(StoreError, match="num_key_value_heads 2 cannot be cut for 4"):
        to_ours(tmp_path / "hf", tmp_path / "cut", devices=4)


def test_a_fused_tensor_is_refused_by_name(tmp_path: Path) -> None:
    oracle.save_file({"h.0.qkv.weight": torch.zeros(8, 8)}, tmp_path / "a.safetensors")
    with pytest.raises(UnsupportedError, match=r"h\.0\.qkv\.weight"):
        to_ours(tmp_path / "a.safetensors", tmp_path / "cut", devices=2)


def test_an_adapter_keeps_its_config_and_its_file_name(tmp_path: Path) -> None:
    folder = tmp_path / "lora"
    folder.mkdir()
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    state = {f"{name}A.weight": torch.rand(4, 8), f"{name}B.weight": torch.rand(8, 4)}
    oracle.save_file(state, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    to_ours(folder, tmp_path / "ours")
    found = read_adapter(tmp_path / "ours" / "adapter_config.json")
    assert (found.rank, found.alpha, found.targets) == (4, 8.0, ("q_proj",))
    assert to_safetensors(tmp_path / "ours", tmp_path / "back") == ("adapter_model.safetensors",)
    back = loaded(tmp_path / "back")
    assert all(same(back[one], state[one]) for one in state)


def test_a_pickle_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UnsupportedError, match="safe_serialization"):
        to_ours(tmp_path, tmp_path / "ours")


def test_a_tied_tensor_is_written_once_and_comes_back_tied(tmp_path: Path) -> None:
    model = torch.nn.Module()
    model.embed = torch.nn.Linear(8, 8, bias=False)
    model.head = torch.nn.Linear(8, 8, bias=False)
    model.head.weight = model.embed.weight
    oracle.save_model(model, tmp_path / "a.safetensors")
    index = to_ours(tmp_path / "a.safetensors", tmp_path / "ours")
    assert {one.name for one in index.tensors} == {"embed.weight", "head.weight"}
    assert len({one.offset_bytes for one in index.tensors}) == 1
    to_safetensors(tmp_path / "ours", tmp_path / "back")
    model.requires_grad_(False)
    wanted = model.embed.weight.clone()
    model.embed.weight.zero_()
    oracle.load_model(model, tmp_path / "back" / "model.safetensors")
    assert same(model.head.weight.detach(), wanted)


def serverlessllm(folder: Path, files: list[bytes], size: int) -> None:
    folder.mkdir()
    for number, data in enumerate(files):
        (folder / f"tensor.data_{number}").write_bytes(data)
    rows = {
        "a": [0, 16, [2, 2], [2, 1], "torch.float32"],
        "tied": [0, 16, [2, 2], [2, 1], "torch.float32"],
        "b": [16, size, [size], [1], "torch.uint8"],
    }
    (folder / "tensor_index.json").write_text(json.dumps(rows))


def test_a_serverlessllm_tensor_may_cross_its_files(tmp_path: Path) -> None:
    data = bytes(range(40))
    serverlessllm(tmp_path / "s", [data[:20], data[20:]], 24)
    to_ours(tmp_path / "s", tmp_path / "ours")
    to_safetensors(tmp_path / "ours", tmp_path / "back")
    back = loaded(tmp_path / "back")
    assert back["b"].tolist() == list(data[16:])
    assert bytes(back["a"].view(torch.uint8).reshape(-1).tolist()) == data[:16]


def test_what_serverlessllm_lost_is_named(tmp_path: Path) -> None:
    serverlessllm(tmp_path / "s", [bytes(17)], 24)
    with pytest.raises(TruncatedError, match="lost b"):
        to_ours(tmp_path / "s", tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize("to", ["index.json", "data-0.bin", "config.json"])
def test_no_flipped_bit_of_ours_comes_out_as_safetensors(tmp_path: Path, to: str) -> None:
    folder = tmp_path / "hf"
    folder.mkdir()
    oracle.save_file({"weight": torch.arange(48.0).reshape(6, 8)}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    to_ours(folder, tmp_path / "ours")
    path = tmp_path / "ours" / to
    whole = path.read_bytes()
    for place in range(0, min(len(whole), 192), 5):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(StoreError):
            to_safetensors(tmp_path / "ours", tmp_path / "back")
        assert not (tmp_path / "back").exists()
    path.write_bytes(whole)
    to_safetensors(tmp_path / "ours", tmp_path / "back")
