"""Runs on a Ray cluster: a real one, started here, of one worker."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hotbed.comparing.ray_cluster import RayCluster
from tests.hotbed.comparing.test_sweep import jobs, swept
from tests.hotbed.small import refused, written


def test_without_ray_the_command_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # what Python itself does for a missing module
    words = ["--policies", "static", "--ray", "local", "--out", str(tmp_path / "out")]
    message = refused("compare", written(tmp_path), *words)
    assert message == "hotbed compare: --ray: Ray is not installed here; pip install 'ray==2.60.0'"


needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed: pip install 'hotbed[ray]'"
)


@needs_ray
def test_an_address_where_nobody_answers_is_refused_in_one_line(tmp_path: Path) -> None:
    words = ["--policies", "static", "--ray", "127.0.0.1:1", "--out", str(tmp_path / "out")]
    message = refused("compare", written(tmp_path), *words)
    assert "--ray 127.0.0.1:1: no cluster answers there" in message


@needs_ray
@pytest.mark.filterwarnings("ignore")  # Ray's own, of Python and of the machine
def test_a_ray_cluster_makes_the_same_runs(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    alone, remote = jobs(here), jobs(there)
    swept(alone)
    done = swept(remote, RayCluster.at("local"))
    assert {job.name for job in done} == {job.name for job in remote}
    for one, other in zip(alone, remote, strict=True):
        assert one.result.read_bytes() == other.result.read_bytes()
        assert one.journal.exists() == other.journal.exists()
