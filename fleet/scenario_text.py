"""A scenario's text: YAML with the line of every field, changes to it, and what is wrong with it.

It turns a mistake into one line: file, line, dotted path, value, what is allowed. It knows no
field of a scenario.
"""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeAlias

import yaml
from pydantic import ValidationError

Step: TypeAlias = str | int
Path: TypeAlias = tuple[Step, ...]

SHOWN_VALUE = 60  # characters of a value that an error repeats

#: Pydantic's kinds of error, as what would have been right.
EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping of fields",
    "model_attributes_type": "a mapping of fields",
    "too_short": "not empty",
    "tuple_type": "a list of two",
}


class ScenarioError(ValueError):
    """A scenario that cannot be used; the message is one line."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that is written twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} is written twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read(text: str, name: str) -> dict[str, Any]:
    """The document as it is written. Raises ScenarioError."""
    try:
        raw = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" line {mark.line + 1}" if mark is not None else ""
        raise ScenarioError(f"{name}{where}: no valid YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:  # a ValueError is a date that cannot be
        raise ScenarioError(f"{name}: no valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ScenarioError(f"{name}: expected fields such as 'fleet:', found {shown(raw)}")
    return raw


def change(raw: dict[str, Any], changes: Mapping[str, str]) -> None:
    """Set fields by dotted path, as `slo.ttft` or `fleet[0].count`; values are YAML.

    A mapping on the way that is not there is made. Raises ScenarioError.
    """
    for path, written in changes.items():
        try:
            value = yaml.load(written, _Loader)
        except (yaml.YAMLError, ValueError):
            raise ScenarioError(f"{path}={written}: the value is no valid YAML") from None
        put(raw, path, value)


def put(raw: dict[str, Any], path: str, value: Any) -> None:
    """Set one field by its dotted path. Raises ScenarioError."""
    steps = parsed(path)
    here: Any = raw
    for depth, step in enumerate(steps):
        in_mapping = isinstance(here, dict) and isinstance(step, str)
        in_list = isinstance(here, list) and isinstance(step, int) and step < len(here)
        if not (in_mapping or in_list):
            raise ScenarioError(f"{path}: there is no {dotted(steps[: depth + 1])} to set")
        if depth == len(steps) - 1:
            here[step] = value
        else:
            here = here.setdefault(step, {}) if in_mapping else here[step]


def parsed(path: str) -> Path:
    """`fleet[0].count` as ("fleet", 0, "count"). Raises ScenarioError."""
    if not re.fullmatch(r"[^.\[\]]+(\[\d+\])*(\.[^.\[\]]+(\[\d+\])*)*", path):
        raise ScenarioError(
            f"{path!r} is no field: expected a path such as slo.ttft or fleet[0].count"
        )
    found = re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)
    return tuple(int(index) if index else name for index, name in found)


def dotted(path: Sequence[Step]) -> str:
    """("fleet", 0, "count") as `fleet[0].count`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def shown(value: object) -> str:
    """A value as an error repeats it."""
    text = repr(value)
    return text if len(text) <= SHOWN_VALUE else f"{text[: SHOWN_VALUE - 3]}..."


def unknown_name(given: str, names: Collection[str]) -> str:
    """What follows `field is 'x';` where a name was expected: the near miss and all there are."""
    found = difflib.get_close_matches(given, names, n=1)
    hint = f"did you mean {found[0]!r}? " if found else ""
    return f"{hint}allowed are {', '.join(sorted(names))}"


def explain(
    error: ValidationError, text: str, name: str, changed: Collection[str] = ()
) -> ScenarioError:
    """The first of pydantic's complaints, in our words.

    A field below a path in `changed` has no line in the text.
    """
    first = error.errors(include_url=False)[0]
    # Tags of unions are steps of pydantic's, not of the document.
    path = tuple(step for step in first["loc"] if not str(step).startswith("<"))
    unknown = (first["ctx"]["name"],) if first["type"] == "unknown_field" else ()
    problem = _problem(first)
    field = dotted(path)
    if any(f"{field}.".startswith((f"{set_to}.", f"{set_to}[")) for set_to in changed):
        where = f"{name} as set"
    else:
        line = _line_of(text, (*path, *unknown))
        where = f"{name} line {line}" if line is not None else name
    if not field:
        return ScenarioError(f"{where}: {problem}")
    if first["type"] == "missing":
        return ScenarioError(f"{where}: {field} {problem}")
    if unknown or (first["type"] == "value_error" and isinstance(first["input"], dict)):
        return ScenarioError(f"{where}: {field}: {problem}")
    return ScenarioError(f"{where}: {field} is {shown(first['input'])}; {problem}")


def _problem(error: Any) -> str:
    kind, message, context = error["type"], error["msg"], error.get("ctx", {})
    match kind:
        case "missing":
            return "is missing"
        case "value_error":
            return str(context["error"])
        case "literal_error":
            names = re.findall(r"'([^']*)'", context["expected"])
            return unknown_name(str(error["input"]), names)
        case "greater_than_equal":
            return f"it must be {context['ge']} or more"
        case "greater_than":
            return f"it must be more than {context['gt']:g}"
    return f"it must be {EXPECTED[kind]}" if kind in EXPECTED else str(message)


def _line_of(text: str, path: Path) -> int | None:
    """Where the field is written, or the last part of its path that is; None without one."""
    node = yaml.compose(text, yaml.SafeLoader)
    line = None
    for step in path:
        if isinstance(node, yaml.MappingNode):
            pairs = [pair for pair in node.value if pair[0].value == step]
            if not pairs:
                break
            key, node = pairs[0]
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            if step >= len(node.value):
                break
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line
