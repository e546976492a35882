"""Files lie where the loaders of each format look for them."""

from pathlib import Path

from runtime.bench.load.places import Place, files_under


def test_every_format_has_a_place_and_safetensors_are_in_the_hugging_face_folder() -> None:
    place = Place(Path("/x"), "base")
    assert place.path("safetensors") == place.path("huggingface")
    assert place.weights == Path("/x/huggingface/model.safetensors")
    assert Place(Path("/x"), "adapter").weights.name == "adapter_model.safetensors"
    assert place.copy(0) == place.path("hotbed")
    assert len({place.copy(number) for number in range(4)}) == 4


def test_the_largest_file_comes_first(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b").write_bytes(b"123")
    found = files_under([tmp_path / "a", tmp_path / "in"])
    assert [one.name for one in found] == ["b", "a"]
