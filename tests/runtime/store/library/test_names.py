"""Names: what is allowed, what a source suggests, and what may have been meant."""

import pytest

from runtime.store.errors import StoreError
from runtime.store.library.names import check_name, name_of, near


@pytest.mark.parametrize("name", ["m", "org/m", "Llama-3.1_8B", "_x", "a" * 96, "1/2"])
def test_names_of_one_and_two_segments_are_allowed(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "/", "a/", "/a", "a/b/c", ".a", "a/.b", "..", "a\nb", "a%b", "a\0", "a" * 97, "m\n"],
)
def test_other_names_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(StoreError, match="expected NAME or ORG/NAME"):
        check_name(name)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/models/tiny", "tiny"),
        ("/models/tiny/", "tiny"),
        ("/models/tiny.safetensors", "tiny"),
        ("/models/tiny/model.safetensors", "tiny"),
        ("/models/sql/adapter_model.safetensors", "sql"),
        ("/cache/models--meta--llama-3/snapshots/0123abc", "meta/llama-3"),
        ("https://host/path/tiny?key=1", "tiny"),
        ("https://host/tiny/model.safetensors", "tiny"),
        ("https://huggingface.co/meta/llama-3/resolve/main", "meta/llama-3"),
        ("s3://bucket/models/tiny", "tiny"),
    ],
)
def test_the_name_that_a_source_suggests(source: str, name: str) -> None:
    assert name_of(source) == name


@pytest.mark.parametrize("source", ["/", "https://host/", "/models/a b"])
def test_a_source_that_suggests_no_name(source: str) -> None:
    with pytest.raises(StoreError, match="suggests no name that is allowed: give one by --name"):
        name_of(source)


def test_near_misses_come_first() -> None:
    known = ["meta/llama-3.1-8b", "qwen/qwen3-8b", "sql"]
    assert near("meta/llama-3-8b", known) == "did you mean meta/llama-3.1-8b?"
    assert near("SQL", known) == "did you mean sql?"
    assert near("qwen3-8b", known).startswith("did you mean qwen/qwen3-8b")
    assert near("zzz", known) == "there are meta/llama-3.1-8b, qwen/qwen3-8b, sql"
    assert near("zzz", []) == "there are none"
