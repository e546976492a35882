"""A manifest is read as it was written, or refused."""

from pathlib import Path

import pytest

from runtime.bench.load.manifests import Manifest, read_manifest, write_manifest
from runtime.bench.load.places import Place
from runtime.store.errors import CorruptError


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    place = Place(tmp_path, "base")
    assert read_manifest(place) is None
    manifest = Manifest(3, ("torch",), 2, {"a": ["bfloat16", [2, 3], "xxh3_128:00"]})
    write_manifest(place, manifest)
    assert read_manifest(place) == manifest


def test_one_of_another_version_counts_as_none(tmp_path: Path) -> None:
    place = Place(tmp_path, "base")
    place.manifest.write_text('{"version": 0}')
    assert read_manifest(place) is None


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1}', "{"])
def test_what_is_no_manifest_is_refused_by_name(tmp_path: Path, text: str) -> None:
    place = Place(tmp_path, "base")
    place.manifest.write_text(text)
    with pytest.raises(CorruptError, match=r"manifest\.json: no manifest .*remove the folder"):
        read_manifest(place)
