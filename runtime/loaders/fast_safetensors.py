"""fastsafetensors, without GPUDirect Storage: its path on any machine."""

from pathlib import Path

from runtime.loaders.formats import files_of
from runtime.loaders.peers import Tensors


def load(path: Path, device: str) -> Tensors:
    """The tensors share the buffer that was read into, and keep it."""
    from fastsafetensors import SafeTensorsFileLoader, SingleGroup

    files = [str(file) for file in files_of(path, "safetensors")]
    loader = SafeTensorsFileLoader(SingleGroup(), device, nogds=True)
    try:
        loader.add_filenames({0: files})
        buffer = loader.copy_files_to_device()
        return {name: buffer.get_tensor(name) for name in loader.get_keys()}
    finally:
        loader.close()
