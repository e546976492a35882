"""Ratios are worked out from rows by hand-made numbers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from runtime.bench.load.figures import figures, wrong_loaders
from runtime.bench.measurements import CeilingRow, LoadRow, Measurements, What
from tests.runtime.bench.load.made import GB, ceiling, load, measured, work


def interleaved(
    loads: Sequence[LoadRow], what: What = "disk", each: float = 3.0
) -> tuple[list[LoadRow], list[CeilingRow]]:
    """Each load between two ceilings of the same rate, in rounds of their own."""
    rows = [replace(row, order=3 * number + 1) for number, row in enumerate(loads)]
    ceilings = [
        ceiling(order, what, each)
        for number in range(len(loads))
        for order in (3 * number, 3 * number + 2)
    ]
    return rows, ceilings


def cold(*loads: LoadRow) -> Any:
    rows, ceilings = interleaved(loads)
    found: Any = figures(measured(loads=rows, ceilings=ceilings))
    return found


def test_the_headline_is_the_median_of_the_ratios_and_best_is_the_most() -> None:
    rates = {"hotbed": (2.7, 3.0, 2.4), "runai": (0.6, 2.4, 0.3), "safetensors": (0.9, 0.9, 0.9)}
    found = cold(*(load(0, name, rate) for name, each in rates.items() for rate in each))["cold"]
    assert found["hotbed_over_disk_ceiling"] == pytest.approx(0.9)
    assert found["peers_over_disk_ceiling"]["runai"] == pytest.approx(0.2)
    assert found["peers_best_over_disk_ceiling"]["runai"] == pytest.approx(0.8)
    assert found["hotbed_over_safetensors"] == pytest.approx(3.0)
    assert "hotbed" not in found["peers_over_disk_ceiling"]
    assert "hotbed_over_from_pretrained" not in found


def test_it_says_where_several_times_holds_and_where_it_does_not() -> None:
    found = cold(load(0, "hotbed", 3.0), load(0, "torch", 0.5), load(0, "from_pretrained", 1.0))[
        "cold"
    ]
    assert found["several_times_as_fast_as"] == {
        "holds": {"torch": pytest.approx(6.0)},
        "does_not": {"from_pretrained": pytest.approx(3.0)},
    }
    assert found["hotbed_over_from_pretrained"] == pytest.approx(3.0)


def test_rates_and_cpu_time_are_given_for_each_checkpoint() -> None:
    row = replace(load(0, "hotbed", 2.0), bytes=1 << 30, cpu_s=0.05)
    facts = cold(row, replace(row, checkpoint="other"))["cold"]["by_checkpoint"]
    assert set(facts) == {"base", "other"}
    assert facts["base"]["hotbed"]["cpu_s_per_gib"] == pytest.approx(0.05)
    assert facts["base"]["hotbed"]["rounds"] == 1


def test_what_gave_wrong_bytes_counts_nowhere_and_is_named() -> None:
    rows, ceilings = interleaved([load(0, "hotbed", 3.0), load(0, "torch", 9.0)])
    rows[1] = replace(rows[1], identical=False)
    rows_of = measured(loads=rows, ceilings=ceilings)
    found: Any = figures(rows_of)
    assert found["cold"]["peers_over_disk_ceiling"] == {}
    assert wrong_loaders(rows_of) == ["torch"]


def test_loads_at_the_same_time_are_added_up_and_kept_from_the_headline() -> None:
    pair = [replace(load(1, "hotbed", 1.4), concurrent=2) for _ in range(2)]
    rows = measured(loads=pair, ceilings=[ceiling(0, "disk", 2.8), ceiling(2, "disk", 2.8)])
    found: Any = figures(rows)
    assert found["together"]["2"]["gb_per_s"] == pytest.approx(2.8)
    assert found["together"]["2"]["over_disk_ceiling"] == pytest.approx(1.0)
    assert "cold" not in found


def adapter_rows() -> Measurements:
    small = replace(
        load(0, "hotbed_views", 1.0, "dram"), kind="adapter", rank=16, checkpoint="lora", bytes=GB
    )
    rows, ceilings = interleaved(
        [replace(small, seconds=0.001), replace(small, loader="hotbed", seconds=0.125)],
        "memcpy",
        10.0,
    )
    attach = replace(work(7, "attach", 8.0), checkpoint="lora", rank=16)
    more = [ceiling(6, "memcpy", 10.0), ceiling(8, "memcpy", 10.0)]
    return measured(loads=rows, ceilings=[*ceilings, *more], works=[attach])


def test_an_adapter_has_its_times_from_the_pool_and_its_ratio_to_a_copy() -> None:
    found: Any = figures(adapter_rows())
    facts = found["adapter"]["lora"]
    assert facts["rank"] == 16
    assert facts["pool_to_tensors_ms"] == pytest.approx(1.0)
    assert facts["pool_to_device_over_link"] == pytest.approx(0.8)
    assert facts["attach_ms"] == pytest.approx(125.0)
    assert facts["attach_over_link"] == pytest.approx(0.8)
    assert "pool_to_device" not in found  # that is the base models'


def test_the_pool_is_compared_with_memcpy_and_an_import_with_writing() -> None:
    rows, ceilings = interleaved([load(0, "hotbed", 9.0, "dram")], "memcpy", 10.0)
    ceilings += [ceiling(10, "disk_write", 2.0), ceiling(12, "disk_write", 2.0)]
    works = [work(11, "import", 1.8), work(20, "pool", 12.0)]
    found: Any = figures(measured(loads=rows, ceilings=ceilings, works=works))
    assert found["pool_to_device"]["hotbed_over_memcpy"] == pytest.approx(0.9)
    assert found["import"] == {
        "over_disk_write": pytest.approx(0.9),
        "gb_per_s": pytest.approx(1.8),
    }
    assert found["pool_creation_gb_per_s"] == pytest.approx(12.0)
    assert found["ceilings_gb_per_s"]["memcpy"] == pytest.approx(10.0)


def test_nothing_measured_is_no_error() -> None:
    found: Any = figures(measured())
    assert set(found) == {"machine", "seed", "missing"}
    assert found["missing"] == {"runai": "absent"}
