"""The record of a measurement on a machine that may go away: one JSON file, whole after each stage.

It knows stages by name and their results as plain values; what they mean is theirs.
"""

import json
import os
from pathlib import Path
from typing import Final

from runtime.store.errors import StoreError

SCHEMA: Final = "hotbed-gpu/1"
LIMIT_BYTES: Final = 1 << 20  # a record is small enough to commit and to send back

Result = dict[str, object]


class Record:
    """What each stage gave, how long it took, or why it gave nothing.

    `begin` opens the file of an earlier try and goes on from it, if it is of the same device and
    scale; a file of another one is refused, not overwritten.
    """

    def __init__(self, path: Path, about: Result, stages: dict[str, Result]) -> None:
        self._path = path
        self.about = about
        self.stages = stages

    @classmethod
    def begin(cls, path: Path, about: Result) -> "Record":
        if not path.exists():
            return cls(path, about, {})
        found = _read(path)
        for key in ("device", "scale"):
            if found.about.get(key) != about[key]:
                raise StoreError(
                    f"{path}: {key} {found.about.get(key)!r} of an earlier try is not "
                    f"{about[key]!r}; name another file or remove this one"
                )
        return found

    def done(self, stage: str) -> bool:
        """Whether the stage gave a result; one that failed or was left out is tried again."""
        return "result" in self.stages.get(stage, {})

    def put(self, stage: str, **said: object) -> None:
        """Note a stage's result, error or reason, and write the file anew under its name."""
        self.stages[stage] = said
        text = json.dumps({"schema": SCHEMA, "about": self.about, "stages": self.stages}, indent=1)
        if len(text) > LIMIT_BYTES:
            raise StoreError(f"{self._path}: {len(text)} bytes with stage {stage}, over 1 MiB")
        partial = self._path.with_name(self._path.name + ".partial")
        partial.write_text(text + "\n")
        os.replace(partial, self._path)


def _read(path: Path) -> Record:
    try:
        found = json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise StoreError(f"{path}: not a record of an earlier try: {error}") from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise StoreError(f"{path}: not a record of schema {SCHEMA}")
    return Record(path, dict(found["about"]), dict(found["stages"]))
