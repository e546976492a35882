"""What `hotbed traces list` finds under a folder: a line for each trace, a reason for each other.

It knows files and formats. It prints nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from traces.formats import servegen
from traces.formats.content import Content
from traces.formats.detect import (
    DEFAULT_MODEL,
    JOBS,
    Format,
    detect,
    jobs_of,
    minutes_of,
    read_content,
)
from traces.schema import TraceError

ENDINGS = (".parquet", ".csv", ".jsonl", ".json")
PACKINGS = (".gz", ".zst")
REQUESTS = "requests"


@dataclass(frozen=True, slots=True)
class Found:
    """One trace of `count` requests or other things; `span_s` ends with the last of them.

    Functions count as models.
    """

    file: str
    format: str
    count: int
    holds: str
    span_s: float
    models: int = 0
    adapters: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """One file that may be a trace by its name, and why it is not read."""

    file: str
    reason: str


def scan(folder: Path) -> Iterator[Found | Refused]:
    """Every file under `folder` with a trace's ending, in the order of names."""
    if not folder.is_dir():
        raise TraceError(f"{folder}: no such folder: expected a folder with traces")
    for path in sorted(folder.rglob("*")):
        if path.is_file() and _ending(path) in ENDINGS:
            try:
                yield examine(path, path.relative_to(folder))
            except TraceError as error:
                yield Refused(str(path.relative_to(folder)), str(error))


def examine(path: Path, shown: Path) -> Found:
    """Raises TraceError where the file is no trace."""
    content = Content.of(path)
    file_format = detect(content)
    if file_format in (Format.AZURE_FUNCTIONS, Format.FUNCTION_MINUTES):
        minutes = minutes_of(content, file_format)
        span_s, functions = minutes.minutes * 60.0, len(minutes.functions)
        return Found(str(shown), file_format, minutes.invocations, REQUESTS, span_s, functions)
    if file_format in JOBS:
        read = jobs_of(content, file_format)
        return Found(str(shown), file_format, len(read), "jobs", read.span_s)
    if file_format == Format.CLIENT_WINDOWS:
        clients = servegen.read_rates(content)
        span_s = float(clients.windows * clients.window_s)
        size, sources = len(clients.clients), len(clients.sources)
        return Found(str(shown), file_format, size, "clients", span_s, sources)
    workload = read_content(content, file_format, DEFAULT_MODEL, 0)
    size, span_s = len(workload), workload.duration_s
    models, adapters = len(workload.models()), len(workload.adapters())
    return Found(str(shown), file_format, size, REQUESTS, span_s, models, adapters)


def _ending(path: Path) -> str:
    """The ending below a packing: .jsonl of a.jsonl.zst."""
    inner = path.with_suffix("") if path.suffix in PACKINGS else path
    return inner.suffix
