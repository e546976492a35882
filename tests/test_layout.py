"""The packages have common names: each must be the one in this checkout."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", ["fleet", "policies", "sim", "traces", "hotbed"])
def test_the_package_is_the_one_in_this_checkout(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert Path(module.__file__).resolve().is_relative_to(ROOT / name)


def test_the_readme_names_every_package_and_its_modules() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in ("fleet", "policies", "sim", "traces", "hotbed"):
        for path in sorted((ROOT / name).rglob("*.py")):
            if path.name != "__init__.py":
                assert path.name in readme, f"README.md has no line for {path.relative_to(ROOT)}"
