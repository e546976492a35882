"""`hotbed compare`: policies over paired seeds or a grid, and which differences are real.

It knows what may be asked for; everything heavy is imported when it is needed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotbed.errors import one_line_errors
from hotbed.simulate import JsonOption, ScenarioArgument, SetOption, TraceOption

if TYPE_CHECKING:
    from hotbed.comparing.compare_grid import Prepared
    from hotbed.comparing.compare_pairs import Pairs
    from hotbed.comparing.grid import Axis
    from hotbed.scenarios import Loaded

PoliciesOption = Annotated[
    str | None,
    typer.Option(
        metavar="A,B,...",
        help="Recipes, or variants of the scenario, or all; left out, its own policy and variants.",
    ),
]
SeedOption = Annotated[
    int | None, typer.Option(min=0, help="The first seed, instead of the scenario's.")
]
JobsOption = Annotated[
    int | None, typer.Option(min=1, help="Runs at a time; left out, one for each core.")
]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Run on a Ray cluster: HOST:PORT, auto (this machine's), or local (one of its own).",
    ),
]

SEEDS = 10
#: More policies than this are ranked, even without a grid: pair by pair nobody could read them.
MANY = 12


def compare(
    scenario: ScenarioArgument,
    *,
    policies: PoliciesOption = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Runs a policy, 5 or more for intervals; left out, 10."),
    ] = None,
    seed: SeedOption = None,
    load: Annotated[
        str | None,
        typer.Option(metavar="X,Y,...", help="Multiples of the workload's rate: a grid's axis."),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH=V1,V2", help="Values of a field: a grid's axis; repeatable."),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Runs, report and plots; finished runs are reused.")
    ] = Path("out"),
    sets: SetOption = None,
    trace: TraceOption = None,
    jobs: JobsOption = None,
    ray: RayOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run policies over the same seeds; print 95 % intervals and write a report with plots.

    A seed gives every policy the same requests and the same faults. Ctrl-C keeps what is done, and
    the same command goes on from there. With --load, --vary or a scenario's `grid` every
    combination is a cell, and the report says who wins where; --set grid={} leaves it out.
    Example: hotbed compare examples/tour.yaml --policies serverlessllm,static --seeds 10 --out out
    Example: hotbed compare examples/tour.yaml --load 0.5,1,2 --vary limits.max_age=10s,60s
    """
    from hotbed.comparing.grid import axes_of, loads_of, vary_of
    from hotbed.comparing.runners import runner
    from hotbed.comparing.watching import watched
    from hotbed.scenarios import load as read

    with one_line_errors("compare"):
        loaded = read(scenario, sets or (), trace)
        grid = loaded.scenario.grid
        axes = axes_of(grid, loads_of(load) if load else (), vary_of(vary or ()))
        first = loaded.scenario.seed if seed is None else seed
        counted = range(first, first + (seeds or grid.seeds or SEEDS))
        named = policies or (",".join(grid.policies) if grid.policies else None)
        where = runner(jobs, ray)
        made = begun(loaded, axes, named, counted, out)
    complete = watched("compare", "comparing", made.jobs, where)
    made.conclude(out, as_json, complete)


def begun(
    loaded: "Loaded",
    axes: "Sequence[Axis]",
    policies: str | None,
    seeds: Sequence[int],
    out: Path,
) -> "Prepared | Pairs":
    """A grid where there are axes, or more policies than pairs can be read of."""
    from hotbed.comparing import compare_grid, compare_pairs
    from hotbed.scenarios import choices

    if axes or len(choices(loaded, policies)) > MANY:
        return compare_grid.prepared(loaded, axes, policies, seeds, out)
    return compare_pairs.prepared(loaded, policies, seeds, out)
