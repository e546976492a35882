"""`hotbed traces`: list, describe, convert and synthesise traces of requests and of training jobs.

It knows words, tables and exit codes. Formats, statistics and laws are known in `traces`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from hotbed.tracing import trace_cuts, trace_recipes
from hotbed.tracing.trace_fetch import fetch
from hotbed.tracing.trace_listing import REQUESTS, Found, Refused, scan
from hotbed.tracing.trace_recipes import SynthOptions
from traces.formats import jobs, mooncake, normalised
from traces.formats.column_map import ColumnMap
from traces.formats.detect import (
    DEFAULT_MODEL,
    Format,
    read_clients,
    read_function_minutes,
    read_trace,
)
from traces.jobs import Jobs
from traces.schema import TraceError
from traces.synthesis.clients import ClientWindows
from traces.synthesis.recipe import RECIPES
from traces.synthesis.synth import synthesise
from traces.workload import Workload

Trace = Workload | Jobs
Writer = Callable[[Workload, Path], None]

BAD_INPUT = 2
WRITERS: dict[Format, Writer] = {
    Format.NORMALISED: normalised.write,
    Format.MOONCAKE: mooncake.write,
}
ENDINGS: dict[str, Format] = {".parquet": Format.NORMALISED, ".jsonl": Format.MOONCAKE}

app = typer.Typer(
    help="Traces of requests and of training jobs: list, describe, convert, synthesise, fetch.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

FormatOption = Annotated[
    str | None,
    typer.Option(
        "--from-format",
        metavar="FORMAT",
        help=f"The input's format, else told from its content: {', '.join(Format)}.",
    ),
]
ToFormatOption = Annotated[
    str | None,
    typer.Option("--format", help="normalised or mooncake, else told from OUT's ending."),
]
MapOption = Annotated[
    str | None,
    typer.Option(
        "--map",
        metavar="TARGET=COLUMN,...",
        help="Read any CSV: arrival_s, arrival_ms, arrival_us or arrival_timestamp, and others "
        "such as prompt_tokens, output_tokens, model_id, adapter_ids (items between ';').",
    ),
]
ModelOption = Annotated[
    str, typer.Option("--model", help="The base model of requests that name none.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of whatever is drawn.")]


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Bad input as one line on standard error, and exit code 2."""
    try:
        yield
    except TraceError as error:
        line = " ".join(str(error).split())
        typer.echo(f"hotbed traces: {line}", err=True)
        raise typer.Exit(BAD_INPUT) from None


@app.command(name="list")
def list_traces(
    folder: Annotated[
        Path | None,
        typer.Argument(envvar="HOTBED_DATA", help="Where to look; HOTBED_DATA where left out."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also say why the other files are not read.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the traces under a folder.

    Example: hotbed traces list data/
    """
    with one_line_errors():
        if folder is None:
            raise TraceError("no folder given: expected one, or the variable HOTBED_DATA")
        items = list(scan(folder))
    found = [item for item in items if isinstance(item, Found)]
    refused = [item for item in items if isinstance(item, Refused)]
    if as_json:
        _print_json({"traces": list(map(asdict, found)), "refused": list(map(asdict, refused))})
        return
    console = Console()
    console.print(_listing(found))
    if every:
        for item in refused:
            console.print(f"not read: {escape(item.reason)}", soft_wrap=True, highlight=False)
    elif refused:
        console.print(f"{len(refused)} other files are no traces (--all says why).")


@app.command()
def describe(
    file: Annotated[Path, typer.Argument(help="The trace; .gz and .zst are unpacked.")],
    from_format: FormatOption = None,
    column_map: MapOption = None,
    model: ModelOption = DEFAULT_MODEL,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw its plots into this folder.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a trace holds: arrivals, popularity, lengths, burstiness, and the columns used.

    Training jobs are described by their sizes and durations, clients by their rates. Example:
    hotbed traces describe trace.jsonl.zst --plots out/
    """
    from traces.describing.describe_plots import plot

    with one_line_errors():
        trace = _read(file, from_format, column_map, model, seed=0)
        if plots is not None and not isinstance(trace, Workload):
            raise TraceError(f"{file}: plots are of requests: this trace has tables only")
        seen, tables = _described(trace)
        paths = []
        if plots is not None and isinstance(trace, Workload):
            paths = [str(path) for path in plot(trace, plots)]
    if as_json:
        _print_json({"file": str(file), "description": seen, "plots": paths})
        return
    console = Console()
    console.print(tables)
    for path in paths:
        console.print(path, soft_wrap=True, highlight=False)


@app.command()
def convert(  # noqa: PLR0913 - the options of one command line
    source: Annotated[Path, typer.Argument(metavar="IN", help="The trace to read.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The .parquet or .jsonl to write.")],
    *,
    to_format: ToFormatOption = None,
    from_format: FormatOption = None,
    column_map: MapOption = None,
    model: ModelOption = DEFAULT_MODEL,
    sessions_per_s: trace_cuts.SessionsOption = None,
    start_s: trace_cuts.StartOption = 0.0,
    duration_s: trace_cuts.DurationOption = math.inf,
    gpus: trace_cuts.GpusOption = None,
    jitter_seed: trace_cuts.JitterOption = None,
    compress: trace_cuts.CompressOption = 1.0,
    load: trace_cuts.LoadOption = None,
    lengths: trace_cuts.LengthsOption = None,
    shrink: trace_cuts.ShrinkOption = 1,
    context: trace_cuts.ContextOption = None,
    limit: trace_cuts.LimitOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Read a trace, cut and scale it in the order of the options, and write it.

    Times of --start-s and --duration-s are the source's. Training jobs are written as .parquet.
    Example: hotbed traces convert requests.csv out.parquet --map arrival_ms=ts,prompt_tokens=in
    """
    cuts = trace_cuts.Cuts(
        sessions_per_s=sessions_per_s,
        start_s=start_s,
        duration_s=duration_s,
        gpus=gpus,
        jitter_seed=jitter_seed,
        compress=compress,
        load=load,
        lengths=lengths,
        shrink=shrink,
        context=context,
        limit=limit,
        seed=seed,
    )
    with one_line_errors():
        writer = _writer(target, to_format)
        read = _read(source, from_format, column_map, model, seed)
        if isinstance(read, ClientWindows):
            raise TraceError(f"{source}: rates of clients: draw requests with `synth servegen`")
        trace = cuts.of(read)
        _write(writer, trace, target)
    _say_written(target, trace, as_json)


@app.command()
def synth(  # noqa: PLR0913 - the options of one command line
    recipe: Annotated[str, typer.Argument(help=f"One of {', '.join(RECIPES)}.")],
    out: Annotated[Path, typer.Option("--out", help="The .parquet or .jsonl to write.")],
    *,
    rate: Annotated[float | None, typer.Option(help="Mean requests a second.")] = None,
    models: Annotated[str | None, typer.Option(help="A number, or opt-6.7b=32,opt-13b=16.")] = None,
    adapters: Annotated[int | None, typer.Option(help="Adapters of each base model.")] = None,
    churn: Annotated[
        float | None, typer.Option(help="Share of uses of adapters on their first day.")
    ] = None,
    tenants: Annotated[int | None, typer.Option(help="Sticky tenants (not osdi24).")] = None,
    cv: Annotated[float | None, typer.Option(help="Variation of the gaps; 1 is Poisson.")] = None,
    states: Annotated[
        str | None,
        typer.Option(
            metavar="RATE:SECONDS,...", help="Calm and busy times, e.g. 1:300,10:60 (mmpp)."
        ),
    ] = None,
    duration_s: Annotated[float | None, typer.Option(help="Seconds to fill.")] = None,
    lengths: Annotated[
        str | None, typer.Option(help="gsm8k+sharegpt, or FILE.csv:PROMPT:OUTPUT.")
    ] = None,
    functions: Annotated[
        Path | None, typer.Option(help="Azure Functions minutes as popularity (osdi24).")
    ] = None,
    clients: Annotated[
        Path | None, typer.Option(help="Rates of clients in windows (servegen).")
    ] = None,
    client_lengths: Annotated[
        Path | None, typer.Option(help="Quantiles of the clients' lengths (servegen).")
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Draw a synthetic trace. What is left out is the recipe's own default.

    Example: hotbed traces synth osdi24 --rate 0.8 --models opt-6.7b=32 --cv 8 --out osdi24.parquet
    """
    options = SynthOptions(
        rate, models, adapters, churn, tenants, cv, states, seed, duration_s, lengths
    )
    with one_line_errors():
        writer = _writer(out, None)
        minutes = read_function_minutes(functions) if functions is not None else None
        tenants_of = read_clients(clients, client_lengths) if clients is not None else None
        workload = synthesise(trace_recipes.recipe_of(recipe, options), minutes, tenants_of)
        _write(writer, workload, out)
    _say_written(out, workload, as_json)


app.command()(fetch)


def _read(
    file: Path, from_format: str | None, column_map: str | None, model: str, seed: int
) -> Trace | ClientWindows:
    return read_trace(
        file,
        file_format=Format.named(from_format) if from_format else None,
        columns=ColumnMap.parse(column_map) if column_map else None,
        model=model,
        seed=seed,
    )


def _described(trace: Trace | ClientWindows) -> tuple[msgspec.Struct, Group]:
    """The figures of a trace, and the tables that show them."""
    from traces.describing.describe import describe as describe_workload
    from traces.describing.describe_clients import describe_clients, render_clients
    from traces.describing.describe_jobs import describe_jobs, render_jobs
    from traces.describing.describe_table import render

    if isinstance(trace, Jobs):
        jobs_seen = describe_jobs(trace)
        return jobs_seen, render_jobs(jobs_seen)
    if isinstance(trace, ClientWindows):
        clients_seen = describe_clients(trace)
        return clients_seen, render_clients(clients_seen)
    seen = describe_workload(trace)
    return seen, render(seen)


def _writer(target: Path, to_format: str | None) -> Writer:
    file_format = Format.named(to_format) if to_format else ENDINGS.get(target.suffix)
    if file_format not in WRITERS:
        raise TraceError(
            f"{target}: {to_format or target.suffix or 'no ending'!r} is not allowed: expected "
            f".parquet, .jsonl, or --format {' or '.join(WRITERS)}"
        )
    return WRITERS[file_format]


def _write(writer: Writer, trace: Trace, target: Path) -> None:
    """Whole or not at all: a file that cannot be finished leaves what was there before."""
    part = target.with_name(f"{target.name}.part")
    if isinstance(trace, Jobs) and writer is not normalised.write:
        raise TraceError(f"{target}: training jobs are written as .parquet: expected that ending")
    try:
        if isinstance(trace, Jobs):
            jobs.write(trace, part)
        else:
            writer(trace, part)
        part.replace(target)
    except OSError as error:
        raise TraceError(f"{target}: cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def _say_written(target: Path, trace: Trace, as_json: bool) -> None:
    counts, span_s = _counts(trace)
    if as_json:
        _print_json({"file": str(target), "span_s": span_s, **counts, "meta": trace.meta})
        return
    console = Console()
    console.print(_facts(f"{target} written", {"span": span_text(span_s), **counts}))
    if trace.meta.synthetic_fields:
        fields = ", ".join(trace.meta.synthetic_fields)
        console.print(f"synthetic: {fields}", soft_wrap=True, highlight=False)


def _counts(trace: Trace) -> tuple[dict[str, int], float]:
    """What was written, and its span in seconds."""
    if isinstance(trace, Jobs):
        return {"jobs": len(trace), "gpu_hours": round(trace.gpu_s.sum() / 3600)}, trace.span_s
    counts = {
        "requests": len(trace),
        "models": len(trace.models()),
        "adapters": len(trace.adapters()),
        "tenants": len(trace.tenants()),
    }
    return counts, trace.duration_s


def _listing(found: list[Found]) -> Table:
    table = Table()
    table.add_column("file", overflow="fold", min_width=24)
    table.add_column("format")
    for name in ("requests", "span", "models", "adapters"):
        table.add_column(name, justify="right")
    for item in found:
        holds = f"{item.count:,}" + ("" if item.holds == REQUESTS else f" {item.holds}")
        numbers = (f"{count:,}" if count else "-" for count in (item.models, item.adapters))
        table.add_row(escape(item.file), item.format, holds, span_text(item.span_s), *numbers)
    return table


def span_text(span_s: float) -> str:
    """Seconds in the largest unit that leaves more than one of it: 18.0 d, 5.2 h, 12.4 min."""
    for unit, unit_s in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if span_s > unit_s:
            return f"{span_s / unit_s:.1f} {unit}"
    return f"{span_s:.1f} s"


def _facts(title: str, facts: Mapping[str, int | str]) -> Table:
    table = Table("", "", title=escape(title), title_justify="left", show_header=False)
    for name, value in facts.items():
        shown = f"{value:,}" if isinstance(value, int) else value
        table.add_row(escape(name), escape(shown))
    return table


def _print_json(value: object) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
