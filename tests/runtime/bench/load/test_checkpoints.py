"""Sizes and names are those of the models that the shapes come from."""

import pytest

from runtime.bench.load.checkpoints import BASES, adapter, base
from runtime.store.errors import StoreError


def test_the_sizes_are_those_of_published_models() -> None:
    assert base("2.4g").weight_bytes == 2_471_628_800  # Llama 3.2 1B's safetensors, less its header
    assert len(list(base("2.4g").tensors())) == 146
    assert adapter(16).weight_bytes == 83_886_080  # rank 16 on all linear layers of Llama 3.1 8B
    assert len(list(adapter(16).tensors())) == 448


def test_sizes_grow_up_to_four_gib_and_names_differ() -> None:
    sizes = [one.weight_bytes for one in BASES.values()]
    assert sizes == sorted(sizes)
    assert sizes[-1] <= 4 << 30
    every = [*BASES.values(), adapter(8), adapter(16)]
    assert len({one.name for one in every}) == len(every)
    for one in every:
        listed = [name for name, _ in one.tensors()]
        assert len(set(listed)) == len(listed)


def test_an_adapter_weighs_in_proportion_to_its_rank() -> None:
    assert adapter(64).weight_bytes == 8 * adapter(8).weight_bytes
    assert adapter(8).configuration()["r"] == 8


def test_a_size_or_rank_that_cannot_be_is_refused() -> None:
    with pytest.raises(StoreError, match=r"--size '7b': expected one of 5m, 64m"):
        base("7b")
    with pytest.raises(StoreError, match="--rank 0: expected a rank from 1"):
        adapter(0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_adapter_has_the_tensors_that_peft_saves() -> None:
    transformers = pytest.importorskip("transformers", reason="the base model is transformers'")
    peft = pytest.importorskip("peft", reason="the oracle is PEFT's own adapter")
    wanted = adapter(4, BASES["5m"].shape)
    config = {**BASES["5m"].configuration(), "dtype": "float32"}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config))
    asked = {**wanted.configuration()}
    peft_model = peft.get_peft_model(model, peft.LoraConfig(**asked))
    saved = peft.get_peft_model_state_dict(peft_model)
    assert {name: tuple(one.shape) for name, one in saved.items()} == dict(wanted.tensors())
