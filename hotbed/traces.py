"""`hotbed traces`: list, describe, convert and synthesise request traces.

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
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hotbed import trace_recipes
from hotbed.trace_listing import Found, Refused, scan
from hotbed.trace_recipes import SynthOptions
from traces.formats import mooncake, normalised
from traces.formats.column_map import ColumnMap
from traces.formats.detect import (
    DEFAULT_MODEL,
    Format,
    read_function_minutes,
    read_workload,
)
from traces.recipe import RECIPES
from traces.schema import TraceError
from traces.synth import synthesise
from traces.workload import Workload

Writer = Callable[[Workload, Path], None]

BAD_INPUT = 2
WRITERS: dict[Format, Writer] = {
    Format.NORMALISED: normalised.write,
    Format.MOONCAKE: mooncake.write,
}
ENDINGS: dict[str, Format] = {".parquet": Format.NORMALISED, ".jsonl": Format.MOONCAKE}

app = typer.Typer(
    help="Request traces: list, describe, convert, synthesise.",
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
        console.print(f"{len(refused)} other files are no request traces (--all says why).")


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

    Example: hotbed traces describe trace.jsonl.zst --plots out/
    """
    from traces.describe import describe as describe_workload
    from traces.describe_plots import plot
    from traces.describe_table import render

    with one_line_errors():
        workload = _read(file, from_format, column_map, model, seed=0)
        description = describe_workload(workload)
        paths = [str(path) for path in plot(workload, plots)] if plots is not None else []
    if as_json:
        _print_json({"file": str(file), "description": description, "plots": paths})
        return
    console = Console()
    console.print(render(description))
    for path in paths:
        console.print(path, soft_wrap=True, highlight=False)


@app.command()
def convert(  # noqa: PLR0913 - the options of one command line
    source: Annotated[Path, typer.Argument(metavar="IN", help="The trace to read.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The .parquet or .jsonl to write.")],
    *,
    to_format: Annotated[
        str | None,
        typer.Option("--format", help="normalised or mooncake, else told from OUT's ending."),
    ] = None,
    from_format: FormatOption = None,
    column_map: MapOption = None,
    model: ModelOption = DEFAULT_MODEL,
    start_s: Annotated[float, typer.Option(help="Leave out what arrives before.")] = 0.0,
    duration_s: Annotated[float, typer.Option(help="Keep so many seconds.")] = math.inf,
    jitter_seed: Annotated[
        int | None, typer.Option(min=0, help="Spread rounded stamps within their step.")
    ] = None,
    compress: Annotated[float, typer.Option(help="Arrive so many times faster.")] = 1.0,
    lengths: Annotated[
        str | None,
        typer.Option(help="Draw missing token counts: gsm8k+sharegpt, or FILE.csv:PROMPT:OUTPUT."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Keep the first so many.")] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Read a trace, cut and scale it in the order of the options, and write it.

    Times of --start-s and --duration-s are the source's. Example:
    hotbed traces convert requests.csv out.parquet --map arrival_ms=ts,prompt_tokens=in
    """
    with one_line_errors():
        writer = _writer(target, to_format)
        workload = _read(source, from_format, column_map, model, seed)
        if start_s or duration_s < math.inf:
            workload = workload.between(start_s, duration_s)
        if jitter_seed is not None:
            workload = workload.jitter(jitter_seed)
        if compress != 1.0:
            workload = workload.compress(compress)
        if lengths is not None:
            workload = workload.with_lengths(trace_recipes.sample_of(lengths, seed), seed)
        if limit is not None:
            workload = workload.limit(limit)
        _write(writer, workload, target)
    _say_written(target, workload, as_json)


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
    duration_s: Annotated[float | None, typer.Option(help="Seconds to fill.")] = None,
    lengths: Annotated[
        str | None, typer.Option(help="gsm8k+sharegpt, or FILE.csv:PROMPT:OUTPUT.")
    ] = None,
    functions: Annotated[
        Path | None, typer.Option(help="Azure Functions minutes as popularity (osdi24).")
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Draw a synthetic trace. What is left out is the recipe's own default.

    Example: hotbed traces synth osdi24 --rate 0.8 --models opt-6.7b=32 --cv 8 --out osdi24.parquet
    """
    options = SynthOptions(rate, models, adapters, churn, tenants, cv, seed, duration_s, lengths)
    with one_line_errors():
        writer = _writer(out, None)
        minutes = read_function_minutes(functions) if functions is not None else None
        workload = synthesise(trace_recipes.recipe_of(recipe, options), minutes)
        _write(writer, workload, out)
    _say_written(out, workload, as_json)


def _read(
    file: Path, from_format: str | None, column_map: str | None, model: str, seed: int
) -> Workload:
    return read_workload(
        file,
        file_format=Format.named(from_format) if from_format else None,
        columns=ColumnMap.parse(column_map) if column_map else None,
        model=model,
        seed=seed,
    )


def _writer(target: Path, to_format: str | None) -> Writer:
    file_format = Format.named(to_format) if to_format else ENDINGS.get(target.suffix)
    if file_format not in WRITERS:
        raise TraceError(
            f"{target}: {to_format or target.suffix or 'no ending'!r} is not allowed: expected "
            f".parquet, .jsonl, or --format {' or '.join(WRITERS)}"
        )
    return WRITERS[file_format]


def _write(writer: Writer, workload: Workload, target: Path) -> None:
    """Whole or not at all: a file that cannot be finished leaves what was there before."""
    part = target.with_name(f"{target.name}.part")
    try:
        writer(workload, part)
        part.replace(target)
    except OSError as error:
        raise TraceError(f"{target}: cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def _say_written(target: Path, workload: Workload, as_json: bool) -> None:
    counts = {
        "requests": len(workload),
        "models": len(workload.models()),
        "adapters": len(workload.adapters()),
        "tenants": len(workload.tenants()),
    }
    if as_json:
        span_s = workload.duration_s
        _print_json({"file": str(target), "span_s": span_s, **counts, "meta": workload.meta})
        return
    console = Console()
    console.print(_facts(f"{target} written", {"span": span_text(workload.duration_s), **counts}))
    if workload.meta.synthetic_fields:
        fields = ", ".join(workload.meta.synthetic_fields)
        console.print(f"synthetic: {fields}", soft_wrap=True, highlight=False)


def _listing(found: list[Found]) -> Table:
    table = Table()
    table.add_column("file", overflow="fold", min_width=24)
    table.add_column("format")
    for name in ("requests", "span", "models", "adapters"):
        table.add_column(name, justify="right")
    for item in found:
        numbers = (f"{item.requests:,}", span_text(item.span_s), f"{item.models:,}")
        table.add_row(escape(item.file), item.format, *numbers, f"{item.adapters:,}")
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
