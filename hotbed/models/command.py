"""`hotbed models`: checkpoints of this machine, brought in, converted, checked and taken away.

It knows words, tables and exit codes. Formats and the library are known in `runtime.store`.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from hotbed.consoles import console
from hotbed.errors import one_line_errors
from hotbed.interrupts import INTERRUPTED
from hotbed.models.progress import bars
from hotbed.models.tables import DIGEST_CHARACTERS, as_json, facts, size, table
from runtime.store.errors import StoreError
from runtime.store.format.verifying import verify as verify_checkpoint
from runtime.store.library.exporting import Format, export
from runtime.store.library.importing import Imported, Wanted, import_checkpoint
from runtime.store.library.library import Library, default_root
from runtime.store.library.locking import left_overs
from runtime.store.remote.sources import is_address

FAULTY = 1

app = typer.Typer(
    help="Checkpoints of this machine: import, convert, verify, list, rm.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="DIR",
        help="The folder of checkpoints: $HOTBED_STORE, else hotbed/models in the user's data.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CutOption = Annotated[
    int,
    typer.Option(
        "--tensor-parallel", metavar="N", min=1, help="Cut for N devices, a data file for each."
    ),
]
NamedArgument = Annotated[
    str,
    typer.Argument(metavar="NAME|DIR", help="A checkpoint of the store, or ./DIR, /DIR anywhere."),
]


@app.command("import")
def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="A Hugging Face folder, a .safetensors file, a PEFT adapter's folder, one of "
            "ServerlessLLM's, one of ours; or the address of one (https://, s3://, file://).",
        ),
    ],
    name: Annotated[str | None, typer.Option(help="NAME or ORG/NAME; else told from SRC.")] = None,
    tensor_parallel: CutOption = 1,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of the model of that name.")
    ] = False,
    store: StoreOption = None,
    json_: JsonOption = False,
) -> None:
    """Bring a checkpoint into the store, in the format that loads fastest.

    Free space is checked before anything is written. Stopped or failed, an import leaves nothing;
    one from an address keeps what has come, and the same command goes on from there.

    Examples: hotbed models import ~/models/Llama-3.1-8B --name meta/llama-3.1-8b
              hotbed models import https://example.org/adapters/sql --name sql
    """
    stays = "what has come is kept, and the same command goes on"
    said = f"stopped; {stays if is_address(source) else 'nothing is left behind'}"
    with _stoppable(said), one_line_errors("models import"):
        wanted = Wanted(source, name, tensor_parallel, replace)
        with bars(name or "import") as report:
            done = import_checkpoint(_library(store), wanted, report=report)
    _say_imported(done, json_)


def _say_imported(done: Imported, json_: bool) -> None:
    entry = done.entry
    if json_:
        shown = {**facts(entry), "same_as": done.same_as, "read_bytes": done.read_bytes,
                 "kept_bytes": done.kept_bytes}  # fmt: skip
        return typer.echo(json.dumps(shown, indent=2))
    digest = entry.digest[:DIGEST_CHARACTERS]
    kind = entry.kind if entry.rank is None else f"{entry.kind} of rank {entry.rank}"
    words = f"{entry.name}: {kind}, {entry.tensors} tensors, {size(entry.weight_bytes)}"
    screen = console()
    screen.print(escape(f"{words}, digest {digest}"), soft_wrap=True, highlight=False)
    if done.kept_bytes:
        again = f"{size(done.kept_bytes)} were there from an earlier try"
        screen.print(again, soft_wrap=True, highlight=False)
    if done.same_as:
        same = f"the same values are here as {', '.join(done.same_as)}; each keeps its own files"
        screen.print(escape(same), soft_wrap=True, highlight=False)


@app.command()
def convert(
    source: NamedArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that is not there yet.")],
    to: Annotated[Format, typer.Option("--to", help="The format of OUT.")],
    tensor_parallel: CutOption = 1,
    store: StoreOption = None,
) -> None:
    """Write a checkpoint as safetensors, or any that can be imported in our format, outside the
    store.

    Examples: hotbed models convert meta/llama-3.1-8b --to safetensors ./llama
              hotbed models convert ./llama --to hotbed ./llama-cut --tensor-parallel 2
    """
    with _stoppable("stopped; nothing is left behind"), one_line_errors("models convert"):
        folder = _folder(source, _library(store), foreign=to is Format.HOTBED)
        with bars("convert") as report:
            export(folder, out, to, devices=tensor_parallel,
                   progress=lambda done, total: report(source, done, total))  # fmt: skip
    console().print(escape(str(out)), soft_wrap=True, highlight=False)


@app.command()
def verify(
    source: NamedArgument,
    *,
    deep: Annotated[
        bool, typer.Option("--deep", help="Each tensor's digest too, and the checkpoint's own.")
    ] = False,
    store: StoreOption = None,
    json_: JsonOption = False,
) -> None:
    """Read all of a checkpoint and hold every chunk against its checksum.

    Exit code 1, and a line for each fault, where it is not what was written.

    Example: hotbed models verify meta/llama-3.1-8b --deep
    """
    with _stoppable("stopped"):
        with one_line_errors("models verify"):
            folder = _folder(source, _library(store), foreign=False)
        try:
            with bars("verify") as report:
                found = verify_checkpoint(
                    folder, deep=deep, progress=lambda done, total: report(source, done, total)
                )
            faults, read = list(found.faults), found.read_bytes
        except (StoreError, OSError) as error:
            faults, read = [str(error)], 0
    if json_:
        typer.echo(
            json.dumps({"folder": str(folder), "read_bytes": read, "faults": faults}, indent=2)
        )
    else:
        for fault in faults:
            typer.echo(fault, err=True)
        verdict = f"{len(faults)} faults" if faults else "every byte is what was written"
        typer.echo(f"{source}: {size(read)} read, {verdict}")
    if faults:
        raise typer.Exit(FAULTY)


@app.command("list")
def list_(store: StoreOption = None, *, json_: JsonOption = False) -> None:
    """List the checkpoints of the store.

    Example: hotbed models list --json
    """
    with one_line_errors("models list"):
        library = _library(store)
        entries, unfinished = library.entries(), library.unfinished()
        dead = list(left_overs(library.root))
    if json_:
        return typer.echo(as_json(str(library.root), entries, unfinished))
    screen = console()
    if entries:
        screen.print(table(entries))
    else:
        screen.print(escape(f"no models in {library.root}"), soft_wrap=True, highlight=False)
    for entry in entries:
        if entry.fault is not None:
            screen.print(escape(f"{entry.name}: {entry.fault}"), soft_wrap=True, highlight=False)
    for one in unfinished:
        words = f"{one.name}: unfinished, {size(one.came_bytes)} have come: import it again, or rm"
        screen.print(escape(words), soft_wrap=True, highlight=False)
    for path in dead:
        words = f"{path}: left by an import that was killed; the next one removes it"
        screen.print(escape(words), soft_wrap=True, highlight=False)


@app.command()
def rm(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="As `list` shows them.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    store: StoreOption = None,
) -> None:
    """Take checkpoints out of the store.

    Example: hotbed models rm meta/llama-3.1-8b --yes
    """
    with one_line_errors("models rm"):
        library = _library(store)
        unfinished = {one.name for one in library.unfinished()}
        for name in names:
            if name not in unfinished:
                library.folder(name)
        if not yes and not _agreed(names, library):
            return
        for name in names:
            library.remove(name)
            typer.echo(f"removed {name}")


def _agreed(names: list[str], library: Library) -> bool:
    if not _may_ask():
        raise StoreError("nobody to ask: expected --yes")
    taken = sum(one.weight_bytes for one in library.entries() if one.name in names)
    return typer.confirm(f"Remove {', '.join(names)} ({size(taken)})?", err=True)


def _may_ask() -> bool:
    return sys.stdin.isatty()


def _library(store: Path | None) -> Library:
    return Library(default_root() if store is None else store.absolute())


def _folder(source: str, library: Library, *, foreign: bool) -> Path:
    """A checkpoint of the store by name, else a folder (or file, where foreign ones will do)."""
    if source in library.names():
        return library.folder(source)
    path = Path(source)
    if path.is_dir() or (foreign and path.is_file()):
        return path
    if path.is_absolute() or source.startswith("."):
        raise StoreError(f"{source}: no such folder")
    return library.folder(source)


@contextmanager
def _stoppable(said: str) -> Iterator[None]:
    """Ctrl-C ends with a line and the shell's exit code."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(said, err=True)
        raise typer.Exit(INTERRUPTED) from None
