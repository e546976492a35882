"""Writes the files of a checkpoint, once, in every format that is asked for.

The same seed gives the same weights, so that a format which is wanted later can be added; the
manifest says what is there whole, and the fingerprint of every tensor.
`python -m runtime.bench.load.making JSON` does it in a process of its own, whose memory is gone
afterwards; it prints a line for each format that it begins.
"""

import json
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch

from runtime.bench.gpu.shapes import Shape
from runtime.bench.load.checkpoints import Checkpoint
from runtime.bench.load.fingerprints import fingerprint
from runtime.bench.load.manifests import Manifest, read_manifest, write_manifest
from runtime.bench.load.places import Place, files_under
from runtime.loaders.formats import Format
from runtime.store.format.converting import to_ours

Tensors = Mapping[str, torch.Tensor]


def weights(checkpoint: Checkpoint, seed: int) -> dict[str, torch.Tensor]:
    """Random bfloat16 numbers between 0.5 and 2 of either sign: their bits do not compress."""
    chance = np.random.Generator(np.random.SFC64([seed, zlib.crc32(checkpoint.name.encode())]))
    tensors = {}
    for name, shape in checkpoint.tensors():
        bits = chance.integers(0, 1 << 16, size=shape, dtype=np.uint16)
        bits = (bits & np.uint16(0x80FF)) | np.uint16(0x3F00)
        tensors[name] = torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)
    return tensors


def make(
    checkpoint: Checkpoint,
    place: Place,
    formats: Sequence[Format],
    *,
    seed: int,
    copies: int = 0,
    say: Callable[[str], None] = lambda what: None,
) -> None:
    """Add what the folder does not hold; files of another seed are written anew."""
    place.folder.mkdir(parents=True, exist_ok=True)
    found = read_manifest(place)
    say("weights")
    tensors = weights(checkpoint, seed)
    prints = {name: fingerprint(tensor) for name, tensor in tensors.items()}
    if found is None or found.tensors != prints:
        found = Manifest(seed, (), 0, prints)
    for form in formats:
        if form not in found.formats:
            say(form)
            _remove(place.path(form))
            WRITERS[form](checkpoint, place, tensors)
            found = Manifest(seed, (*found.formats, form), found.copies, prints)
            write_manifest(place, found)
    for number in range(found.copies + 1, copies + 1):
        say(f"copy {number}")
        _remove(place.copy(number))
        shutil.copytree(place.copy(0), place.copy(number))
        found = Manifest(seed, found.formats, number, prints)
        write_manifest(place, found)
    say("disk")
    _sync(place)


def _sync(place: Place) -> None:
    """What is still to be written would be counted to the first measurement."""
    for path in files_under([place.folder]):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _huggingface(checkpoint: Checkpoint, place: Place, tensors: Tensors) -> None:
    from safetensors.torch import save_file

    folder = place.path("huggingface")
    folder.mkdir(exist_ok=True)
    stem = "config" if checkpoint.kind == "base" else "adapter_config"
    text = json.dumps(checkpoint.configuration(), indent=2)
    (folder / f"{stem}.json").write_text(text, encoding="utf-8")
    save_file(dict(tensors), place.weights, metadata={"format": "pt"})


def _hotbed(checkpoint: Checkpoint, place: Place, tensors: Tensors) -> None:
    """From the safetensors, which are made first."""
    to_ours(place.path("huggingface"), place.path("hotbed"))


def _torch(checkpoint: Checkpoint, place: Place, tensors: Tensors) -> None:
    torch.save(dict(tensors), place.path("torch"))


def _tensorizer(checkpoint: Checkpoint, place: Place, tensors: Tensors) -> None:
    from tensorizer import TensorSerializer

    serializer = TensorSerializer(str(place.path("tensorizer")))
    serializer.write_state_dict(dict(tensors))
    serializer.close()


def _flashpack(checkpoint: Checkpoint, place: Place, tensors: Tensors) -> None:
    from flashpack import pack_to_file

    pack_to_file(dict(tensors), str(place.path("flashpack")), None)


WRITERS: Final[dict[Format, Callable[[Checkpoint, Place, Tensors], None]]] = {
    "hotbed": _hotbed,
    "huggingface": _huggingface,
    "torch": _torch,
    "tensorizer": _tensorizer,
    "flashpack": _flashpack,
}


def main() -> None:
    """The words are a checkpoint, its folder, formats, copies and the seed."""
    words = json.loads(sys.argv[1])
    shape = Shape(**words["shape"])
    checkpoint = Checkpoint(words["name"], shape, words["rank"])
    make(
        checkpoint,
        Place(Path(words["folder"]), checkpoint.kind),
        words["formats"],
        seed=words["seed"],
        copies=words["copies"],
        say=lambda what: print(what, flush=True),
    )


if __name__ == "__main__":
    main()
