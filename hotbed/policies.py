"""`hotbed policies`: what there is to schedule with, read from the classes themselves."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args, get_origin

import msgspec
import typer

from hotbed.errors import one_line_errors

RECIPE = "recipe"


class Parameter(msgspec.Struct, frozen=True):
    name: str
    type: str
    default: str | None

    def __str__(self) -> str:
        return self.name if self.default is None else f"{self.name}={self.default}"


class Entry(msgspec.Struct, frozen=True):
    """A recipe (a whole system), a policy that answers one question, or a part of such a policy.

    `question` is then the kind of part, such as "scorer".
    """

    question: str
    name: str
    summary: str
    text: str
    parameters: tuple[Parameter, ...]
    source: str = ""  # who published or released it
    departs: str = ""  # where it differs from that
    waives: tuple[str, ...] = ()  # promises of liveness that it does not make
    oracle: bool = False  # it is told the future: a bound, not a policy
    answers: dict[str, Any] = {}  # of a recipe: who answers each question, parameters filled in


def policies(
    name: Annotated[
        str | None,
        typer.Argument(help="A recipe or policy, as gdsf or keep_alive.fixed: say all of it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the recipes (whole systems) and the policies for each question, with their parameters.

    Example: hotbed policies earliest_ready
    """
    with one_line_errors("policies"):
        found = list(entries()) if name is None else named(name)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    elif name is None:
        _print_table(found)
    else:
        for entry in found:
            _print_entry(entry)


def entries() -> Iterator[Entry]:
    """Recipes first, then every question's policies and their parts, in the catalogue's order."""
    from policies.library import CATALOG, PARTS, RECIPES

    for name, recipe in RECIPES.items():
        yield _entry(RECIPE, name, recipe)
    for question, named_classes in (*CATALOG.items(), *PARTS.items()):
        for name, cls in named_classes.items():
            yield _entry(question, name, cls)


def named(name: str) -> list[Entry]:
    """Those of that name, or of that question and name. Raises PolicyError."""
    from policies.catalog import unknown

    every = list(entries())
    found = [entry for entry in every if name in (entry.name, f"{entry.question}.{entry.name}")]
    if not found:
        raise unknown("policies", name, dict.fromkeys(entry.name for entry in every))
    return found


def _entry(question: str, name: str, made_by: Callable[..., Any]) -> Entry:
    text = inspect.getdoc(made_by) or ""
    made = _made(made_by)
    given = tuple(_parameter(p, made) for p in inspect.signature(made_by).parameters.values())
    entry = Entry(question, name, text.split("\n")[0], text, given)
    return _with_answers(entry) if question == RECIPE else _with_source(entry, made_by)


def _with_source(entry: Entry, cls: Callable[..., Any]) -> Entry:
    return msgspec.structs.replace(
        entry,
        source=getattr(cls, "source", ""),
        departs=getattr(cls, "departs", ""),
        waives=tuple(str(waiver) for waiver in getattr(cls, "waives", ())),
        oracle=hasattr(cls, "reveal"),
    )


def _with_answers(entry: Entry) -> Entry:
    """What the whole system is made of. A recipe with a parameter that has no default says none."""
    from policies.catalog import resolve

    if any(parameter.default is None for parameter in entry.parameters):
        return entry
    return msgspec.structs.replace(entry, answers=resolve(entry.name))


def _made(made_by: Callable[..., Any]) -> dict[str, Any]:
    """What a dataclass makes for the fields that it has a factory for."""
    if not dataclasses.is_dataclass(made_by):
        return {}
    own = (field for field in dataclasses.fields(made_by) if field.init)
    return {f.name: f.default_factory() for f in own if callable(f.default_factory)}


def _parameter(parameter: inspect.Parameter, made: dict[str, Any]) -> Parameter:
    kind = _kind(parameter.annotation)
    if parameter.default is inspect.Parameter.empty:
        return Parameter(parameter.name, kind, None)
    default = made.get(parameter.name, parameter.default)
    return Parameter(parameter.name, kind, _default(default))


def _kind(annotation: Any) -> str:
    """A type as people write it, with the bounds that it is annotated with."""
    if annotation is ...:
        return "..."
    if get_origin(annotation) is tuple:
        return f"tuple[{', '.join(map(_kind, get_args(annotation)))}]"
    if get_origin(annotation) is not Annotated:
        return annotation.__name__ if inspect.isclass(annotation) else str(annotation)
    kind, *bounds = get_args(annotation)
    return ", ".join([_kind(kind), *map(_bound, bounds)])


def _bound(meta: Any) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    given = ((sign, getattr(meta, name, None)) for name, sign in signs.items())
    return " and ".join(f"{sign} {limit}" for sign, limit in given if limit is not None)


def _default(value: Any) -> str:
    """Policies by their names, anything else as Python writes it."""
    from policies.catalog import described

    several = value if isinstance(value, tuple) else (value,)
    if any(map(dataclasses.is_dataclass, several)):
        return _spelled(described(value))
    return repr(value)


def _print_table(found: list[Entry]) -> None:
    from rich.table import Table

    from hotbed.consoles import console

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("question", "name"):
        table.add_column(heading, no_wrap=True)
    for heading in ("what it does", "parameters"):
        table.add_column(heading, overflow="fold", ratio=1)
    asked = ""
    for entry in found:
        question = entry.question if entry.question != asked else ""
        asked = entry.question
        parameters = ", ".join(map(str, entry.parameters))
        table.add_row(question, entry.name, entry.summary, parameters)
    console().print(table)


def _print_entry(entry: Entry) -> None:
    """All that there is to say of one policy."""
    oracle = "  (oracle: told the future, a bound and not a policy)" if entry.oracle else ""
    typer.echo(f"{entry.question}.{entry.name}{oracle}\n\n{entry.text}\n")
    told = {
        "source": entry.source,
        "departs": entry.departs,
        "does not promise": ", ".join(entry.waives),
    }
    for what, text in told.items():
        if text:
            typer.echo(f"{what}: {text}")
    if entry.parameters:
        typer.echo("parameters:")
    for parameter in entry.parameters:
        typer.echo(f"  {parameter}  ({parameter.type})")
    if entry.answers:
        typer.echo("answers:")
    for question, answer in entry.answers.items():
        typer.echo(f"  {question:16} {_spelled(answer)}")
    typer.echo()


def _spelled(answer: Any) -> str:
    """An answer as name(parameter=value, ...)."""
    if isinstance(answer, list):
        return ", ".join(map(_spelled, answer)) or "none"
    if not isinstance(answer, dict):
        return str(answer)
    inside = ", ".join(f"{k}={_spelled(v)}" for k, v in answer.items() if k != "name")
    return f"{answer['name']}({inside})" if inside else str(answer["name"])
