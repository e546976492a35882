"""Run:ai model streamer, with its own choice of engine and memory."""

from pathlib import Path

from runtime.loaders.formats import files_of
from runtime.loaders.peers import Tensors


def load(path: Path, device: str) -> Tensors:
    """Every tensor is the caller's own: none lies in the streamer's ring afterwards."""
    from runai_model_streamer import SafetensorsStreamer

    files = [str(file) for file in files_of(path, "safetensors")]
    with SafetensorsStreamer() as streamer:
        streamer.stream_files(files, device=device)
        return dict(streamer.get_tensors())
