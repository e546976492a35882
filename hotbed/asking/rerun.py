"""`hotbed rerun`: a journal's events once more, or its requests under another policy.

It knows words and exit codes; everything heavy is imported when it is needed.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hotbed.errors import one_line_errors, refuse

if TYPE_CHECKING:
    from fleet.journal import Difference, Entry
    from hotbed.asking.counterfactual import Counterfactual

DIFFERENT = 1


JournalArgument = Annotated[Path, typer.Argument(metavar="JOURNAL", help=".jsonl, .gz or .zst.")]
PolicyOption = Annotated[
    str | None,
    typer.Option(
        help="The counterfactual: a recipe, a variant of the journal's scenario, or a mapping "
        "such as '{recipe: keep_alive, keep_alive_s: 5}'."
    ),
]
SetsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="policy.PATH=VALUE",
        help="Change one field of that policy, or of the recorded one; repeatable.",
    ),
]
SeedsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Worlds for both sides; the first is the recorded one."),
]
WorldOption = Annotated[
    Path | None,
    typer.Option(
        metavar="SCENARIO",
        help="A scenario with the profiles of the journal's nodes, where its header has none.",
    ),
]
OutOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Write the result and a plot here.")
]
AsJsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def rerun(
    journal: JournalArgument,
    *,
    policy: PolicyOption = None,
    sets: SetsOption = None,
    seeds: SeedsOption = None,
    world: WorldOption = None,
    out: OutOption = None,
    as_json: AsJsonOption = False,
) -> None:
    """Replay a journal, or ask what another policy would have done with its requests.

    Alone: the journal's events through a fresh controller; exit code 1, with the first line that
    differs, where its commands are not the same again.

    With --policy or --set: the same requests, with their true lengths, on the same simulated fleet
    under another policy; paired differences with 95 % intervals, who gained, and what it costs.
    The recorded side is simulated again too, and checked against the journal.

    Example: hotbed rerun out/tour.jsonl.zst

    Example: hotbed rerun out/tour.jsonl.zst --policy gdsf --seeds 5 --out out/gdsf

    Example: hotbed rerun out/tour.jsonl.zst --set policy.keep_alive.factor=3
    """
    if policy is None and not sets:
        if seeds is not None or world is not None or out is not None:
            refuse("rerun", "--seeds, --world and --out belong to a counterfactual: give --policy")
        _replay(journal, as_json)
        return
    found = _counterfactual(journal, policy, sets or [], seeds or 1, world)
    if out is not None:
        with one_line_errors("rerun"):
            _write(found, out)
    _say(found, as_json, out)


def _replay(journal: Path, as_json: bool) -> None:
    import msgspec

    with one_line_errors("rerun"):
        events, difference = replayed(journal)
    if as_json:
        found = {"same": difference is None, "events": events, "difference": difference}
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    elif difference is None:
        typer.echo(f"same commands, {events:,} events")
    else:
        typer.echo(f"the commands differ (- recorded, + given again) at {difference}")
    if difference is not None:
        raise typer.Exit(DIFFERENT)


def replayed(path: Path) -> "tuple[int, Difference | None]":
    """How many events were replayed, and where the commands first differ.

    Raises JournalError, and PolicyError where the header's policy is not known here.
    """
    from fleet.controller import Controller
    from fleet.journal import replay
    from hotbed.asking.recorded import rebuilt, recorded

    events = 0

    def counted(entries: "Iterable[Entry]") -> "Iterator[Entry]":
        nonlocal events
        for entry in entries:
            events += 1
            yield entry

    with recorded(path, "replaying") as (header, entries):
        policy = rebuilt(header, path)
        difference = replay(counted(entries), Controller(header.setup, policy))
    return events, difference


def _counterfactual(
    journal: Path, policy: str | None, sets: list[str], seeds: int, world: Path | None
) -> "Counterfactual":
    from hotbed.asking.counterfactual import both_sides, other_policy
    from hotbed.asking.recorded import recorded
    from hotbed.asking.resimulation import with_true_lengths, workload_of
    from hotbed.progress import bar
    from hotbed.worlds import world_of

    with one_line_errors("rerun"):
        with recorded(journal, "reading") as (header, entries):
            known = world_of(header, journal, world)
            other = other_policy(header, known, policy, sets)
            workload = workload_of(entries)
    if not workload.arrivals:
        refuse("rerun", f"{journal}: nothing arrives in it, there is nothing to compare")
    workload = with_true_lengths(workload, known, header.setup.seed)
    total = 2 * seeds * len(workload.arrivals)
    with bar("simulating", total, "requests") as advance:
        return both_sides(journal, header, known, (workload, other), seeds, advance)


def _write(found: "Counterfactual", out: Path) -> None:
    import msgspec

    from traces.asked.counterfactual_plot import counterfactual_plot

    out.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(found.said), indent=1)
    (out / "counterfactual.json").write_bytes(text + b"\n")
    names = found.said.base, found.said.other
    counterfactual_plot(names, found.ttft_s, out / "counterfactual.png")


def _say(found: "Counterfactual", as_json: bool, out: Path | None) -> None:
    import msgspec

    from hotbed.asking.counterfactual_table import tables
    from hotbed.consoles import console

    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found.said), indent=2).decode())
        return
    screen = console()
    screen.print(tables(found.said))
    if out is not None:
        for name in ("counterfactual.json", "counterfactual.png"):
            screen.print(str(out / name), soft_wrap=True, highlight=False)
