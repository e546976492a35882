"""`hotbed models`, as a person meets it: words, tables, JSON and exit codes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hotbed.__main__ import app
from hotbed.models import command
from hotbed.models.tables import size
from tests.runtime.store.library import made


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOTBED_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return made.put(tmp_path / "tiny", made.model_files())


def run(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["models", *map(str, words)])
    assert result.exit_code == code, result.output
    return result


def test_a_model_is_imported_listed_verified_converted_and_removed(
    store: Path, model: Path, tmp_path: Path
) -> None:
    said = run("import", model).stdout
    assert said.startswith("tiny: base, 4 tensors, 12.3 kB, digest ")
    listed = run("list").stdout
    for word in ("tiny", "base", "12.3 kB", "float16", "digest", "date"):
        assert word in listed
    assert "every byte is what was written" in run("verify", "tiny", "--deep").stdout
    run("convert", "tiny", "--to", "safetensors", tmp_path / "back")
    run("import", tmp_path / "back", "--name", "org/again")
    facts = json.loads(run("list", "--json").stdout)
    assert facts["store"] == str(store)
    assert [one["name"] for one in facts["models"]] == ["org/again", "tiny"]
    assert len({one["digest"] for one in facts["models"]}) == 1
    assert run("rm", "tiny", "org/again", "--yes").stdout == "removed tiny\nremoved org/again\n"
    assert run("list").stdout == f"no models in {store}\n"
    assert list(store.iterdir()) == []


def test_the_same_values_under_another_name_are_said(store: Path, model: Path) -> None:
    run("import", model)
    words = run("import", model, "--name", "other").stdout
    assert "the same values are here as tiny; each keeps its own files" in words
    facts = json.loads(run("import", model, "--name", "third", "--json").stdout)
    assert facts["same_as"] == ["other", "tiny"]


def test_an_adapter_is_listed_with_its_rank_and_base_model(store: Path, tmp_path: Path) -> None:
    words = run("import", made.put(tmp_path / "sql", made.adapter_files())).stdout
    assert words.startswith("sql: adapter of rank 4, 2 tensors")
    listed = run("list").stdout
    assert "adapter r4" in listed
    assert "meta/tiny" in listed


def test_a_model_is_cut_and_put_together(store: Path, model: Path, tmp_path: Path) -> None:
    run("import", model, "--tensor-parallel", 2, "--name", "cut")
    run("convert", "cut", "--to", "safetensors", tmp_path / "whole")
    run("import", tmp_path / "whole", "--name", "whole")
    run("convert", model, "--to", "hotbed", tmp_path / "ours", "--tensor-parallel", 2)
    run("verify", tmp_path / "ours")
    facts = json.loads(run("list", "--json").stdout)["models"]
    assert [one["partitions"] for one in facts] == [2, 1]
    assert facts[0]["digest"] == facts[1]["digest"]


def test_faults_are_a_line_each_and_exit_code_1(store: Path, model: Path) -> None:
    run("import", model)
    data = store / "tiny/data-0.bin"
    raw = bytearray(data.read_bytes())
    raw[0] ^= 1
    data.write_bytes(raw)
    (store / "tiny/config.json").write_bytes(
        (store / "tiny/config.json").read_bytes().replace(b"l", b"L")
    )
    result = run("verify", "tiny", code=1)
    assert len(result.stderr.splitlines()) == 2
    assert f"{data} at byte 0: its checksum is not the index's" in result.stderr
    assert "2 faults" in result.stdout
    deep = json.loads(run("verify", "tiny", "--deep", "--json", code=1).stdout)
    assert any("tensor model." in fault for fault in deep["faults"])
    data.unlink()
    assert run("verify", "tiny", code=1).stderr.startswith(str(data))
    assert "broken" in run("list").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["import", "/no/such/place"], "no such file or folder"),
        (["import", "nonsense://host/m"], "nonsense"),
        (["import", "{model}", "--name", "../up"], "name '../up': expected NAME or ORG/NAME"),
        (["verify", "tinny"], "did you mean tiny?"),
        (["verify", "./none"], "./none: no such folder"),
        (["rm", "tinny", "--yes"], "did you mean tiny?"),
        (["rm", "tiny", "tinny", "--yes"], "did you mean tiny?"),
        (["rm", "tiny"], "nobody to ask: expected --yes"),
        (["import", "{model}"], "expected --replace, or another --name"),
        (["convert", "tiny", "--to", "safetensors", "{model}"], "is there already"),
        (["convert", "{model}", "--to", "safetensors", "/tmp/x"], "import or convert it first"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    words: list[str], said: str, store: Path, model: Path
) -> None:
    run("import", model)
    result = run(*(word.format(model=model) for word in words), code=2)
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(f"hotbed models {words[0]}: ")
    assert json.loads(run("list", "--json").stdout)["models"][0]["name"] == "tiny"


@pytest.mark.parametrize(("answer", "there"), [("y\n", False), ("n\n", True), ("\n", True)])
def test_rm_asks(
    answer: str, there: bool, store: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("import", model)
    monkeypatch.setattr(command, "_may_ask", lambda: True)
    result = CliRunner().invoke(app, ["models", "rm", "tiny"], input=answer)
    assert result.exit_code == 0
    assert "Remove tiny (12.3 kB)? [y/N]" in result.stderr
    assert (store / "tiny").exists() == there


def test_ctrl_c_is_said_and_leaves_nothing(
    store: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runtime.store.format.writing import write_checkpoint as write
    from runtime.store.library import importing

    def interrupted(*args: object, **words: object) -> object:
        def stop(done: int, total: int) -> None:
            raise KeyboardInterrupt

        return write(*args, **{**words, "progress": stop})  # type: ignore[arg-type]

    monkeypatch.setattr(importing, "write_checkpoint", interrupted)
    assert "stopped; nothing is left behind" in run("import", model, code=130).stderr
    assert list(store.iterdir()) == []


def test_what_is_unfinished_or_left_over_is_said_in_the_list(store: Path) -> None:
    made.put(store / ".fetching/org%far", {"model.safetensors": b"x" * 5000})
    made.put(store / ".m.1.partial", {"data-0.bin": b"x"})
    words = run("list").stdout
    assert "org/far: unfinished, 8.19 kB have come: import it again, or rm" in words
    assert ".m.1.partial: left by an import that was killed" in words


def test_another_store_is_named_by_an_option(store: Path, model: Path, tmp_path: Path) -> None:
    run("import", model, "--store", tmp_path / "elsewhere")
    assert "tiny" in run("list", "--store", tmp_path / "elsewhere").stdout
    assert not store.exists()


@pytest.mark.parametrize("word", ["import", "convert", "verify", "list", "rm"])
def test_help_has_an_example(word: str) -> None:
    assert f"hotbed models {word}" in run(word, "--help").stdout


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_600, "1 MB"),
        (1.5e9, "1.5 GB"),
        (123e9, "123 GB"),
    ],
)
def test_sizes_have_three_digits(count: float, shown: str) -> None:
    assert size(int(count)) == shown
