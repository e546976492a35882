"""The benchmark's decoder computes what transformers' models of the same weights compute."""

from dataclasses import replace
from types import ModuleType

import pytest

pytest.importorskip("torch", reason="the decoder is torch's")

import torch

from runtime.bench.gpu.decoder import Decoder
from runtime.bench.gpu.shapes import LLAMA_8B, QWEN_14B, QWEN_32B, TINY, Shape

SMALL = replace(TINY, hidden=64, layers=2, heads=4, kv_heads=2, head_size=16, inner=96)
SHAPES = {"Llama": SMALL, "Qwen3": replace(SMALL, head_norm=True, norm_epsilon=1e-6)}


@pytest.fixture(scope="module")
def transformers() -> ModuleType:
    found: ModuleType = pytest.importorskip("transformers", reason="the oracle of the decoder")
    return found


@pytest.mark.parametrize("family", SHAPES)
def test_prefill_and_decode_equal_those_of_transformers(
    family: str, transformers: ModuleType
) -> None:
    shape = SHAPES[family]
    torch.manual_seed(0)
    oracle = _model(transformers, family, shape)
    tokens = torch.randint(shape.vocabulary, (3, 9))
    decoder = Decoder(shape, dict(oracle.state_dict()), sequences=3, max_tokens=16)
    with torch.inference_mode():
        expected = oracle(tokens).logits
    torch.testing.assert_close(decoder.forward(tokens[:, :6], 0), expected[:, 5])
    for position in range(6, 9):
        step = decoder.forward(tokens[:, position : position + 1], position)
        torch.testing.assert_close(step, expected[:, position])


def _model(transformers: ModuleType, family: str, shape: Shape) -> torch.nn.Module:
    config = getattr(transformers, f"{family}Config")(
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_size,
        intermediate_size=shape.inner,
        vocab_size=shape.vocabulary,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        rms_norm_eps=shape.norm_epsilon,
        tie_word_embeddings=False,
    )
    model: torch.nn.Module = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    return model


def test_the_shapes_have_the_published_numbers_of_parameters() -> None:
    billions = {shape.name: shape.weight_bytes / 2e9 for shape in (LLAMA_8B, QWEN_14B, QWEN_32B)}
    assert billions == pytest.approx(
        {"llama-3.1-8b": 8.030, "qwen3-14b": 14.768, "qwen3-32b": 32.762}, abs=0.001
    )
    assert LLAMA_8B.kv_bytes_per_token == 131072


def test_the_names_and_sizes_are_those_of_transformers(transformers: ModuleType) -> None:
    for family, shape in SHAPES.items():
        names = {
            name: tuple(t.shape)
            for name, t in _model(transformers, family, shape).state_dict().items()
        }
        assert dict(shape.tensors()) == names
