"""Which format a file has, told from its content, and the workload in it.

It knows the formats by their marks; how each is read is in its own module.
"""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from traces.formats import (
    azure_functions,
    azure_functions_2021,
    burstgpt,
    column_map,
    gentd26,
    jobs,
    mooncake,
    normalised,
    openb,
    parquet_table,
    philly,
    servegen,
    weka,
)
from traces.formats.azure_functions import FunctionMinutes
from traces.formats.column_map import KNOWN, ColumnMap, near_miss
from traces.formats.content import Content
from traces.formats.csv_table import header
from traces.jobs import Jobs
from traces.schema import TraceError
from traces.synthesis.clients import ClientData, ClientWindows
from traces.workload import Workload

PARQUET_MAGIC = b"PAR1"
NORMALISED_COLUMNS = frozenset(("request_id", "arrival_us", "model_id"))
MOONCAKE_KEYS = frozenset(("input_length", "output_length"))
DEFAULT_MODEL = "default"


class Format(StrEnum):
    """The formats that are read; `column-map` is a CSV with a map, never told from content."""

    NORMALISED = "normalised"
    MOONCAKE = "mooncake"
    AZURE_LLM = "azure-llm"
    AZURE_FUNCTIONS = "azure-functions"
    AZURE_FUNCTIONS_2021 = "azure-functions-2021"
    FUNCTION_MINUTES = "function-minutes"
    GENTD26 = "gentd26"
    VIDUR = "vidur"
    BURSTGPT = "burstgpt"
    WEKA = "weka"
    COLUMN_MAP = "column-map"
    JOBS = "jobs"
    OPENB = "openb"
    PHILLY = "philly"
    CLIENT_WINDOWS = "client-windows"
    CLIENT_LENGTHS = "client-lengths"

    @classmethod
    def named(cls, name: str) -> "Format":
        """Raises TraceError naming the formats there are."""
        if name not in [member.value for member in cls]:
            known = [member.value for member in cls]
            raise TraceError(
                f"format {name!r} is not allowed{near_miss(name, known)}: "
                f"expected one of {', '.join(known)}"
            )
        return cls(name)


JOBS: Final[dict[Format, Callable[[Content], Jobs]]] = {
    Format.JOBS: jobs.read,
    Format.OPENB: openb.read,
    Format.PHILLY: philly.read,
}


def detect(content: Content) -> Format:
    """Raises TraceError, with the columns that are there, for a file of no known format."""
    if content.data.startswith(PARQUET_MAGIC):
        return _of_parquet(content)
    if content.data.lstrip()[:1] in (b"{", b"["):
        return _of_json(content)
    content.check_text()
    return _of_csv(content)


def read_workload(
    path: Path,
    *,
    file_format: Format | None = None,
    columns: ColumnMap | None = None,
    model: str = DEFAULT_MODEL,
    seed: int = 0,
) -> Workload:
    """The requests of a file, `.gz` and `.zst` included.

    `model` names the base model where the file names none; `seed` spreads the invocations of a
    function trace in their minutes. Raises TraceError.
    """
    content = Content.of(path)
    if columns is not None:
        if file_format not in (None, Format.COLUMN_MAP):
            raise TraceError(f"a column map reads no {file_format} file: expected one or the other")
        return column_map.read(content, columns, model)
    return read_content(content, file_format or detect(content), model, seed)


def read_trace(
    path: Path,
    *,
    file_format: Format | None = None,
    columns: ColumnMap | None = None,
    model: str = DEFAULT_MODEL,
    seed: int = 0,
) -> Workload | Jobs | ClientWindows:
    """Like `read_workload`, and training jobs and clients' windows as well."""
    if columns is not None:
        return read_workload(path, file_format=file_format, columns=columns, model=model)
    content = Content.of(path)
    told = file_format or detect(content)
    if told == Format.CLIENT_WINDOWS:
        return servegen.read_rates(content)
    return jobs_of(content, told) if told in JOBS else read_content(content, told, model, seed)


def read_content(content: Content, file_format: Format, model: str, seed: int) -> Workload:
    """Like `read_workload`, of bytes whose format is known."""
    match file_format:
        case Format.NORMALISED:
            return normalised.read(content)
        case Format.MOONCAKE:
            return mooncake.read(content, model)
        case Format.WEKA:
            return weka.read(content, model)
        case Format.GENTD26:
            return gentd26.read(content)
        case Format.BURSTGPT:
            return burstgpt.read(content)
        case Format.AZURE_FUNCTIONS_2021:
            return azure_functions_2021.read(content)
        case Format.AZURE_FUNCTIONS | Format.FUNCTION_MINUTES:
            return minutes_of(content, file_format).spread(seed)
        case Format.JOBS | Format.OPENB | Format.PHILLY:
            raise TraceError(f"{content.file}: a trace of training jobs: expected requests")
        case Format.CLIENT_WINDOWS | Format.CLIENT_LENGTHS:
            raise TraceError(
                f"{content.file}: {file_format}, from which `hotbed traces synth servegen` draws: "
                "expected requests"
            )
        case Format.COLUMN_MAP:
            raise TraceError(f"{content.file}: the format {file_format} needs a column map")
        case _:
            return column_map.read(content, KNOWN[file_format], model)


def read_jobs(path: Path) -> Jobs:
    """The training jobs of a file. Raises TraceError for any other trace."""
    content = Content.of(path)
    told = detect(content)
    if told not in JOBS:
        raise TraceError(f"{content.file}: a {told} trace: expected training jobs")
    return jobs_of(content, told)


def jobs_of(content: Content, file_format: Format) -> Jobs:
    """Like `read_jobs`, of bytes whose format is one of `JOBS`."""
    return JOBS[file_format](content)


def read_clients(rates: Path, lengths: Path | None = None) -> ClientData:
    """Rates of clients, and where a file is given, their lengths. Raises TraceError."""
    content = Content.of(rates)
    _expect(content, Format.CLIENT_WINDOWS)
    windows = servegen.read_rates(content)
    if lengths is None:
        return ClientData(windows)
    content = Content.of(lengths)
    _expect(content, Format.CLIENT_LENGTHS)
    return ClientData(windows, servegen.read_lengths(content))


def _expect(content: Content, wanted: Format) -> None:
    told = detect(content)
    if told != wanted:
        raise TraceError(f"{content.file}: a {told} file: expected {wanted}")


def read_function_minutes(path: Path) -> FunctionMinutes:
    """Invocations by function and minute. Raises TraceError for any other trace."""
    content = Content.of(path)
    return minutes_of(content, detect(content))


def minutes_of(content: Content, file_format: Format) -> FunctionMinutes:
    """Like `read_function_minutes`, of bytes whose format is known."""
    if file_format == Format.AZURE_FUNCTIONS:
        return azure_functions.read_csv(content)
    if file_format == Format.AZURE_FUNCTIONS_2021:
        return azure_functions_2021.read_minutes(content)
    if file_format == Format.FUNCTION_MINUTES:
        return azure_functions.read_parquet(content)
    raise TraceError(
        f"{content.file}: a {file_format} trace: expected invocations by function and minute"
    )


def _of_parquet(content: Content) -> Format:
    names = parquet_table.column_names(content)
    if set(names) >= NORMALISED_COLUMNS:
        return Format.NORMALISED
    if "function" in names and azure_functions.minute_columns(names):
        return Format.FUNCTION_MINUTES
    if set(names) >= set(jobs.NEEDED):
        return Format.JOBS
    if set(names) >= servegen.RATES:
        return Format.CLIENT_WINDOWS
    if set(names) >= servegen.LENGTHS:
        return Format.CLIENT_LENGTHS
    raise _unknown(content.file, names, f"the columns {', '.join(sorted(NORMALISED_COLUMNS))}")


def _of_json(content: Content) -> Format:
    record = _first_record(content)
    keys = set(record) if isinstance(record, dict) else set()
    if keys >= MOONCAKE_KEYS:
        return Format.MOONCAKE
    if keys >= weka.MARKS:
        return Format.WEKA
    found = list(record) if isinstance(record, dict) else [type(record).__name__]
    expected = " or ".join(", ".join(sorted(marks)) for marks in (MOONCAKE_KEYS, weka.MARKS))
    raise _unknown(content.file, found, f"the keys {expected}")


def _first_record(content: Content) -> object:
    """The first line's; one record may also spread over the whole file."""
    line = content.data.lstrip().split(b"\n", 1)[0]
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        broken = TraceError(f"{content.file}, row 1: no JSON: {error}")
    if line.strip() not in (b"{", b"["):
        raise broken
    try:
        return msgspec.json.decode(content.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise broken from None


def _of_csv(content: Content) -> Format:
    names = header(content)
    if "HashFunction" in names and azure_functions.minute_columns(names):
        return Format.AZURE_FUNCTIONS
    if set(names) >= azure_functions_2021.NEEDED:
        return Format.AZURE_FUNCTIONS_2021
    if set(names) >= openb.NEEDED:
        return Format.OPENB
    if set(names) >= philly.NEEDED:
        return Format.PHILLY
    if burstgpt.fits(names):
        return Format.BURSTGPT
    if set(names) >= gentd26.NEEDED:
        return Format.GENTD26
    for name, known in KNOWN.items():
        if known.fits(names):
            return Format(name)
    raise _unknown(content.file, names, "a known header, or a column map (--map)")


def _unknown(file: str, names: list[str], expected: str) -> TraceError:
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return TraceError(f"{file}: no known request trace: found {shown[:300]}: expected {expected}")
