"""A process for one measurement: `python -m runtime.bench.load.child`.

It reads the words of its task as a line of JSON and answers a line a step: `ready` after it has
prepared, the times after `go`, whether the bits are right after `check`, and after `link` what a
copy of pinned memory to its device takes. Standard output is
kept for these lines; whatever a package prints goes to standard error.
"""

import gc
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final, TextIO

import torch

from runtime.bench.gpu.links import link
from runtime.bench.load.attaching import Attach
from runtime.bench.load.store_tasks import Create, FromPool, Import, Together
from runtime.bench.load.tasks import LoadFiles, Task
from runtime.bench.load.usage import timed
from runtime.bench.load.words import Asked, TaskName

TASKS: Final[Mapping[TaskName, Callable[[Asked], Task]]] = {
    "load": LoadFiles,
    "pool": lambda asked: FromPool(asked, copy=True),
    "views": lambda asked: FromPool(asked, copy=False),
    "together": Together,
    "attach": Attach,
    "create": Create,
    "import": Import,
}


def main() -> None:
    answers = _answers()
    asked = Asked(**json.loads(sys.stdin.readline()))
    task = task_of(asked)
    try:
        task.prepare()
        _settle()
        _say(answers, {"ready": os.getpid()})
        for line in sys.stdin:
            _say(answers, _step(line.strip(), task, asked))
    finally:
        task.close()


def task_of(asked: Asked) -> Task:
    return TASKS[asked.task](asked)


def _settle() -> None:
    """A full collection costs some 100 ms with torch imported, as much as a whole adapter; a
    serving process freezes what it imported, and so does this one, whoever's loader it runs.
    """
    gc.collect()
    gc.freeze()


def _step(word: str, task: Task, asked: Asked) -> dict[str, Any]:
    if word == "go":
        laps, used = timed(task.run)
        return {"used": asdict(used), "laps": [asdict(lap) for lap in laps]}
    if word == "check":
        with open(asked.manifest, encoding="utf-8") as file:
            return {"wrong": task.wrong(json.load(file)["tensors"])}
    if word == "link":
        found = link(torch.device(asked.device), asked.weight_bytes)
        return {"bytes": asked.weight_bytes, "seconds": found["to_device_s"]}
    raise ValueError(f"{word!r}: expected go, check or link")


def _answers() -> TextIO:
    """The real standard output; descriptor 1 becomes standard error."""
    kept = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(kept, "w", encoding="utf-8")


def _say(answers: TextIO, what: dict[str, Any]) -> None:
    print(json.dumps(what), file=answers, flush=True)


if __name__ == "__main__":
    main()
