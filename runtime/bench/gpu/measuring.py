"""What the stages measure: loads of random checkpoints by the store, and what they load decoding.

Every repetition is timed from the call until the device has done its work; the first of each kind
is not counted, because memory is pinned and kernels are chosen in it. Rows are those of
`runtime.bench.measurements`, so that calibration reads them.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path

import torch

from runtime.bench.gpu.decode import prefill_and_decode, settle
from runtime.bench.gpu.links import link
from runtime.bench.gpu.random_weights import write_random
from runtime.bench.gpu.record import Result
from runtime.bench.gpu.scales import Scale
from runtime.bench.gpu.shapes import Shape
from runtime.bench.gpu.stages import Stage
from runtime.bench.load.ceilings import Ceilings
from runtime.bench.load.checkpoints import Checkpoint
from runtime.bench.measurements import CeilingRow, Hop, Kind, LoadRow, What
from runtime.store.errors import StoreError
from runtime.store.files import DISK
from runtime.store.format.index import Index
from runtime.store.format.parsing import is_checkpoint, read_index
from runtime.store.format.values import value_digest
from runtime.store.loading.loads import Loaded, Store
from runtime.store.memory.machine import read_settings
from runtime.store.memory.pool import Pool
from runtime.store.memory.regions import Region
from runtime.store.reading.page_cache import drop_cached

RATE_BYTES_PER_S = 1e9  # what any disk here gives: for guessing how long a stage may take
SPARE_BYTES = 1 << 30
CHECKED = 8  # every so many tensors are compared with what was written
GPU_SPARE = 0.95  # of a card's free memory


class Bench:
    """One machine's device and a folder on the disk that is measured."""

    def __init__(self, device: torch.device, folder: Path, scale: Scale) -> None:
        self._device = device
        self._folder = folder
        self._scale = scale
        self._order = count()

    def stages(self) -> list[Stage]:
        """All of them, the cheapest knowledge first; a shape's files go when it is done."""
        found = [Stage("link", 60.0, self._link)]
        found += [self._adapter_stage(rank) for rank in self._scale.adapters]
        for shape in self._scale.shapes:
            found += self._shape_stages(shape)
        return found

    def _shape_stages(self, shape: Shape) -> list[Stage]:
        guess_s = 10.0 + shape.weight_bytes / RATE_BYTES_PER_S
        return [
            Stage(f"write {shape.name}", guess_s, lambda: self._write(shape)),
            Stage(f"disk {shape.name}", 3 * guess_s, lambda: self._from_disk(shape)),
            Stage(f"pool and decode {shape.name}", 2 * guess_s, lambda: self._from_pool(shape)),
        ]

    def _link(self) -> Result:
        found = link(self._device, self._scale.link_bytes)
        return {**found, "ceilings": [self._link_row(found)]}

    def _link_row(self, found: Result) -> Result:
        seconds = found["to_device_s"]
        assert isinstance(seconds, float)
        what: What = "pcie" if self._device.type == "cuda" else "memcpy"
        row = CeilingRow(next(self._order), 0, what, self._scale.link_bytes, seconds)
        return asdict(row)

    def _adapter_stage(self, rank: int) -> Stage:
        checkpoint = Checkpoint(f"adapter-r{rank}", self._scale.adapted, rank)
        return Stage(checkpoint.name, 20.0, lambda: self._adapter(checkpoint))

    def _adapter(self, checkpoint: Checkpoint) -> Result:
        path = self._folder / checkpoint.name
        index = _written(path) or write_random(checkpoint.tensors(), path)
        try:
            with self._store(index.weight_bytes) as store:
                disk = self._loads(store, path, index, "ssd", rank=checkpoint.rank)
                store.fetch(path).wait()
                pool = self._loads(store, path, index, "dram", rank=checkpoint.rank)
        finally:
            shutil.rmtree(path, ignore_errors=True)
        return {"rank": checkpoint.rank, "loads": disk + pool}

    def _write(self, shape: Shape) -> Result:
        fitting = self._fitting(shape)
        path = self._folder / shape.name
        shutil.rmtree(path, ignore_errors=True)
        begun_at = time.perf_counter()
        index = write_random(fitting.tensors(), path)
        return {
            "layers": fitting.layers,
            "of_layers": shape.layers,
            "bytes": index.weight_bytes,
            "seconds": time.perf_counter() - begun_at,
        }

    def _fitting(self, shape: Shape) -> Shape:
        """The shape with as many layers as disk, memory and card have room for."""
        self._folder.mkdir(parents=True, exist_ok=True)
        room = min(DISK.free_bytes(self._folder), read_settings().available_bytes or 1 << 62)
        most = int(room * self._scale.margin) - SPARE_BYTES
        if self._device.type == "cuda":
            most = min(
                most, int(torch.cuda.mem_get_info(self._device)[0] * GPU_SPARE) - SPARE_BYTES
            )
        for layers in range(shape.layers, 0, -1):
            fitting = replace(shape, layers=layers)
            if fitting.weight_bytes <= most:
                return fitting
        raise StoreError(f"{shape.name}: not one layer of it fits in {most:,} bytes")

    def _from_disk(self, shape: Shape) -> Result:
        path, index = self._checkpoint(shape)
        data = path / index.partitions[0].file
        with Ceilings(min(index.weight_bytes, 8 << 30)) as ceilings:
            drop_cached(data)
            size, seconds = ceilings.disk(data)
        ceiling = asdict(CeilingRow(next(self._order), 0, "disk", size, seconds))
        with self._store(0) as store:
            rows = self._loads(store, path, index, "ssd")
        return {"ceilings": [ceiling], "loads": rows}

    def _from_pool(self, shape: Shape) -> Result:
        path, index = self._checkpoint(shape)
        layers = sum(entry.name.endswith("input_layernorm.weight") for entry in index.tensors)
        begun_at = time.perf_counter()
        with self._store(index.weight_bytes) as store:
            created_s = time.perf_counter() - begun_at
            store.fetch(path).wait()
            rows = self._loads(store, path, index, "dram")
            with store.attach(path, device=str(self._device), copy=True) as loaded:
                decoding = self._decode(replace(shape, layers=layers), loaded)
        shutil.rmtree(path, ignore_errors=True)
        return {
            "layers": layers,
            "of_layers": shape.layers,
            "pool_s": created_s,
            "loads": rows,
            "engine": decoding,
        }

    def _decode(self, shape: Shape, loaded: Loaded) -> Result:
        scale = self._scale
        return prefill_and_decode(
            shape,
            loaded.tensors,
            prompts=scale.prompts,
            batches=scale.batches,
            context=scale.context,
        )

    def _checkpoint(self, shape: Shape) -> tuple[Path, Index]:
        path = self._folder / shape.name
        index = _written(path)
        if index is None:
            self._write(shape)
            index = read_index(path)
        return path, index

    @contextmanager
    def _store(self, weight_bytes: int) -> Iterator[Store]:
        """A pool for one checkpoint and the ring of those that pass through it."""
        with Region.create(weight_bytes + SPARE_BYTES // 4) as region, Store(Pool(region)) as store:
            yield store

    def _loads(
        self, store: Store, path: Path, index: Index, hop: Hop, rank: int | None = None
    ) -> list[Result]:
        one = self._one(store, path, hop)
        one().close()  # pins the pool, starts threads and streams
        rows = []
        for number in range(self._scale.repetitions):
            cached = drop_cached(path / index.partitions[0].file) if hop == "ssd" else None
            cpu_at, begun_at = time.process_time(), time.perf_counter()
            with one() as loaded:
                settle(self._device)
                seconds, cpu_s = time.perf_counter() - begun_at, time.process_time() - cpu_at
                identical = _identical(loaded, index)
                phases = dict(loaded.phases_s)
            rows.append(
                LoadRow(
                    order=next(self._order),
                    round=number,
                    loader="hotbed",
                    checkpoint=path.name,
                    kind=_kind(rank),
                    rank=rank,
                    tensors=len(index.tensors),
                    bytes=sum(entry.span_bytes for entry in index.tensors),
                    hop=hop,
                    device=str(self._device),
                    concurrent=1,
                    seconds=seconds,
                    cpu_s=cpu_s,
                    phases=phases,
                    foreign_cores=None,
                    cached_before=cached,
                    identical=identical,
                )
            )
        return [asdict(row) for row in rows]

    def _one(self, store: Store, path: Path, hop: Hop) -> Callable[[], Loaded]:
        device = str(self._device)
        if hop == "dram":
            return lambda: store.attach(path, device=device, copy=True)
        return lambda: store.load(path, device=device, keep=False).wait()


def _kind(rank: int | None) -> Kind:
    return "base" if rank is None else "adapter"


def _written(path: Path) -> Index | None:
    """What an earlier try wrote: a checkpoint with a name is whole."""
    return read_index(path) if is_checkpoint(path) else None


def _identical(loaded: Loaded, index: Index) -> bool:
    """Whether every so many tensors have the values that were written."""
    for entry in index.tensors[::CHECKED]:
        data = loaded.tensors[entry.name].cpu().contiguous().view(torch.uint8)
        here = replace(entry, offset_bytes=0)
        if value_digest(index.hash, data.reshape(-1).numpy().data, here) != entry.values:
            return False
    return True
