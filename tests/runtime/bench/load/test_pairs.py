"""A ratio is to the two ceilings that were taken for the load, and to no others."""

from runtime.bench.load.pairs import paired_loads, paired_works
from tests.runtime.bench.load.made import ceiling, load, measured, work


def test_a_load_is_beside_the_mean_of_its_neighbours() -> None:
    rows = measured(
        ceilings=[
            ceiling(0, "disk", 9.0),
            ceiling(1, "disk", 3.0),
            ceiling(3, "disk", 5.0),
            ceiling(4, "disk", 9.0),
        ],
        loads=[load(2, "hotbed", 2.0)],
    )
    (found,) = paired_loads(rows)
    assert found.ceiling == 4.0
    assert found.gb_per_s == 2.0
    assert found.ratio == 0.5


def test_a_neighbour_of_another_kind_does_not_count() -> None:
    rows = measured(
        ceilings=[ceiling(0, "memcpy", 9.0), ceiling(2, "disk", 4.0)],
        loads=[load(1, "hotbed", 2.0)],
    )
    assert paired_loads(rows)[0].ratio == 0.5


def test_without_a_ceiling_there_is_a_rate_and_no_ratio() -> None:
    (found,) = paired_loads(measured(loads=[load(5, "hotbed", 2.0)]))
    assert found.ratio is None
    assert found.gb_per_s == 2.0


def test_an_import_is_beside_what_the_disk_writes() -> None:
    rows = measured(
        ceilings=[ceiling(0, "disk_write", 2.0), ceiling(2, "disk_write", 2.0)],
        works=[work(1, "import", 1.8)],
    )
    ratio = paired_works(rows)[0].ratio
    assert ratio is not None
    assert round(ratio, 6) == 0.9
