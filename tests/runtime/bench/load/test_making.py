"""Files are written once, in each format, and known by the bits of every tensor."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="weights are torch tensors")
pytest.importorskip("safetensors", reason="the files are written with safetensors")

from runtime.bench.load.checkpoints import BASES, adapter  # noqa: E402
from runtime.bench.load.making import make, weights  # noqa: E402
from runtime.bench.load.manifests import read_manifest  # noqa: E402
from runtime.bench.load.places import Place  # noqa: E402

SMALL = adapter(2, BASES["5m"].shape)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / SMALL.name, "adapter")


def test_weights_are_finite_and_look_random() -> None:
    tensors = weights(BASES["5m"], 0)
    assert {name: tuple(one.shape) for name, one in tensors.items()} == dict(BASES["5m"].tensors())
    embedding = tensors["model.embed_tokens.weight"]
    assert embedding.dtype == torch.bfloat16
    assert bool(embedding.isfinite().all())
    assert (
        len(set(embedding.view(torch.int16).flatten().tolist())) == 512
    )  # two signs, a bit and seven of them


def test_the_same_seed_gives_the_same_weights_and_another_gives_others() -> None:
    name = "model.norm.weight"
    assert torch.equal(weights(BASES["5m"], 1)[name], weights(BASES["5m"], 1)[name])
    assert not torch.equal(weights(BASES["5m"], 1)[name], weights(BASES["5m"], 2)[name])


def test_a_format_that_is_there_is_not_written_again(place: Place) -> None:
    make(SMALL, place, ["huggingface"], seed=0)
    before = place.weights.stat().st_mtime_ns
    said: list[str] = []
    make(SMALL, place, ["huggingface", "torch"], seed=0, say=said.append)
    assert place.weights.stat().st_mtime_ns == before
    assert said == ["weights", "torch", "disk"]
    manifest = read_manifest(place)
    assert manifest is not None
    assert manifest.formats == ("huggingface", "torch")


def test_files_of_another_seed_are_written_anew(place: Place) -> None:
    make(SMALL, place, ["huggingface", "torch"], seed=0)
    first = read_manifest(place)
    make(SMALL, place, ["huggingface"], seed=1)
    second = read_manifest(place)
    assert first is not None
    assert second is not None
    assert first.tensors != second.tensors
    assert second.formats == ("huggingface",)


def test_a_half_written_format_is_not_in_the_manifest(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(SMALL, place, ["huggingface"], seed=0)

    def full(*what: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        make(SMALL, place, ["torch"], seed=0)
    manifest = read_manifest(place)
    assert manifest is not None
    assert manifest.formats == ("huggingface",)
