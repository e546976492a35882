"""What is wrong with a profile's file, in words: the field, its value, and what is allowed.

It knows msgspec's messages and no profile.
"""

import difflib
import re
import types
import typing
from collections.abc import Collection
from typing import Any

import msgspec


def allowed(given: str, names: Collection[str]) -> str:
    near = difflib.get_close_matches(given, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"allowed are {', '.join(sorted(names))}{hint}"


def explain(message: str, raw: Any, root: type[msgspec.Struct], words: Collection[str]) -> str:
    """msgspec's message with the field in front, its value, and the names that are allowed.

    `raw` is what was to become a `root`; `words` are the values of its only enumeration.
    """
    what, _, where = message.partition(" - at ")
    path = re.findall(r"\.(\w+)|\[(\d+)\]", where)
    field = where.strip("`").removeprefix("$").removeprefix(".") or "the file"
    unknown = re.search(r"unknown field `(\w+)`", what)
    if unknown:
        fields = [known.name for known in msgspec.structs.fields(_struct_at(path, root))]
        return f"{field}: unknown field {unknown[1]!r}; {allowed(unknown[1], fields)}"
    if "Invalid enum value" in what:
        value = str(_value_at(raw, path))
        return f"{field} is {value!r}; {allowed(value, words)}"
    if "missing required" in what or "reason is empty" in what:
        return f"{field}: {what}"
    return f"{field} is {_value_at(raw, path)!r}; {what}"


def _value_at(raw: Any, path: list[tuple[str, str]]) -> Any:
    for name, index in path:
        raw = raw[name] if name else raw[int(index)]
    return raw


def _struct_at(path: list[tuple[str, str]], struct: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The struct that a path of fields leads to; an index stays in the struct of its field."""
    for name, _index in path:
        if name:
            struct = _struct_in(typing.get_type_hints(struct)[name])
    return struct


def _struct_in(hint: Any) -> type[msgspec.Struct]:
    inner = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    inner = typing.get_args(hint) if typing.get_origin(hint) is tuple else inner
    found: type[msgspec.Struct] = inner[0]
    return found
