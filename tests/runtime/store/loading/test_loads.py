"""From a checkpoint to tensors: bit for bit, by every way there is, or one typed error."""

import gc
import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="loads bring tensors")

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.store.errors import (
    CancelledError,
    ChangedError,
    CorruptError,
    PoolFullError,
    PoolRefusedError,
    StoreError,
    TruncatedError,
)
from runtime.store.loading.devices import CpuDevice
from runtime.store.loading.loads import Store
from runtime.store.memory.pool import Pool
from runtime.store.reading.disk_queue import DiskQueue
from runtime.store.reading.tuning import Tuning
from tests.runtime.store.faulty_files import Faults, FaultyFiles
from tests.runtime.store.loading.made import (
    MIB,
    Gate,
    assert_same,
    evict_all,
    numbers,
    pool_of,
    raw,
    state_dicts,
    store_threads,
    write,
)

WAYS: dict[str, dict[str, Any]] = {
    "kept": {},
    "copied": {"copy": True},
    "passing": {"keep": False},
}
CHUNKS = 5


@pytest.fixture
def pool() -> Iterator[Pool]:
    with pool_of(16) as made:
        yield made
    assert not store_threads()


@pytest.fixture(scope="module")
def lasting() -> Iterator[Pool]:
    """One pool for many examples: memory takes longer to make than a load."""
    with pool_of(8) as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("loads") / "model", numbers(0, 4.6))


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(tensors=state_dicts())
def test_what_was_written_is_loaded_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory,
    lasting: Pool,
    way: str,
    tensors: dict[str, torch.Tensor],
) -> None:
    path = write(tmp_path_factory.mktemp("made") / "x", tensors, chunk_bytes=4096)
    with Store(lasting) as store, store.load(path, **WAYS[way]).wait() as loaded:
        assert_same(loaded.tensors, tensors)
        _assert_shared_as(loaded.tensors, tensors)
        assert all(one.data_ptr() % 256 == 0 for one in _blocks(loaded.tensors))
    evict_all(lasting)


def _blocks(tensors: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """What each tensor is a view of."""
    return [
        torch.empty(0, dtype=torch.uint8).set_(one.untyped_storage())
        for one in tensors.values()
        if one.numel()
    ]


def _assert_shared_as(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    """Tensors whose bytes overlap still do, and as far apart as they were."""
    names = [name for name, tensor in wanted.items() if tensor.numel()]
    for one in names:
        for other in names:
            if _overlap(wanted[one], wanted[other]):
                apart = wanted[one].data_ptr() - wanted[other].data_ptr()
                assert found[one].data_ptr() - found[other].data_ptr() == apart
            elif found[one] is not found[other]:
                assert not _overlap(found[one], found[other])


def _overlap(one: torch.Tensor, other: torch.Tensor) -> bool:
    return _start(one) < _end(other) and _start(other) < _end(one)


def _start(tensor: torch.Tensor) -> int:
    return tensor.data_ptr()


def _end(tensor: torch.Tensor) -> int:
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    last = sum((size - 1) * step for size, step in steps)
    return tensor.data_ptr() + (last + 1) * tensor.element_size()


@pytest.mark.filterwarnings("ignore:.*quantiz")
@pytest.mark.parametrize("way", WAYS)
def test_quantised_tensors_come_back_with_their_parameters(
    pool: Pool, tmp_path: Path, way: str
) -> None:
    values = torch.randn(6, 4)
    scales, zeros = torch.rand(4) + 0.1, torch.arange(4)
    tensors = {
        "tensor": torch.quantize_per_tensor(values, 0.1, 3, torch.qint8),
        "wide": torch.quantize_per_tensor(values, 0.001, 0, torch.qint32),
        "packed": torch.quantize_per_tensor(torch.rand(5, 3), 0.07, 2, torch.quint4x2),
        "channel": torch.quantize_per_channel(values, scales.double(), zeros, 1, torch.quint8),
        "floats": torch.quantize_per_channel(values, scales, zeros.float(), 1, torch.quint8),
        "turned": torch.quantize_per_tensor(values, 0.1, 3, torch.quint8).t(),
    }
    path = write(tmp_path / "q", tensors)
    with Store(pool) as store, store.load(path, **WAYS[way]).wait() as loaded:
        assert loaded.tensors.keys() == tensors.keys()
        for name, tensor in tensors.items():
            found = loaded.tensors[name]
            assert (found.dtype, found.qscheme()) == (tensor.dtype, tensor.qscheme())
            assert found.stride() == tensor.stride()
            assert torch.equal(found.dequantize(), tensor.dequantize())
        del found


@pytest.mark.parametrize("way", WAYS)
def test_safetensors_files_are_read_as_their_package_reads_them(
    pool: Pool, tmp_path: Path, way: str
) -> None:
    package = pytest.importorskip("safetensors.torch", reason="the oracle")
    for number in range(9):  # headers of many lengths: data begins at many offsets
        generator = torch.Generator().manual_seed(number)
        tensors = {
            "a" * (number + 1): torch.randn(3, 5, generator=generator),
            "b": torch.randn(1 + number, generator=generator).to(torch.bfloat16),
            "c": torch.randn(7, generator=generator).to(torch.float8_e4m3fn),
            "d": torch.randn(2, 2, generator=generator, dtype=torch.float64),
            "e": torch.empty(0, 4),
            "f": torch.tensor(True),
        }
        path = tmp_path / f"{number}.safetensors"
        package.save_file(tensors, path)
        with Store(pool) as store, store.load(path, **WAYS[way]).wait() as loaded:
            assert_same(loaded.tensors, package.load_file(path))
        evict_all(pool)


@pytest.mark.parametrize("way", WAYS)
def test_a_tensor_whose_bytes_split_an_element_is_read_all_the_same(
    pool: Pool, tmp_path: Path, way: str
) -> None:
    """The format allows it: the reference writes wide types first, others do not."""
    rows = {
        "one": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "wide": {"dtype": "F32", "shape": [2, 2], "data_offsets": [1, 17]},
    }
    header = json.dumps(rows).encode()
    data = bytes(range(17))
    path = tmp_path / "odd.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    with Store(pool) as store, store.load(path, **WAYS[way]).wait() as loaded:
        assert raw(loaded.tensors["one"]) == data[:1]
        assert raw(loaded.tensors["wide"]) == data[1:]
        assert list(loaded.tensors) == ["one", "wide"]


@pytest.mark.parametrize("way", WAYS)
def test_a_folder_of_shards_is_one_load(pool: Pool, tmp_path: Path, way: str) -> None:
    package = pytest.importorskip("safetensors.torch", reason="writes the shards")
    parts = [{f"{at}.w": torch.randn(300, 7), f"{at}.b": torch.randn(5)} for at in range(3)]
    weight_map: dict[str, str] = {}
    for at, part in enumerate(parts):
        name = f"model-{at + 1:05}-of-00003.safetensors"
        package.save_file(part, tmp_path / name)
        weight_map |= dict.fromkeys(part, name)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with Store(pool) as store, store.load(tmp_path, **WAYS[way]).wait() as loaded:
        merged: dict[str, torch.Tensor] = {}
        for part in parts:
            merged |= part
        assert loaded.tensors.keys() == merged.keys()
        for name, tensor in merged.items():
            assert torch.equal(loaded.tensors[name], tensor)


def test_a_model_larger_than_the_pool_streams_through_it(tmp_path: Path) -> None:
    tensors = numbers(1, 9)
    path = write(tmp_path / "large", tensors)
    seen: list[tuple[int, int]] = []
    with pool_of(4) as pool, Store(pool, ring_bytes=2 * MIB) as store:
        loaded = store.load(path, progress=lambda *told: seen.append(told)).wait()
        assert pool.used_bytes == 0
        assert not loaded.in_pool
        assert_same(loaded.tensors, tensors)
    assert seen == sorted(seen)
    size = (path / "data-0.bin").stat().st_size
    assert seen[-1] == (size, size)


def test_a_chunk_larger_than_the_pool_is_refused_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "large", numbers(1, 5), chunk_bytes=8 * MIB)
    with pool_of(2) as pool, Store(pool) as store:
        with pytest.raises(PoolFullError, match="passing"):
            store.load(path)
        assert pool.used_bytes == 0


def test_what_is_kept_is_seen_in_the_pool_without_a_copy(pool: Pool, folder: Path) -> None:
    with Store(pool) as store:
        loaded = store.load(folder).wait()
        assert loaded.in_pool
        start, size = pool.region.address, pool.region.size_bytes
        assert all(start <= one.data_ptr() < start + size for one in loaded.tensors.values())
        again = store.attach(folder)
        assert again.tensors["odd"].data_ptr() == loaded.tensors["odd"].data_ptr()
        assert again.bytes_from == {"dram": pool.holding(str(folder)).size_bytes}


def test_a_live_tensor_keeps_its_memory_from_eviction(pool: Pool, folder: Path) -> None:
    with Store(pool) as store:
        loaded = store.load(folder).wait()
        kept = loaded.tensors["odd"]
        wanted = kept.clone()
        loaded.close()
        with pytest.raises(PoolRefusedError, match="in use"):
            pool.evict(str(folder))
        assert torch.equal(kept, wanted)
        del kept, loaded
        evict_all(pool)


def test_tensors_outlive_the_store_and_the_region(folder: Path) -> None:
    with pool_of(16) as pool, Store(pool) as store:
        tensors = dict(store.load(folder).wait().tensors)
    gc.collect()
    assert_same(tensors, numbers(0, 4.6))


def test_loads_of_one_checkpoint_at_the_same_time_read_it_once(pool: Pool, folder: Path) -> None:
    gate = Gate()
    with Store(pool, files=gate) as store:
        first = store.load(folder)
        gate.reached("model")
        others = [store.load(folder, copy=True), store.fetch(folder, priority=3)]
        gate.open("model")
        for load in (first, others[0]):
            assert_same(load.wait().tensors, numbers(0, 4.6))
        assert not others[1].wait().tensors
        assert sum(first.wait().bytes_from.values()) == first.total_bytes
        assert pool.names() == (str(folder),)
        del first, others, load
        evict_all(pool)


def test_one_of_two_that_share_a_reading_may_be_cancelled(pool: Pool, folder: Path) -> None:
    gate = Gate()
    with Store(pool, files=gate) as store:
        first, second = store.load(folder), store.load(folder)
        gate.reached("model")
        first.cancel()
        with pytest.raises(CancelledError):
            first.wait()
        gate.open("model")
        assert_same(second.wait().tensors, numbers(0, 4.6))


def test_a_cancelled_load_can_be_asked_for_again_at_once(pool: Pool, folder: Path) -> None:
    gate = Gate()
    with Store(pool, files=gate) as store:
        first = store.load(folder)
        gate.reached("model")
        first.cancel()
        gate.open("model")
        second = store.load(folder)
        assert_same(second.wait().tensors, numbers(0, 4.6))


@pytest.mark.parametrize("landed", range(CHUNKS + 1))
@pytest.mark.parametrize("way", WAYS)
def test_cancelling_after_any_chunk_leaves_nothing_behind(
    pool: Pool, folder: Path, way: str, landed: int
) -> None:
    gate, told = Gate(), threading.Semaphore(0)
    with Store(pool, files=gate, ring_bytes=2 * MIB) as store:
        load = store.load(folder, progress=lambda *_: told.release(), **WAYS[way])
        gate.let("model", landed)
        while load.landed_bytes < min(landed * MIB, load.total_bytes):
            told.acquire()
        load.cancel()
        gate.open("model")
        if landed < CHUNKS:
            with pytest.raises(CancelledError, match="model"):
                load.wait()
        else:  # it may have been through already
            try:
                load.wait().close()
            except CancelledError:
                pass
        assert not gate.open_descriptors
        del load
        evict_all(pool)


def test_a_load_may_be_cancelled_from_its_own_progress(pool: Pool, folder: Path) -> None:
    gate = Gate()
    with Store(pool, files=gate) as store:
        load = store.load(folder, progress=lambda *_: load.cancel())
        gate.open("model")
        with pytest.raises(CancelledError):
            load.wait()
        evict_all(pool)


def test_what_progress_raises_ends_the_load(pool: Pool, folder: Path) -> None:
    def fails(*_: int) -> None:
        raise RuntimeError("no terminal")

    with Store(pool) as store:
        load = store.load(folder, keep=False, progress=fails)
        with pytest.raises(StoreError, match="RuntimeError: no terminal"):
            load.wait()
        evict_all(pool)


class Watched(DiskQueue):
    """One reading thread, and word of every reading that lines up."""

    def __init__(self) -> None:
        super().__init__(Tuning(start=1, most=1))
        self.submitted = threading.Semaphore(0)

    def submit(self, work: Any) -> None:
        super().submit(work)
        self.submitted.release()


def test_chunks_of_an_urgent_load_overtake(pool: Pool, tmp_path: Path) -> None:
    paths = {
        name: write(tmp_path / name, numbers(at, 3)) for at, name in enumerate(("low", "high"))
    }
    gate, order = Gate(), list[str]()
    with closing(Watched()) as queue, Store(pool, queue, files=gate) as store:
        low = store.load(paths["low"], progress=lambda *_: order.append("low"))
        gate.reached("low")
        high = store.load(paths["high"], priority=5, progress=lambda *_: order.append("high"))
        queue.submitted.acquire()
        queue.submitted.acquire()
        gate.open("high")
        gate.open("low")
        low.wait()
        high.wait()
    chunks = order.count("high")
    assert order == ["low", *["high"] * chunks, *["low"] * (order.count("low") - 1)]
    assert chunks > 1


def test_a_full_pool_refuses_and_says_what_would_help(pool: Pool, folder: Path) -> None:
    pool.reserve("other", 12 * MIB)
    with Store(pool) as store:
        with pytest.raises(PoolFullError, match="evict"):
            store.load(folder)
        with store.load(folder, keep=False).wait() as loaded:
            assert_same(loaded.tensors, numbers(0, 4.6))


def test_attaching_what_is_not_in_the_pool_is_refused(pool: Pool, folder: Path) -> None:
    with Store(pool) as store, pytest.raises(PoolRefusedError, match="not in the pool"):
        store.attach(folder)


def test_a_checkpoint_that_was_replaced_is_not_taken_for_the_one_in_the_pool(
    pool: Pool, tmp_path: Path
) -> None:
    path = write(tmp_path / "x", numbers(0, 1))
    with Store(pool) as store:
        store.fetch(path).wait()
        path.rename(tmp_path / "old")
        write(path, numbers(1, 1))
        with pytest.raises(ChangedError, match="evict that first"):
            store.load(path)
        pool.evict(str(path))
        assert_same(store.load(path).wait().tensors, numbers(1, 1))


def test_what_others_put_into_the_pool_is_taken_up(pool: Pool, folder: Path) -> None:
    with Store(pool) as other:
        other.fetch(folder).wait()
    with Store(pool) as store:
        loaded = store.load(folder).wait()
        assert set(loaded.bytes_from) == {"dram"}
        assert_same(loaded.tensors, numbers(0, 4.6))


def test_closing_cancels_what_is_under_way(pool: Pool, folder: Path) -> None:
    gate = Gate()
    with Store(pool, files=gate) as store:
        load = store.load(folder)
        gate.reached("model")
        load.cancel()
        gate.open("model")
    with pytest.raises(CancelledError):
        load.wait()
    with pytest.raises(StoreError, match="the store is closed"):
        store.load(folder)
    evict_all(pool)


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_changes_on_the_way_is_an_error(pool: Pool, tmp_path: Path, way: str) -> None:
    path = write(tmp_path / "model", numbers(0, 3))
    gate = Gate()
    with Store(pool, files=gate) as store:
        load = store.load(path, verify=False, **WAYS[way])
        gate.reached("model")
        with (path / "data-0.bin").open("r+b") as file:
            file.write(b"x")
        gate.open("model")
        with pytest.raises(ChangedError, match=r"data-0\.bin"):
            load.wait()
        evict_all(pool)


def test_a_flipped_bit_is_found_on_the_way_unless_it_is_not_looked_for(
    pool: Pool, folder: Path
) -> None:
    files = FaultyFiles(Faults(flip_at=2 * MIB + 77))
    with Store(pool, files=files) as store:
        with pytest.raises(CorruptError, match=rf"data-0\.bin at byte {2 * MIB}"):
            store.load(folder).wait()
        loaded = store.load(folder, verify=False).wait()
        assert any(
            raw(loaded.tensors[name]) != raw(tensor) for name, tensor in numbers(0, 4.6).items()
        )
        del loaded
        evict_all(pool)


FAULTS = st.one_of(
    st.builds(lambda at: Faults(read_error_at=at), st.integers(0, 5 * MIB)),
    st.builds(lambda at: Faults(ends_at=at), st.integers(0, 5 * MIB)),
    st.builds(lambda at: Faults(flip_at=at), st.integers(0, 5 * MIB)),
    st.builds(
        lambda sizes: Faults(short_reads_bytes=tuple(sizes)),
        st.lists(st.integers(1, 2 * MIB), max_size=12),
    ),
    st.builds(
        lambda reads: Faults(interrupted_reads=frozenset(reads)),
        st.sets(st.integers(0, 9), max_size=5),
    ),
    st.just(Faults(refuses_direct=True)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(faults=FAULTS, way=st.sampled_from(sorted(WAYS)))
def test_a_disk_that_fails_gives_the_right_data_or_one_typed_error(
    folder: Path, lasting: Pool, faults: Faults, way: str
) -> None:
    files = FaultyFiles(faults)
    with Store(lasting, files=files, ring_bytes=2 * MIB) as store:
        error = _loaded_right(store, folder, way)
        assert error is None or str(folder) in str(error)
        stays = error is None and way != "passing"
        assert lasting.names() == ((str(folder),) if stays else ())
        assert not files.open_descriptors
    evict_all(lasting)
    assert not store_threads()


def _loaded_right(store: Store, folder: Path, way: str) -> StoreError | None:
    """The typed error of a load; None where what it brought is right."""
    try:
        with store.load(folder, **WAYS[way]).wait() as loaded:
            assert_same(loaded.tensors, numbers(0, 4.6))
    except StoreError as error:
        return error.with_traceback(None)
    return None


def test_a_truncated_file_is_refused_with_its_name(pool: Pool, tmp_path: Path) -> None:
    path = write(tmp_path / "short", numbers(0, 1))
    with (path / "data-0.bin").open("r+b") as file:
        file.truncate(4096)
    with Store(pool) as store, pytest.raises(TruncatedError, match=r"data-0\.bin at byte 4096"):
        store.load(path)


def test_loads_to_reserved_memory_wait_for_room(pool: Pool, folder: Path) -> None:
    with closing(CpuDevice(6 * MIB)) as cpu, Store(pool, devices={"cpu": cpu}) as store:
        first = store.load(folder, copy=True).wait()
        with pytest.raises(StoreError, match="reserved memory is full"):
            store.load(folder, copy=True).wait()
        first.close()
        del first
        gc.collect()
        assert_same(store.load(folder, copy=True).wait().tensors, numbers(0, 4.6))
