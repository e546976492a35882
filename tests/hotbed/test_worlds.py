"""The world that a journal's header tells of, and what is said where it tells of none."""

from pathlib import Path

import msgspec
import pytest

from fleet.journal import Header
from hotbed.asking.recorded import header_of
from hotbed.worlds import WorldError, world_of
from tests.hotbed.small import SMALL, hotbed, written
from traces.summary import Slo

SCENARIO = SMALL + "faults: {slow_load_probability: 0.3}\nwarm_pool: true\nuntil: 50s\n"
HERE = Path("run.jsonl")


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> Header:
    folder = tmp_path_factory.mktemp("worlds")
    path = folder / "run.jsonl"
    assert hotbed("simulate", written(folder, SCENARIO), "--journal", path).exit_code == 0
    return header_of(path)


def test_faults_objectives_and_the_end_are_those_of_the_run(header: Header) -> None:
    known = world_of(header, HERE)
    assert known.world.faults.slow_load_probability == 0.3
    assert known.world.preserved == ("pool",)
    assert (known.world.seed, known.until) == (header.setup.seed, 50.0)
    assert known.seeded(9).seed == 9
    assert known.slo == Slo(5.0, 0.2)
    solo = next(model.id for model in header.setup.models if model.name == "solo")
    assert known.own_slo == {int(solo): Slo(60.0, 0.2)}


def test_an_objective_of_a_group_is_of_each_of_its_models(header: Header) -> None:
    world = {**header.world, "scenario": {**header.world["scenario"]}}
    world["scenario"]["slo"] = {"ttft": 5.0, "tpot": 0.2, "models": {"opt": {"ttft": 1.0}}}
    known = world_of(msgspec.structs.replace(header, world=world), HERE)
    names = {int(model.id): model.name for model in header.setup.models}
    assert sorted(names[model] for model in known.own_slo) == ["opt-00", "opt-01"]


def test_a_header_without_a_scenario_is_refused_unless_one_is_named(
    header: Header, tmp_path: Path
) -> None:
    bare = msgspec.structs.replace(header, world={})
    with pytest.raises(WorldError, match="does not say in which world"):
        world_of(bare, HERE)
    known = world_of(bare, HERE, written(tmp_path, SCENARIO))
    assert known.world == world_of(header, HERE).world
    assert known.folder == tmp_path


def test_a_kind_of_node_without_a_profile_is_named(header: Header, tmp_path: Path) -> None:
    other = written(tmp_path, SMALL.replace("osdi24-a40", "osdi24-a5000"))
    with pytest.raises(WorldError, match=r"node 'a40-0' is a 'A40', which .* does not have"):
        world_of(header, HERE, other)
