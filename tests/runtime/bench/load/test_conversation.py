"""A measured process prepares, goes when told, and shows that the bits are right."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the measured process loads torch tensors")

from runtime.bench.load.checkpoints import BASES
from runtime.bench.load.conversation import Child, ChildError
from runtime.bench.load.making import make
from runtime.bench.load.places import Place
from runtime.bench.load.words import Asked

SMALL = BASES["5m"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    found = Place(tmp_path_factory.mktemp("child") / SMALL.name, "base")
    make(SMALL, found, ["torch"], seed=0)
    return found


def asked(place: Place, **changes: Any) -> Asked:
    usual = Asked(
        task="load",
        loader="torch",
        path=str(place.path("torch")),
        form="torch",
        device="cpu",
        weight_bytes=SMALL.weight_bytes,
        manifest=str(place.manifest),
    )
    return replace(usual, **changes)


def test_a_load_is_timed_and_its_bits_are_right(place: Place) -> None:
    with Child(asked(place, warm_up=str(place.path("torch")))) as child:
        child.prepare()
        outcome = child.go()
        assert child.check() is None
    assert outcome.used.seconds > 0
    assert outcome.used.cpu_s > 0
    assert [lap.seconds for lap in outcome.laps] == [None]


def test_other_bits_than_were_written_are_told(place: Place, tmp_path: Path) -> None:
    manifest = json.loads(place.manifest.read_text())
    manifest["tensors"]["model.norm.weight"][2] = "xxh3_128:0"
    other = tmp_path / "manifest.json"
    other.write_text(json.dumps(manifest))
    with Child(asked(place, manifest=str(other))) as child:
        child.prepare()
        child.go()
        assert child.check() == "tensor model.norm.weight is not what was written"


def test_a_process_that_fails_leaves_its_last_words(place: Place) -> None:
    with Child(asked(place, path=str(place.folder / "gone.pt"))) as child:
        child.prepare()
        with pytest.raises(ChildError, match=r"torch: .*gone\.pt: there is no such file"):
            child.go()


def test_a_process_is_gone_when_its_parent_stops_early(place: Place) -> None:
    child = Child(asked(place))

    def stopped() -> None:
        with child:
            child.prepare()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    with pytest.raises((ChildError, ValueError)):
        child.go()


def test_the_link_to_the_device_is_measured_in_the_process(place: Place) -> None:
    with Child(asked(place)) as child:
        child.prepare()
        size, seconds = child.link()
    assert size == SMALL.weight_bytes
    assert seconds > 0
