"""Every loader by its name. Those of the store come first."""

from functools import partial
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
from runtime.loaders.hotbed_store import StoreLoader
from runtime.loaders.interface import Loader
from runtime.loaders.peers import Peer

OWN: Final[frozenset[Format]] = frozenset({"hotbed"})
SAFETENSORS: Final[frozenset[Format]] = frozenset({"safetensors", "huggingface"})
TORCH: Final[frozenset[Format]] = frozenset({"torch"})

#: The store: with a shared pool, with one of this process alone, and on safetensors files.
OURS: Final = {
    "hotbed": partial(StoreLoader, "hotbed", OWN),
    "hotbed_private": partial(StoreLoader, "hotbed_private", OWN, shared=False),
    "hotbed_safetensors": partial(StoreLoader, "hotbed_safetensors", SAFETENSORS),
}
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
    return (*OURS, *(peer.name for peer in PEERS))


def loader(name: str) -> Loader:
    """One of that name, to be prepared and closed. Raises LoaderError for a name there is not."""
    if name in OURS:
        return OURS[name]()
    for peer in PEERS:
        if peer.name == name:
            return peer
    raise LoaderError(f"loader {name!r}: expected one of {', '.join(names())}")
