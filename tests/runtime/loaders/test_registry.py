"""Every loader that is installed gives the tensors that were written, bit for bit."""

import importlib.util
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="loaders give torch tensors")
pytest.importorskip("safetensors", reason="the files are written with safetensors")

from runtime.bench.load.checkpoints import BASES  # noqa: E402
from runtime.bench.load.fingerprints import difference, fingerprint  # noqa: E402
from runtime.bench.load.making import make, weights  # noqa: E402
from runtime.bench.load.places import Place  # noqa: E402
from runtime.loaders.formats import Format, LoaderError  # noqa: E402
from runtime.loaders.peers import Peer  # noqa: E402
from runtime.loaders.registry import PEERS, loader, names  # noqa: E402

SMALL = BASES["5m"]


def installed(peer: Peer) -> bool:
    packages = {module.partition(".")[0] for module in peer.modules}
    return all(importlib.util.find_spec(package) is not None for package in packages)


HERE = [peer for peer in PEERS if installed(peer)]
FORMATS: tuple[Format, ...] = ("huggingface", "torch", "tensorizer", "flashpack")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    found = Place(tmp_path_factory.mktemp("loaders") / SMALL.name, "base")
    read = {form for peer in HERE for form in peer.formats()}
    make(SMALL, found, [form for form in FORMATS if form in read], seed=7)
    return found


@pytest.mark.parametrize("peer", HERE, ids=lambda peer: peer.name)
@pytest.mark.filterwarnings("ignore::Warning")  # what packages of others say is theirs
def test_a_loader_gives_what_was_written(peer: Peer, place: Place) -> None:
    assert peer.missing() is None
    expected = {name: fingerprint(one) for name, one in weights(SMALL, 7).items()}
    peer.prepare(SMALL.weight_bytes, device="cpu")
    for form in peer.formats():
        tensors = peer.load(place.path(form), device="cpu")
        assert difference(tensors, expected) is None
    peer.close()


def test_tensors_outlive_the_load_and_a_second_one(place: Place) -> None:
    expected = {name: fingerprint(one) for name, one in weights(SMALL, 7).items()}
    one = loader("safetensors")
    first = one.load(place.path("safetensors"), device="cpu")
    one.load(place.path("safetensors"), device="cpu")
    assert difference(first, expected) is None


def test_a_name_that_no_loader_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(LoaderError, match=r"loader 'gguf': expected one of .*safetensors"):
        loader("gguf")
    assert len(set(names())) == len(names())


def test_a_loader_whose_package_is_not_there_says_so() -> None:
    absent = Peer("absent", frozenset({"torch"}), ("no_such_package.deep",), lambda path, on: {})
    assert absent.missing() == "the package no_such_package is not installed"


def test_a_package_that_does_not_import_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "halfway_there.py").write_text("import what_it_needs_and_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    broken = Peer("broken", frozenset({"torch"}), ("halfway_there",), lambda path, on: {})
    reason = broken.missing()
    assert reason is not None
    assert reason.startswith("halfway_there does not import: No module named")
