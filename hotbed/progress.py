"""A progress bar on standard error, where that is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

#: Told how much is done, and a few words about where it is.
Advance = Callable[[int, str], None]


@contextmanager
def bar(title: str, total: int, unit: str) -> Iterator[Advance]:
    """Without a terminal nothing is printed."""
    if not sys.stderr.isatty():
        yield lambda done, where: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(f"{{task.completed:,.0f}}/{{task.total:,.0f}} {unit}"),
        TextColumn("{task.fields[where]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total, where="")
        yield lambda done, where: progress.update(task, completed=done, where=where)
