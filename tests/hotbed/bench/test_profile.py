import cProfile
import json

import pytest

from fleet.holders import Flight
from hotbed.bench.profile import module_of, module_shares, shares
from sim import kv


def test_shares_add_up_and_charge_built_ins_to_their_callers() -> None:
    profile = cProfile.Profile()
    phases = kv.Phases(1024)
    profile.enable()
    for iteration in range(2_000):
        phases.blocks(10, iteration)  # all its time is in built-in functions
    profile.disable()
    found = shares(profile)
    assert sum(found.values()) == pytest.approx(1, abs=0.001)
    assert next(iter(found)) == "sim.kv"
    assert found["sim.kv"] > 0.9


def test_time_of_a_library_goes_to_the_module_that_called_it() -> None:
    engine, library = (kv.__file__, 1, "blocks"), ("/usr/lib/python/json.py", 9, "loads")
    stats = {
        engine: (1, 1, 2.0, 5.0, {}),
        library: (4, 4, 3.0, 3.0, {engine: (1, 1, 1.0, 1.0), ("~", 0, "<x>"): (3, 3, 2.0, 2.0)}),
    }
    assert module_shares(stats) == {"sim.kv": 0.6, "other libraries": 0.4}


def test_only_the_projects_files_have_a_module() -> None:
    assert module_of((json.__file__, 1, "loads")) is None
    assert module_of(("~", 0, "<built-in method len>")) is None
    assert module_of((Flight.__init__.__code__.co_filename, 1, "__init__")) == "fleet.holders"
