"""Who is told the future, and that people are told of it."""

from pathlib import Path

from hotbed.oracles import told_the_future, warning
from policies.catalog import build
from policies.retention.foresight import Belady
from tests.hotbed.small import hotbed, written

BELADY = {"recipe": "serverlessllm", "retention": {"name": "belady"}}


def test_only_an_oracle_is_told_and_only_then_the_future_is_made() -> None:
    asked = []

    def future() -> list[object]:
        asked.append(True)
        return []

    told_the_future(build("serverlessllm"), future)  # type: ignore[arg-type]
    assert not asked
    told_the_future(build(BELADY), future)  # type: ignore[arg-type]
    assert asked
    assert hasattr(Belady, "reveal")


def test_a_report_says_which_of_its_policies_are_oracles(tmp_path: Path) -> None:
    assert warning([("static", {"recipe": "static"})]) == []
    (said,) = warning([("static", {"recipe": "static"}), ("best", BELADY)])
    assert said == "best is told the future: a bound, not a policy that could run."
    words = ["--policies", "static,retention.belady", "--seeds", "1", "--jobs", "1"]
    done = hotbed("compare", str(written(tmp_path)), *words, "--out", str(tmp_path / "out"))
    assert "retention.belady is told the future" in done.stdout
