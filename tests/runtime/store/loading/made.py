"""What the tests of loading share: tensors of every kind, checkpoints, gates, and what is left."""

import gc
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np
import torch
from hypothesis import strategies as st

from runtime.store.files import Disk
from runtime.store.format.dtypes import item_bytes
from runtime.store.format.sources import ExtentTensor
from runtime.store.format.values import row_major
from runtime.store.format.writing import write_checkpoint
from runtime.store.loading.state_dicts import source_of
from runtime.store.loading.tensors import TORCH_DTYPES, dtype_name
from runtime.store.memory.pool import Held, Pool
from runtime.store.memory.regions import Region

MIB = 1 << 20
PLAIN = sorted(name for name in TORCH_DTYPES if not name.startswith(("qint", "quint")))


def storage_bytes(tensor: torch.Tensor) -> memoryview:
    """All bytes of a tensor's storage."""
    whole = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
    found: memoryview = whole.numpy().data
    return found


def raw(tensor: torch.Tensor) -> bytes:
    """The elements' bytes in row-major order, of any data type, without torch's arithmetic."""
    name = dtype_name(tensor.dtype)
    entry = ExtentTensor(
        "",
        name,
        tuple(tensor.shape),
        tuple(tensor.stride()),
        int(tensor.storage_offset()) * item_bytes(name),
    )
    return b"".join(row_major(storage_bytes(tensor), entry))


def assert_same(found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    """Bit for bit, with shapes and strides."""
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert found[name].stride() == tensor.stride()
        assert raw(found[name]) == raw(tensor), name


@st.composite
def state_dicts(draw: st.DrawFn) -> dict[str, torch.Tensor]:
    """A few storages of random bytes, with tensors of any type, shape and stride over each."""
    made: dict[str, torch.Tensor] = {}
    for number in range(draw(st.integers(0, 4))):
        block = torch.from_numpy(_noise(16 * draw(st.integers(1, 700)), draw))
        for at in range(draw(st.integers(1, 3))):
            made[f"{number}.{at}"] = draw(_views(block))
    return made


def _noise(size: int, draw: st.DrawFn) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    seed = draw(st.integers(0, 1 << 30))
    return np.random.default_rng(seed).integers(0, 256, size, np.uint8)


@st.composite
def _views(draw: st.DrawFn, block: torch.Tensor) -> torch.Tensor:
    base = block.view(TORCH_DTYPES[draw(st.sampled_from(PLAIN))])
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    steps = [draw(st.integers(0, 9)) for _ in shape]
    if draw(st.booleans()):
        steps = [prod(max(1, one) for one in shape[at + 1 :]) for at in range(len(shape))]
    span = sum((size - 1) * step for size, step in zip(shape, steps, strict=True)) + 1
    if not prod(shape):
        span = 0
    if span > len(base):
        shape, steps, span = [], [], 1
    return torch.as_strided(base, shape, steps, draw(st.integers(0, len(base) - span)))


def numbers(seed: int, mib: float) -> dict[str, torch.Tensor]:
    """A checkpoint's worth of noise, in a few tensors, one of them odd."""
    generator = torch.Generator().manual_seed(seed)
    count = int(mib * MIB / 2) // 4
    made = {
        f"layer{at}": torch.randn(count, generator=generator).to(torch.bfloat16) for at in range(4)
    }
    return {**made, "odd": torch.randn(7, 3, generator=generator)}


def write(folder: Path, tensors: Mapping[str, torch.Tensor], *, chunk_bytes: int = MIB) -> Path:
    write_checkpoint(source_of(tensors), folder, chunk_bytes=chunk_bytes)
    return folder


@contextmanager
def pool_of(mib: int) -> Iterator[Pool]:
    with Region.create(mib * MIB) as region:
        yield Pool(region)


def evict_all(pool: Pool) -> None:
    """Nothing may be in use any more."""
    if any(pool.pins(name) for name in pool.names() if pool.state(name) is Held.RESIDENT):
        gc.collect()  # only what a test's own traceback keeps
    for name in pool.names():
        pool.evict(name)
    pool.check()
    assert pool.used_bytes == 0


def store_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("hotbed-")]


class Gate(Disk):
    """A disk whose reads of data files wait until they are let through, and that counts them."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.open_descriptors: dict[int, Path] = {}
        self.waiting: Counter[str] = Counter()
        self._tickets: Counter[str] = Counter()
        self._open: set[str] = set()

    def let(self, checkpoint: str, reads: int = 1) -> None:
        """Let that many reads of a checkpoint's data through."""
        with self.changed:
            self._tickets[checkpoint] += reads
            self.changed.notify_all()

    def open(self, checkpoint: str) -> None:
        """Let all of its reads through from here on."""
        with self.changed:
            self._open.add(checkpoint)
            self.changed.notify_all()

    def shut(self, checkpoint: str) -> None:
        with self.changed:
            self._open.discard(checkpoint)
            self._tickets[checkpoint] = 0

    def reached(self, checkpoint: str, reads: int = 1) -> None:
        """Wait until that many reads stand before the gate."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting[checkpoint] >= reads)

    def open_read(self, path: Path, *, direct: bool) -> int:
        descriptor = super().open_read(path, direct=direct)
        with self.changed:
            self.open_descriptors[descriptor] = path
        return descriptor

    def close(self, descriptor: int) -> None:
        with self.changed:
            del self.open_descriptors[descriptor]  # KeyError: closed twice
        super().close(descriptor)

    def preadv(
        self, descriptor: int, buffers: Sequence[memoryview], offset_bytes: int, flags: int = 0
    ) -> int:
        path = self.open_descriptors[descriptor]
        if path.suffix == ".bin":
            self._wait(path.parent.name)
        return super().preadv(descriptor, buffers, offset_bytes, flags)

    def _wait(self, checkpoint: str) -> None:
        with self.changed:
            self.waiting[checkpoint] += 1
            self.changed.notify_all()
            self.changed.wait_for(lambda: checkpoint in self._open or self._tickets[checkpoint] > 0)
            if checkpoint not in self._open:
                self._tickets[checkpoint] -= 1
            self.waiting[checkpoint] -= 1
