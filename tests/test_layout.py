"""The layout is the architecture: packages are this checkout's, and the README's tree is true."""

import ast
import importlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "fleet": "the kernel: the fleet and its controller; pure and synchronous",
    "policies": "the answers to its questions; a folder a question, a class an algorithm",
    "sim": "the simulated cluster",
    "traces": "workloads in, numbers and pictures out",
    "runtime": "what runs on real machines: the checkpoint store, loaders, benchmarks",
    "hotbed": "the command line; files and processes live here only",
}
WIDTH = 28
TREE = re.compile(r"(<!-- tree: .*? -->\n).*(<!-- /tree -->)", re.DOTALL)


@pytest.mark.parametrize("name", PACKAGES)
def test_the_package_is_the_one_in_this_checkout(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert Path(module.__file__).resolve().is_relative_to(ROOT / name)


def test_the_readmes_tree_is_what_the_modules_say_of_themselves() -> None:
    readme = ROOT / "README.md"
    text = readme.read_text()
    wanted = TREE.sub(lambda found: f"{found[1]}{tree()}{found[2]}", text)
    if os.environ.get("UPDATE"):
        readme.write_text(wanted)
    assert readme.read_text() == wanted, "run UPDATE=1 pytest tests/test_layout.py"


def tree() -> str:
    lines = ["```"]
    for package, what in PACKAGES.items():
        lines.append(f"{package + '/':<{WIDTH}}{what}")
        lines += folder(ROOT / package)
    return "\n".join((*lines, "```")) + "\n"


def folder(at: Path, indent: str = "  ") -> Iterator[str]:
    """Its modules, then its folders with theirs."""
    for path in sorted(at.glob("*.py")):
        if path.name != "__init__.py":
            yield entry(path, indent + path.name)
    for inner in sorted(path.parent for path in at.glob("*/__init__.py")):
        yield entry(inner / "__init__.py", f"{indent}{inner.name}/")
        yield from folder(inner, indent + "  ")


def entry(path: Path, name: str) -> str:
    """A line: the name, and what the file says of itself first."""
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, f"{path} says nothing of itself"
    return f"{name:<{WIDTH}}{docstring.splitlines()[0]}"
