"""Tables say what the figures say, in a width that a terminal has."""

from dataclasses import replace

from rich.console import Console

from hotbed.bench.load_table import tables
from runtime.bench.load.figures import figures
from runtime.bench.measurements import Measurements
from tests.runtime.bench.load.made import GB, ceiling, load, measured, work


def shown(measurements: Measurements) -> str:
    console = Console(width=100, record=True, force_terminal=False)
    with console.capture() as captured:
        console.print(tables(figures(measurements)))
    return captured.get()


def test_a_loader_has_its_rate_and_its_share_of_the_ceiling() -> None:
    text = shown(
        measured(
            loads=[load(1, "hotbed", 3.0), load(4, "torch", 0.5)],
            ceilings=[ceiling(order, "disk", 4.0) for order in (0, 2, 3, 5)],
        )
    )
    ours = next(line for line in text.splitlines() if line.strip().startswith("hotbed "))
    assert ours.split()[1] == "3.00"
    assert "0.75" in ours
    assert "hotbed is 5 times as fast as, or more: torch 6.0 x" in text
    assert "runai did not run: absent" in text
    assert "a cpu, 2 cores" in text


def test_adapters_pool_and_imports_have_their_lines() -> None:
    small = replace(
        load(1, "hotbed_views", 1.0, "dram"), kind="adapter", rank=16, bytes=GB, seconds=0.0015
    )
    text = shown(
        measured(
            loads=[
                small,
                load(4, "hotbed", 9.0, "dram"),
                *[replace(load(7, "hotbed", 2.0), concurrent=2) for _ in range(2)],
            ],
            ceilings=[
                *[ceiling(order, "memcpy", 10.0) for order in (0, 2, 3, 5)],
                *[ceiling(order, "disk", 4.0) for order in (6, 8)],
                *[ceiling(order, "disk_write", 2.0) for order in (9, 11)],
            ],
            works=[work(10, "import", 1.8), work(12, "pool", 11.0)],
        )
    )
    assert "pool to tensors, as they lie" in text
    assert "1.50" in text
    assert "0.90 of a plain copy" in text
    assert "0.90 of the disk, writing" in text
    assert "2 loads at once, cold" in text
    assert "creating the pool" in text


def test_nothing_measured_is_still_a_page() -> None:
    assert "a cpu, 2 cores" in shown(measured())
