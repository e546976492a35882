"""`examples/add_a_policy.py` runs as it stands, and its class works from an installed package."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from policies.catalog import build, describe

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "add_a_policy.py"


def lines_of_code(text: str) -> int:
    """Lines with code on them: no docstring, no comment, and the scenario's text counts as one."""
    texts = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.end_lineno
        for line in range(node.lineno + 1, node.end_lineno + 1)
    }
    lines = enumerate(text.splitlines(), 1)
    kept = [line.strip() for number, line in lines if number not in texts]
    return sum(bool(line) and not line.startswith(("#", '"""')) for line in kept)


def test_it_is_25_lines_of_code() -> None:
    assert lines_of_code(EXAMPLE.read_text()) <= 25


def test_it_comes_out_as_expected_when_it_is_run() -> None:
    """Fewer card-seconds for a slightly later first token. `UPDATE=1` rewrites the file beside."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(EXAMPLE)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = f"$ python examples/add_a_policy.py\n{done.stdout}"
    expected = EXAMPLE.with_suffix(".out")
    if os.environ.get("UPDATE"):
        expected.write_text(said)
    assert said == expected.read_text(), "UPDATE=1 rewrites it"
    least_loaded, pack = (
        float(line.split()[-2].replace(",", "")) for line in done.stdout.splitlines()
    )
    assert pack < 0.9 * least_loaded


def test_the_same_class_has_a_short_name_once_its_package_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an installer leaves in site-packages: the module, and its distribution's metadata."""
    (tmp_path / "packing.py").write_text(EXAMPLE.read_text())
    about = tmp_path / "packing-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: packing\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[hotbed.policies]\npack = packing:Pack\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        policy = build({"routing": {"name": "pack", "spare": 2}})
        assert type(policy.routing).__name__ == "Pack"
        told = describe(policy)
        assert told["routing"] == {"name": "packing:Pack", "spare": 2}
        assert build(told) == policy
    finally:
        sys.modules.pop("packing", None)
