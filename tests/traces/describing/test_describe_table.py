"""The tables show every figure that is known, and names as they are written."""

from rich.console import Console

from traces.describing.describe import describe
from traces.describing.describe_table import render
from traces.synthesis.recipe import Adapters, Poisson, Tenants
from traces.synthesis.synth import stream
from traces.workload import TraceMeta, Workload


def shown(workload: Workload) -> str:
    console = Console(width=140)
    with console.capture() as captured:
        console.print(render(describe(workload)))
    return captured.get()


def test_a_full_trace_shows_all_its_tables() -> None:
    text = shown(stream(Poisson(tenants=Tenants(), adapters=Adapters())))
    for word in ("models", "adapters", "tenants", "prompt", "output", "10 min", "1 h", "Zipf"):
        assert word in text
    assert "synthetic columns" in text
    assert "realised_rate" in text


def test_unknown_figures_take_no_row_and_stamps_with_a_quantum_are_warned_of() -> None:
    meta = TraceMeta(source="[bold]file[/bold]", time_quantum_us=3_000_000)
    columns = {"request_id": [0, 1], "arrival_us": [0, 3_000_000], "model_id": ["m", "m"]}
    text = shown(Workload.of(columns, meta))
    assert "tenant" not in text
    assert "Lengths" not in text
    assert "steps of 3 s" in text
    assert "[bold]file[/bold]" in text
