"""Names that lead out of this package."""

from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from policies import foreign
from policies.catalog import build, describe
from tests.policies import own


def test_a_path_finds_the_class_and_the_class_tells_its_path() -> None:
    assert foreign.find("tests.policies.own:Nothing") is own.Nothing
    assert foreign.path(own.Nothing) == "tests.policies.own:Nothing"


def test_a_plain_name_that_no_package_offers_is_not_found() -> None:
    assert foreign.find("nobody_offers_this") is None


def test_an_entry_point_of_an_installed_package_is_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The distribution that would offer it cannot be installed for one test; its table can."""
    point = EntryPoint("short_prompts", "tests.policies.own:NoLongPrompts", foreign.GROUP)

    def offered(**chosen: Any) -> EntryPoints:
        return EntryPoints([point]).select(**chosen)

    monkeypatch.setattr(foreign, "entry_points", offered)
    policy = build({"admission": {"name": "short_prompts", "most_tokens": 7}})
    assert policy.admission == own.NoLongPrompts(7)
    assert describe(policy)["admission"]["name"] == "tests.policies.own:NoLongPrompts"


@pytest.mark.parametrize("name", ["tests.policies.own:Gone", "gone:Gone", ":", "a:", ":b"])
def test_a_path_that_leads_nowhere_says_so_in_one_line(name: str) -> None:
    with pytest.raises(foreign.ForeignError) as caught:
        foreign.find(name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
