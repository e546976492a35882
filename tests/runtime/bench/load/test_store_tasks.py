"""The store's own tasks run in a process that is measured, and their bits are right."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the store gives torch tensors")
pytest.importorskip("safetensors", reason="checkpoints are converted from safetensors")

from runtime.bench.load.checkpoints import BASES, adapter
from runtime.bench.load.child import TASKS, task_of
from runtime.bench.load.making import make
from runtime.bench.load.manifests import Manifest, read_manifest
from runtime.bench.load.places import Place
from runtime.bench.load.words import Asked, TaskName
from runtime.loaders.formats import Format

SMALL = adapter(2, BASES["5m"].shape)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    found = Place(tmp_path_factory.mktemp("tasks") / SMALL.name, "adapter")
    make(SMALL, found, ["huggingface", "hotbed"], seed=0, copies=2)
    return found


def manifest_of(place: Place) -> Manifest:
    found = read_manifest(place)
    assert found is not None
    return found


def asked(place: Place, task: TaskName) -> Asked:
    form: Format = "safetensors" if task == "import" else "hotbed"
    return Asked(
        task=task,
        loader="hotbed",
        path=str(place.path(form)),
        form=form,
        device="cpu",
        weight_bytes=SMALL.weight_bytes,
        manifest=str(place.manifest),
        copies=tuple(str(place.copy(number)) for number in range(3)),
        warm_up=str(place.path(form)) if task == "import" else None,
        rank=SMALL.rank,
        target=str(place.folder / "imported"),
    )


@pytest.mark.parametrize("name", [one for one in TASKS if one != "load"])
def test_a_task_does_its_work_and_leaves_nothing(place: Place, name: TaskName) -> None:
    task = task_of(asked(place, name))
    try:
        task.prepare()
        laps = task.run()
        assert task.wrong(manifest_of(place).tensors) is None
    finally:
        task.close()
    assert len(laps) == (3 if name == "together" else 1)
    assert not Path(asked(place, name).target or "").exists()


@pytest.mark.parametrize("name", ["pool", "views", "together", "attach", "import"])
def test_other_bits_than_were_written_are_told(place: Place, name: TaskName) -> None:
    expected = dict(manifest_of(place).tensors)
    first = next(iter(expected))
    expected[first] = [*expected[first][:2], "xxh3_128:0"]
    task = task_of(asked(place, name))
    try:
        task.prepare()
        task.run()
        assert task.wrong(expected) == f"tensor {first} is not what was written"
    finally:
        task.close()


def test_loads_at_once_have_their_own_times_and_one_that_fails_is_told(place: Place) -> None:
    words = asked(place, "together")
    task = task_of(words)
    task.prepare()
    assert all(lap.seconds is not None and lap.seconds > 0 for lap in task.run())
    task.close()
    task = task_of(replace(words, copies=(*words.copies, str(place.folder / "gone"))))
    task.prepare()
    with pytest.raises(ValueError, match="gone"):
        task.run()
    task.close()
