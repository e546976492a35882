"""A record goes on from where it was left, and is never taken for another machine's."""

import json
from pathlib import Path

import pytest

from runtime.bench.gpu.record import LIMIT_BYTES, Record
from runtime.store.errors import StoreError

ABOUT: dict[str, object] = {"device": "cpu", "scale": "tiny"}


def test_a_record_goes_on_from_where_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    Record.begin(path, ABOUT).put("links", result={"bytes": 1}, seconds=0.5)
    again = Record.begin(path, ABOUT)
    assert again.done("links")
    assert not again.done("loads")
    again.put("loads", error="OSError: no disk")
    assert json.loads(path.read_text())["stages"] == {
        "links": {"result": {"bytes": 1}, "seconds": 0.5},
        "loads": {"error": "OSError: no disk"},
    }
    assert not Record.begin(path, ABOUT).done("loads")


@pytest.mark.parametrize(
    ("about", "said"),
    [({"device": "cuda", "scale": "tiny"}, "device 'cpu'"), ({**ABOUT, "scale": "full"}, "scale")],
)
def test_the_record_of_another_device_or_scale_is_refused(
    tmp_path: Path, about: dict[str, object], said: str
) -> None:
    path = tmp_path / "record.json"
    Record.begin(path, ABOUT).put("links", result={}, seconds=0.0)
    with pytest.raises(StoreError, match=said):
        Record.begin(path, about)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "other"}', "{"])
def test_a_file_that_is_no_record_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(StoreError, match="record"):
        Record.begin(path, ABOUT)
    assert path.read_text() == text


def test_a_record_over_the_limit_is_refused_and_the_last_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    record = Record.begin(path, ABOUT)
    record.put("small", result={})
    before = path.read_bytes()
    with pytest.raises(StoreError, match="over 1 MiB"):
        record.put("large", result={"text": "x" * LIMIT_BYTES})
    assert path.read_bytes() == before
