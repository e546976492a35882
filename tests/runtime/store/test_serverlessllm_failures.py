"""What goes wrong in ServerlessLLM's store, as published: none of it happens here.

Each test names the failure; the sources are its repository (sllm_store, issue 322) and its code.
"""

import contextlib
import os
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="what is saved and loaded are torch's tensors")

import torch

from runtime.store.errors import FileError, PoolRefusedError, StoreError
from runtime.store.format.parsing import is_checkpoint, read_index
from runtime.store.format.verifying import verify
from runtime.store.format.writing import write_checkpoint
from runtime.store.loading.loads import Store
from runtime.store.loading.state_dicts import source_of
from runtime.store.memory.pool import Pool
from runtime.store.memory.regions import Region
from tests.runtime.store.faulty_files import Crash, Faults, FaultyFiles
from tests.runtime.store.loading.made import Gate


def _loaded(path: Path, pool_bytes: int = 8 << 20) -> dict[str, torch.Tensor]:
    with Region.create(pool_bytes) as region, Store(Pool(region)) as store:
        with store.load(path, copy=True).wait() as loaded:
            return dict(loaded.tensors)


@pytest.mark.parametrize("size", [1, 6, 511, 512, 513, 1000, 4095, 4096, 4097, 8200])
def test_a_tail_of_any_length_is_written(tmp_path: Path, size: int) -> None:
    """Issue 322: an unpadded last write to an O_DIRECT file failed, unnoticed: empty files."""
    saved = {"tail": torch.arange(size, dtype=torch.uint8)}
    write_checkpoint(source_of(saved), tmp_path / "model")
    assert torch.equal(_loaded(tmp_path / "model")["tail"], saved["tail"])


def test_one_odd_tensor_does_not_lose_a_small_model(tmp_path: Path) -> None:
    """Issue 322: the case in which all 8.8 kB were lost: one tensor of 6 bytes."""
    saved = {"weight": torch.randn(1100, 2, dtype=torch.float32), "odd": torch.zeros(6).bool()}
    write_checkpoint(source_of(saved), tmp_path / "model")
    found = _loaded(tmp_path / "model")
    assert all(torch.equal(found[name], saved[name]) for name in saved)


def test_a_view_from_the_middle_of_a_storage_is_itself(tmp_path: Path) -> None:
    """Storage offsets were not recorded: the second half came back as the first."""
    whole = torch.arange(64.0).reshape(8, 8)
    write_checkpoint(source_of({"second_half": whole[4:]}), tmp_path / "model")
    assert torch.equal(_loaded(tmp_path / "model")["second_half"], whole[4:])


def test_of_a_storage_only_what_a_tensor_reaches_is_written(tmp_path: Path) -> None:
    """`save_dict` wrote the whole storage of a view."""
    huge = torch.zeros(1 << 20)
    index = write_checkpoint(source_of({"few": huge[1000:1010]}), tmp_path / "model")
    assert index.weight_bytes == 4096


def test_tied_tensors_are_one(tmp_path: Path) -> None:
    """Tensors of one storage were only known apart by its address, and views of it were lost."""
    weight = torch.randn(16, 16)
    write_checkpoint(source_of({"embed": weight, "head": weight}), tmp_path / "model")
    found = _loaded(tmp_path / "model")
    assert found["embed"].data_ptr() == found["head"].data_ptr()


def test_an_odd_tensor_misaligns_none_after_it(tmp_path: Path) -> None:
    """Tensors were packed without padding on the device."""
    saved = {f"t{n}": torch.ones(n, dtype=torch.uint8) for n in (1, 3, 7, 257)}
    saved["wide"] = torch.ones(5, dtype=torch.float64)
    write_checkpoint(source_of(saved), tmp_path / "model")
    found = _loaded(tmp_path / "model")
    assert all(tensor.data_ptr() % 256 == 0 for tensor in found.values())


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bool])
def test_types_of_one_byte_are_kept(tmp_path: Path, dtype: torch.dtype) -> None:
    """Its restore knew neither bool nor fp8."""
    saved = torch.randint(0, 2, (33,)).to(dtype)
    write_checkpoint(source_of({"t": saved}), tmp_path / "model")
    found = _loaded(tmp_path / "model")["t"]
    assert found.dtype == dtype
    assert torch.equal(found.view(torch.uint8), saved.view(torch.uint8))


def test_a_smaller_checkpoint_over_a_larger_one_leaves_no_tail(tmp_path: Path) -> None:
    """Files were opened without truncation."""
    write_checkpoint(source_of({"t": torch.ones(50_000)}), tmp_path / "model")
    write_checkpoint(source_of({"t": torch.ones(10)}), tmp_path / "model", replace=True)
    assert (tmp_path / "model" / "data-0.bin").stat().st_size == 4096
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("calls", range(0, 12, 2))
def test_a_writer_that_died_leaves_nothing_that_looks_done(tmp_path: Path, calls: int) -> None:
    """A folder that existed was taken for a checkpoint that was whole."""
    files = FaultyFiles(Faults(crash_after_calls=calls))
    source = source_of({"t": torch.ones(5000)})
    with contextlib.suppress(Crash):
        write_checkpoint(source, tmp_path / "model", files=files)
    if is_checkpoint(tmp_path / "model"):
        assert not verify(tmp_path / "model", deep=True).faults
    write_checkpoint(source, tmp_path / "model", replace=True)
    assert not verify(tmp_path / "model", deep=True).faults


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    """There was no checksum."""
    write_checkpoint(source_of({"t": torch.ones(5000)}), tmp_path / "model")
    data = tmp_path / "model" / "data-0.bin"
    flipped = np.fromfile(data, np.uint8)
    flipped[7777] ^= 4
    flipped.tofile(data)
    with pytest.raises(FileError, match="checksum"):
        _loaded(tmp_path / "model")


def test_a_model_larger_than_the_pool_loads(tmp_path: Path) -> None:
    """Host memory was a stop on every way, and had to hold all of the model."""
    saved = {f"t{n}": torch.full((1 << 20,), float(n)) for n in range(5)}
    write_checkpoint(source_of(saved), tmp_path / "model", chunk_bytes=1 << 20)
    with Region.create(8 << 20) as region, Store(Pool(region), ring_bytes=4 << 20) as store:
        with store.load(tmp_path / "model").wait() as loaded:
            assert all(torch.equal(loaded.tensors[name], saved[name]) for name in saved)
        store.pool.check()
        assert store.pool.free_bytes == store.pool.total_bytes


def test_a_read_that_fails_ends_the_load(tmp_path: Path) -> None:
    """The dispatcher waited for ever for the chunk that never came."""
    write_checkpoint(source_of({"t": torch.ones(1 << 20)}), tmp_path / "model", chunk_bytes=1 << 16)
    files = FaultyFiles(Faults(read_error_at=3 << 20))
    with Region.create(8 << 20) as region, Store(Pool(region), files=files) as store:
        with pytest.raises(FileError, match=r"data-0\.bin"):
            store.load(tmp_path / "model").wait()
        store.pool.check()
        assert store.pool.free_bytes == store.pool.total_bytes
    assert not files.open_descriptors


def test_a_slow_chunk_holds_up_no_other(tmp_path: Path) -> None:
    """Chunks were dealt out to threads beforehand: one slow read held up all of a thread's."""
    chunk, chunks = 1 << 16, 16
    write_checkpoint(
        source_of({"t": torch.ones(chunk * chunks // 4)}), tmp_path / "m", chunk_bytes=chunk
    )
    gate, others = Gate(), threading.Event()

    def progress(landed: int, _: int) -> None:
        if landed == chunk * (chunks - 1):
            others.set()

    with Region.create(8 << 20) as region, Store(Pool(region), files=gate) as store:
        load = store.load(tmp_path / "m", progress=progress)
        gate.reached("m")
        gate.let("m", chunks - 1)  # all but one, whichever it is
        others.wait()
        assert not load.done
        gate.open("m")
        load.wait().close()


def test_a_load_that_waits_blocks_no_other(tmp_path: Path) -> None:
    """A client that waited for its model held the server's only loop."""
    for name in ("slow", "quick"):
        write_checkpoint(source_of({"t": torch.ones(5000)}), tmp_path / name)
    gate = Gate()
    gate.open("quick")
    with Region.create(8 << 20) as region, Store(Pool(region), files=gate) as store:
        slow = store.load(tmp_path / "slow")
        gate.reached("slow")
        store.load(tmp_path / "quick").wait().close()
        assert not slow.done
        gate.open("slow")
        slow.wait().close()


def test_another_model_leaves_the_pool_while_one_is_loading(tmp_path: Path) -> None:
    """Unloading could take the chunks of whatever had been touched longest ago."""
    for name in ("old", "coming"):
        write_checkpoint(source_of({"t": torch.full((5000,), 2.0)}), tmp_path / name)
    gate = Gate()
    gate.open("old")
    with Region.create(8 << 20) as region, Store(Pool(region), files=gate) as store:
        store.fetch(tmp_path / "old").wait()
        coming = store.load(tmp_path / "coming", copy=True)
        gate.reached("coming")
        (old,) = (name for name in store.pool.names() if name.endswith("old"))
        store.pool.evict(old)
        with pytest.raises(PoolRefusedError, match="coming"):
            store.pool.evict(old.removesuffix("old") + "coming")
        gate.open("coming")
        with coming.wait() as loaded:
            assert torch.equal(loaded.tensors["t"], torch.full((5000,), 2.0))


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """The result of a write was ignored, and saving ended with success."""
    files = FaultyFiles(Faults(no_space_at_write=0))
    with pytest.raises(StoreError, match="full"):
        write_checkpoint(source_of({"t": torch.ones(5000)}), tmp_path / "model", files=files)
    assert not os.listdir(tmp_path)


def test_an_index_that_promises_more_than_the_file_is_refused(tmp_path: Path) -> None:
    """Sizes were taken from whatever files lay there."""
    write_checkpoint(source_of({"t": torch.ones(5000)}), tmp_path / "model")
    os.truncate(tmp_path / "model" / "data-0.bin", 4096)
    with pytest.raises(FileError, match=r"data-0\.bin"):
        read_index(tmp_path / "model")
