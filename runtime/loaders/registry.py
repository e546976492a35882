"""Every loader by its name. Those of the store come first."""

from typing import Final

from runtime.loaders import (
    fast_safetensors,
    flashpack_files,
    pretrained,
    runai,
    safetensors_files,
    tensorizer_files,
    torch_files,
)
from runtime.loaders.formats import Format, LoaderError
from runtime.loaders.interface import Loader
from runtime.loaders.peers import Peer

SAFETENSORS: Final[frozenset[Format]] = frozenset({"safetensors", "huggingface"})
TORCH: Final[frozenset[Format]] = frozenset({"torch"})

PEERS: Final = (
    Peer("safetensors", SAFETENSORS, ("safetensors.torch",), safetensors_files.mapped),
    Peer("safetensors_pread", SAFETENSORS, ("safetensors.torch",), safetensors_files.read),
    Peer("torch_mmap", TORCH, ("torch",), torch_files.mapped),
    Peer("torch", TORCH, ("torch",), torch_files.read),
    Peer("runai", SAFETENSORS, ("runai_model_streamer",), runai.load),
    Peer("fastsafetensors", SAFETENSORS, ("fastsafetensors",), fast_safetensors.load),
    Peer("tensorizer", frozenset({"tensorizer"}), ("tensorizer",), tensorizer_files.load),
    Peer(
        "flashpack", frozenset({"flashpack"}), ("flashpack.deserialization",), flashpack_files.load
    ),
    Peer("from_pretrained", frozenset({"huggingface"}), ("transformers",), pretrained.load),
)


def names() -> tuple[str, ...]:
    return tuple(peer.name for peer in PEERS)


def loader(name: str) -> Loader:
    """A loader of that name, ready to be prepared. Raises LoaderError for a name there is not."""
    for peer in PEERS:
        if peer.name == name:
            return peer
    raise LoaderError(f"loader {name!r}: expected one of {', '.join(names())}")
