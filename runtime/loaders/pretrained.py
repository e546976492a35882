"""transformers' `from_pretrained`: a whole model of a Hugging Face folder, in its own data type."""

from pathlib import Path

from runtime.loaders.peers import Tensors
from runtime.loaders.touching import touch


def load(path: Path, device: str) -> Tensors:
    """Parameters by name; tied ones once. What is still only mapped is touched."""
    from transformers import AutoModelForCausalLM

    placed = {} if device == "cpu" else {"device_map": {"": device}}
    model = AutoModelForCausalLM.from_pretrained(
        path, dtype="auto", local_files_only=True, **placed
    )
    tensors = {name: parameter.data for name, parameter in model.named_parameters()}
    touch(tensors.values())
    return tensors
