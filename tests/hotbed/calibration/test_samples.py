"""Which measured loads a fit takes, and what it says of those it does not."""

from dataclasses import replace

import pytest

from hotbed.calibration.samples import taken
from runtime.bench.measurements import CeilingRow
from sim.calibration.samples import CalibrationError, Sample
from tests.hotbed.calibration.measured import load, measurements, rows

ONE = Sample("ssd", "m", 100, 1.0)


def test_loads_of_one_order_are_beside_each_other() -> None:
    three = [
        Sample("ssd", "m", size, 1.0, tuple({100, 200, 300} - {size})) for size in (100, 200, 300)
    ]
    found = taken(measurements(*rows(*three, ONE)), "hotbed").samples
    loads = [one for one in found if one.hop == "ssd"]
    assert [one.nbytes for one in loads] == [100, 200, 300, 100]
    assert [sorted(one.beside) for one in loads] == [[200, 300], [100, 300], [100, 200], []]


def test_attaches_come_from_the_other_work() -> None:
    found = taken(measurements(load(0, ONE)), "hotbed").samples
    assert [one.hop for one in found] == ["ssd"] + ["attach"] * 9


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"hop": "page_cache"}, "from the page cache, which the simulator has not as a tier"),
        ({"cached_before": 0.5}, "from the SSD with more than 5% of the file in the page cache"),
        ({"cached_before": None}, "from the SSD, and nothing says that the page cache was cold"),
    ],
)
def test_loads_that_say_nothing_of_a_tier_are_left_out_aloud(
    changes: dict[str, object], why: str
) -> None:
    both = load(0, ONE), load(1, ONE, **changes)
    found = taken(measurements(*both), "hotbed")
    assert len([one for one in found.samples if one.hop == "ssd"]) == 1
    assert found.notes == (f"1 loads left out: {why}",)


def test_only_the_asked_loader_and_device_are_taken() -> None:
    three = load(0, ONE), load(1, ONE, loader="runai"), load(2, ONE, device="cuda:0", seconds=3.0)
    assert taken(measurements(three[0], three[1]), "runai").device == "cpu"
    found = taken(measurements(*three), "hotbed", "cuda:0")
    assert found.on_gpu
    assert [one.seconds for one in found.samples if one.hop == "ssd"] == [3.0]
    with pytest.raises(CalibrationError, match="several devices: --device is one of cpu, cuda:0"):
        taken(measurements(*three), "hotbed")
    with pytest.raises(CalibrationError, match=r"loader is 'tensorizer'; .* have hotbed, runai"):
        taken(measurements(*three), "tensorizer")


def test_ceilings_are_medians_of_what_the_device_hangs_on() -> None:
    measured = measurements(load(0, ONE), load(1, ONE, device="cuda:0"))
    rates = {"disk": (1.0, 2.0, 4.0), "memcpy": (8.0,), "pcie": (16.0,), "disk_write": (0.5,)}
    ceilings = tuple(
        CeilingRow(9, 1, what, 8, 8 / rate)  # type: ignore[arg-type]
        for what, found in rates.items()
        for rate in found
    )
    measured = replace(measured, ceilings=ceilings)
    assert taken(measured, "hotbed", "cpu").ceilings_bytes_per_s == {"ssd": 2.0, "dram": 8.0}
    assert taken(measured, "hotbed", "cuda:0").ceilings_bytes_per_s == {"ssd": 2.0, "dram": 16.0}


def test_wrong_bytes_and_missing_rows_are_refused() -> None:
    with pytest.raises(CalibrationError, match="1 loads of hotbed gave other bytes"):
        taken(measurements(load(0, ONE), load(1, ONE, identical=False)), "hotbed")
    with pytest.raises(CalibrationError, match="order 0: concurrent is 2 and 1 loads have it"):
        taken(measurements(load(0, ONE, concurrent=2)), "hotbed")
