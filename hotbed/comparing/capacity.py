"""`hotbed capacity`: how much load each policy bears before too few requests meet the objective.

It knows words and exit codes; the bisection is `traces.grids.capacity`.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotbed.comparing.compare import JobsOption, PoliciesOption, RayOption
from hotbed.errors import one_line_errors
from hotbed.interrupts import INTERRUPTED
from hotbed.simulate import JsonOption, ScenarioArgument, SetOption, TraceOption

if TYPE_CHECKING:
    from hotbed.comparing.probing import Probing
    from traces.grids.capacity import Capacity


class Aspect(StrEnum):
    TTFT = "ttft"
    TPOT = "tpot"
    BOTH = "both"


def capacity(
    scenario: ScenarioArgument,
    *,
    policies: PoliciesOption = None,
    target: Annotated[
        float, typer.Option(help="The share of all arrived requests that must meet it.")
    ] = 0.99,
    slo: Annotated[
        Aspect, typer.Option(help="Which part of the scenario's objective must be met.")
    ] = Aspect.TTFT,
    seeds: Annotated[int, typer.Option(min=1, help="Paired runs a probe; 5 for intervals.")] = 5,
    tolerance: Annotated[
        float, typer.Option(help="How near the ends of the bracket must come, as a share.")
    ] = 0.05,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Runs, capacity.json and plot; runs are reused.")
    ] = Path("out"),
    sets: SetOption = None,
    trace: TraceOption = None,
    jobs: JobsOption = None,
    ray: RayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the largest load at which a share of requests meets the objective, by bisection.

    Load is a multiple of the workload's own rate. Each probe runs the same seeds for all policies;
    a load at which most seeds never settle counts as missed. A scenario's grid is not looked at;
    its seed is the first one.
    Example: hotbed capacity examples/tour.yaml --policies serverlessllm,static --target 0.9
    """
    from hotbed.comparing.probing import Probing
    from hotbed.comparing.runners import runner
    from hotbed.scenarios import choices, load
    from traces.grids.capacity import Search

    with one_line_errors("capacity"):
        loaded = load(scenario, sets or (), trace)
        search = Search(target, tolerance)
        counted = range(loaded.scenario.seed, loaded.scenario.seed + seeds)
        chosen = choices(loaded, policies)
        probing = Probing(loaded, chosen, counted, search, _path(slo))
        probing.check()
        where = runner(jobs, ray)
    complete = probing.run(where, out / "runs")
    found = probing.capacities()
    if not found or not complete:
        typer.echo("stopped: what is done is kept; the same command goes on from there", err=True)
        raise typer.Exit(INTERRUPTED)
    _conclude(probing, found, out, as_json)


def _path(slo: Aspect) -> str:
    part = "" if slo is Aspect.BOTH else f"{slo.value}_"
    return f"objective.{part}attainment"


def _conclude(
    probing: "Probing", found: "Mapping[str, Capacity]", out: Path, as_json: bool
) -> None:
    import msgspec

    from traces.grids.capacity_plot import capacity_figure
    from traces.plots import save_both

    out.mkdir(parents=True, exist_ok=True)
    figure = capacity_figure(found, probing.search.target, probing.objective)
    picture = save_both(figure, out / "plots" / "capacity.png")
    said = probing.in_words(found)
    data = probing.data(found) | {"findings": said}
    text = msgspec.json.format(msgspec.json.encode(data), indent=1)
    (out / "capacity.json").write_bytes(text + b"\n")
    if as_json:
        typer.echo(text.decode())
    else:
        _print(probing, found, [*said, str(out / "capacity.json"), str(picture)])


def _print(probing: "Probing", found: "Mapping[str, Capacity]", lines: Sequence[str]) -> None:
    from hotbed.consoles import console
    from traces.grids.capacity_table import capacity_table

    screen = console()
    screen.print(capacity_table(found, probing.search.target, probing.objective))
    for line in lines:
        screen.print(line, soft_wrap=True, highlight=False)
