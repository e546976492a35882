"""The examples run, at reduced size, and come out as `examples/*.out` says.

`UPDATE=1 pytest tests/hotbed/test_examples.py` rewrites those files: read the difference before
it is committed.
"""

import os
from pathlib import Path

import pytest

from hotbed.scenarios import choices, load
from hotbed.workloads import DATA_VARIABLE
from tests.hotbed.small import hotbed

EXAMPLES = Path(__file__).parents[2] / "examples"
REDUCED = {"tour": 300, "osdi24": 200, "gentd26": 300, "library": 200, "weka": 100}  # requests
NEED_DATA = {"gentd26", "weka"}


def test_every_example_is_executed_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == set(REDUCED)


@pytest.mark.parametrize("name", sorted(REDUCED))
def test_an_example_comes_out_as_expected(name: str) -> None:
    if name in NEED_DATA and not os.environ.get(DATA_VARIABLE):
        pytest.skip(f"{DATA_VARIABLE} is not set: the trace of {name} is not here")
    limit = f"workload.limit={REDUCED[name]}"
    result = hotbed("simulate", EXAMPLES / f"{name}.yaml", "--set", limit)
    assert result.exit_code == 0, result.output
    typed = f"$ hotbed simulate examples/{name}.yaml --set {limit}\n"
    said = typed + "".join(f"{line.rstrip()}\n" for line in result.stdout.splitlines())
    expected = EXAMPLES / f"{name}.out"
    if os.environ.get("UPDATE"):
        expected.write_text(said)
    assert said == expected.read_text(), "UPDATE=1 rewrites it"


@pytest.mark.parametrize("name", sorted(REDUCED))
def test_an_example_gives_its_policies_names(name: str) -> None:
    loaded = load(EXAMPLES / f"{name}.yaml")
    chosen = choices(loaded, ",".join(loaded.scenario.grid.policies or ()) or None)
    systems = [one for one in chosen if "." not in one.name]  # others are single answers
    assert len(systems) >= 4
    assert len({str(one.resolved) + str(one.residency) for one in systems}) == len(systems)
