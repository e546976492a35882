"""`hotbed capacity`: probes are runs that are kept, paired by seed."""

import json
from pathlib import Path

import pytest
from typer.testing import Result

from tests.hotbed.small import hotbed, refused, written

SHORT = ["--set", "workload.params.span_s=20", "--set", "slo.ttft=25s", "--jobs", "1"]


def searched(folder: Path, *words: str) -> Result:
    given = ["--policies", "serverlessllm,static", "--seeds", "2", "--tolerance", "0.5", *words]
    return hotbed("capacity", written(folder), *SHORT, *given, "--out", folder / "out")


def test_capacities_are_bracketed_and_their_probes_are_kept_and_used_again(tmp_path: Path) -> None:
    result = searched(tmp_path, "--target", "0.8")
    assert result.exit_code == 0, result.output
    assert "the largest load at which 80 % have TTFT <= 25 s" in result.stdout
    assert "2 seeds are too few for intervals" in result.stdout
    data = json.loads((tmp_path / "out" / "capacity.json").read_bytes())
    assert data["attainment"] == "objective.ttft_attainment"
    assert data["resolved"]["seeds"] == [3, 4]
    for own in data["policies"].values():
        low, high = own["bracket"]
        assert high <= 1.51 * low
        assert low <= own["load"]["estimate"] <= high
        assert own["rate_rps"] == pytest.approx(own["load"]["estimate"])
        assert all(len(probe["attainment"]) == 2 for probe in own["probes"])
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "runs").rglob("*.json")}
    assert made
    again = searched(tmp_path, "--target", "0.8", "--json")
    assert made == {path: path.stat().st_mtime_ns for path in made}
    assert json.loads(again.stdout)["policies"] == data["policies"]
    for name in ("png", "svg"):
        assert (tmp_path / "out" / "plots" / f"capacity.{name}").exists()


def test_a_load_is_not_lowered_to_where_one_miss_is_more_than_the_target_allows(
    tmp_path: Path,
) -> None:
    """With some 20 requests at load 1 a single miss is already 5 %."""
    words = ["--policies", "static", "--seeds", "1", "--slo", "tpot", "--set", "slo.tpot=1us"]
    result = hotbed("capacity", written(tmp_path), *SHORT, *words, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "missed even at 1, the least that was tried: 0.0 % met it" in result.stdout
    data = json.loads((tmp_path / "out" / "capacity.json").read_bytes())
    assert data["policies"]["static"]["load"] is None
    assert [probe["load"] for probe in data["policies"]["static"]["probes"]] == [1.0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--target", "1.5"], "target is 1.5"),
        (["--tolerance", "0"], "tolerance is 0"),
        (["--policies", "serverlesslm"], "did you mean 'serverlessllm'"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, words: list[str], says: str) -> None:
    given = ["--out", str(tmp_path / "out"), *words]
    assert says in refused("capacity", written(tmp_path), *given)
    assert not (tmp_path / "out").exists()
