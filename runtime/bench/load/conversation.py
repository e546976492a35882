"""The parent's side of a measured process: start it, tell it when, and hear what it took."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from runtime.bench.load.usage import Used
from runtime.bench.load.words import Asked, Lap
from runtime.store.errors import StoreError

ROOT: Final = Path(__file__).parents[3]
LIMIT_S: Final = 900.0
OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}


class ChildError(StoreError):
    """A measured process that failed; the message ends with the last line that it wrote."""


@dataclass(frozen=True, slots=True)
class Outcome:
    used: Used
    laps: tuple[Lap, ...]


class Child:
    """One process; it ends with the `with` block, whatever happens in it."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "runtime.bench.load.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(),
            text=True,
        )

    def prepare(self) -> None:
        """Returns when it is ready to go. Raises ChildError, as the other steps do."""
        self._ask(json.dumps(asdict(self._asked)))

    def go(self) -> Outcome:
        answer = self._ask("go")
        return Outcome(Used(**answer["used"]), tuple(Lap(**lap) for lap in answer["laps"]))

    def link(self) -> tuple[int, float]:
        """Bytes and seconds of a copy of pinned memory to the device."""
        answer = self._ask("link")
        return answer["bytes"], answer["seconds"]

    def check(self) -> str | None:
        """What is wrong with the result's bits; None where nothing is."""
        wrong: str | None = self._ask("check")["wrong"]
        return wrong

    def _ask(self, line: str) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        timer = threading.Timer(LIMIT_S, self._process.kill)
        timer.start()
        try:
            print(line, file=stdin, flush=True)
            answer = stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            timer.cancel()
        if not answer:
            raise ChildError(f"{self._asked.loader}: {self._last_words()}")
        found: dict[str, Any] = json.loads(answer)
        return found

    def _last_words(self) -> str:
        status = self._process.wait(LIMIT_S)
        self._errors.seek(0)
        lines = [line for line in self._errors.read().splitlines() if line.strip()]
        return lines[-1].strip() if lines else f"its process ended with status {status}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._process.kill()
        try:
            self._process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        finally:
            self._errors.close()


def environment() -> Mapping[str, str]:
    """This project first on the path; no package may look for a network."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    return {**os.environ, **OFFLINE, "PYTHONPATH": path}
