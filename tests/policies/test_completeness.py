"""What every catalogued policy owes: a source, a case worked out by hand, a gain and a loss.

The tests are found by name: `test_<name>_by_hand_...`, `test_<name>_gains_...` and
`test_<name>_loses_...` under the folder of the policy's question.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from policies.library import CATALOG

HERE = Path(__file__).parent
#: What the others are measured against, and what is only made of others.
SIMPLEST = {
    ("admission", "admit_all"),
    ("ordering", "fcfs"),
    ("arbitration", "longest_waiting"),
    ("routing", "least_loaded"),
    ("scaling", "per_queue"),
    ("scaling", "fixed"),
    ("placement", "random"),
    ("room", "none"),
    ("retention", "lru"),
    ("retention", "nothing"),
    ("keep_alive", "fixed"),
    ("estimation", "slowest_hop"),
}
MADE_OF_OTHERS = {("admission", "gate"), ("scaling", "bounded"), ("room", "cheapest")}
FAMILIES = 9
FEWEST = 40
RULES = sorted(
    (question, name)
    for question, named in CATALOG.items()
    for name in named
    if (question, name) not in SIMPLEST | MADE_OF_OTHERS
)


def test_names(question: str) -> set[str]:
    """Of the test functions in the folder of a question; arbitration lives with ordering."""
    folder = HERE / ("ordering" if question == "arbitration" else question)
    return {name for path in folder.glob("test_*.py") for name in functions(path)}


test_names.__test__ = False  # type: ignore[attr-defined]


def functions(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name


def test_there_are_forty_rules_over_nine_families() -> None:
    assert len(RULES) >= FEWEST
    assert len({question for question, _ in RULES}) >= FAMILIES


@pytest.mark.parametrize("what", ["by_hand", "gains", "loses"])
@pytest.mark.parametrize(("question", "name"), RULES)
def test_every_rule_has_its_tests(question: str, name: str, what: str) -> None:
    assert any(t.startswith(f"test_{name}_{what}") for t in test_names(question))


@pytest.mark.parametrize(
    ("question", "name"), [(q, n) for q, named in CATALOG.items() for n in named]
)
def test_every_policy_names_its_source(question: str, name: str) -> None:
    assert getattr(CATALOG[question][name], "source", ""), "say who published or released it"
