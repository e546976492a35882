"""Small checkpoints of other formats, written by hand: what an import is given."""

import json
import random
import struct
from pathlib import Path

SHAPES: dict[str, tuple[int, ...]] = {
    "model.embed_tokens.weight": (64, 32),
    "model.layers.0.self_attn.q_proj.weight": (32, 32),
    "model.layers.0.self_attn.o_proj.weight": (32, 32),
    "model.layers.0.input_layernorm.weight": (32,),
}
LORA: dict[str, tuple[int, ...]] = {
    "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": (4, 32),
    "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight": (32, 4),
}


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def values(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, bytes]:
    chance = random.Random(seed)
    return {name: chance.randbytes(2 * _count(shape)) for name, shape in shapes.items()}


def safetensors(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> bytes:
    """A file of float16 tensors."""
    rows, data = {}, b""
    for name, raw in values(shapes, seed).items():
        at = [len(data), len(data) + len(raw)]
        rows[name] = {"dtype": "F16", "shape": list(shapes[name]), "data_offsets": at}
        data += raw
    header = json.dumps(rows).encode()
    return struct.pack("<Q", len(header)) + header + data


def model_files(seed: int = 0) -> dict[str, bytes]:
    """A Hugging Face folder's."""
    config = {"model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 2}
    return {
        "model.safetensors": safetensors(SHAPES, seed),
        "config.json": json.dumps(config).encode(),
        "tokenizer.json": b"{}",
    }


def sharded_files(seed: int = 0) -> dict[str, bytes]:
    names = list(SHAPES)
    halves = {f"model-{n + 1}.safetensors": names[2 * n : 2 * n + 2] for n in range(2)}
    files = {
        file: safetensors({name: SHAPES[name] for name in held}, seed)
        for file, held in halves.items()
    }
    places = {name: file for file, held in halves.items() for name in held}
    index = json.dumps({"weight_map": places}).encode()
    return {**files, "model.safetensors.index.json": index, "config.json": b"{}"}


def adapter_files(seed: int = 0) -> dict[str, bytes]:
    config = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["q_proj"],
        "base_model_name_or_path": "meta/tiny",
    }
    return {
        "adapter_model.safetensors": safetensors(LORA, seed),
        "adapter_config.json": json.dumps(config).encode(),
    }


def serverlessllm_files(seed: int = 0) -> dict[str, bytes]:
    rows, data = {}, b""
    for name, raw in values(SHAPES, seed).items():
        shape = list(SHAPES[name])
        stride = [_count(tuple(shape[at + 1 :])) for at in range(len(shape))]
        rows[name] = [len(data), len(raw), shape, stride, "torch.float16"]
        data += raw
    return {"tensor_index.json": json.dumps(rows).encode(), "tensor.data_0": data}


def put(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder
