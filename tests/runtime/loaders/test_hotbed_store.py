"""The store as a loader: memory of its own, a second load from the pool, room for the next."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the store gives torch tensors")
pytest.importorskip("safetensors", reason="checkpoints are converted from safetensors")

from runtime.bench.load.checkpoints import BASES  # noqa: E402
from runtime.bench.load.fingerprints import difference  # noqa: E402
from runtime.bench.load.making import make  # noqa: E402
from runtime.bench.load.manifests import read_manifest  # noqa: E402
from runtime.bench.load.places import Place  # noqa: E402
from runtime.loaders.formats import LoaderError  # noqa: E402
from runtime.loaders.hotbed_store import SPARE_BYTES  # noqa: E402
from runtime.loaders.registry import OURS  # noqa: E402

SMALL = BASES["5m"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    found = Place(tmp_path_factory.mktemp("store") / SMALL.name, "base")
    make(SMALL, found, ["huggingface", "hotbed"], seed=7, copies=1)
    return found


@pytest.mark.parametrize("name", OURS)
def test_tensors_are_what_was_written(place: Place, name: str) -> None:
    manifest = read_manifest(place)
    assert manifest is not None
    loader = OURS[name]()
    assert loader.missing() is None
    loader.prepare(SMALL.weight_bytes, device="cpu")
    try:
        for form in loader.formats():
            tensors = loader.load(place.path(form), device="cpu")
            assert difference(tensors, manifest.tensors) is None
            assert "views" in loader.phases()
        del tensors
    finally:
        loader.close()


def test_what_nobody_uses_makes_room_and_what_is_used_does_not(place: Place) -> None:
    loader = OURS["hotbed"]()
    loader.prepare(SMALL.weight_bytes + (4 << 20) - SPARE_BYTES, device="cpu")
    try:
        first = loader.load(place.copy(0), device="cpu")
        with pytest.raises(ValueError, match="not in use"):
            loader.load(place.copy(1), device="cpu")
        del first
        loader.load(place.copy(1), device="cpu")
    finally:
        loader.close()


def test_without_a_pool_there_is_no_load() -> None:
    with pytest.raises(LoaderError, match="hotbed: prepare it"):
        OURS["hotbed"]().load(Path("/nowhere"), device="cpu")
