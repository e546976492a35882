"""ServeGen: rates of the clients of a model service in 10-minute windows, and their lengths.

Two tables of Alibaba Cloud Model Studio's data (Xiang et al., arXiv:2505.09999; alibaba/ServeGen),
as parquet: `model, client, t_s, rate_rps, cv, pattern, shape, scale` and, by 6-hour window,
`model, client, t_s, field, mean, p5 .. p99, max` in tokens. Neither has requests: a synthesiser
draws them. It knows no other format.
"""

from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from traces.formats.content import Content
from traces.formats.parquet_table import read_table
from traces.schema import refusal
from traces.synthesis.clients import Client, ClientLengths, ClientWindows, LengthTable
from traces.workload import TraceMeta

SOURCE: Final = "ServeGen (alibaba/ServeGen)"
LICENCE: Final = "Apache-2.0"
RATES: Final = frozenset(("model", "client", "t_s", "rate_rps", "pattern", "shape"))
QUANTILES: Final = ("p5", "p25", "p50", "p75", "p90", "p95", "p99", "max")
LENGTHS: Final = frozenset(("model", "client", "t_s", "field", *QUANTILES))
FIELDS: Final = ("input_tokens", "output_tokens")
GAMMA, WEIBULL = "Gamma", "Weibull"
#: What lies beyond is a fit that failed.
SHAPES: Final = (1e-3, 1e4)
MOST_WINDOWS = 100_000
ALONE_S = 600  # a table of one time says nothing of its windows; ServeGen's have 10 minutes


def read_rates(content: Content) -> ClientWindows:
    """Raises TraceError for a cell that is none, and for windows that are not on one grid."""
    table = _frame(content, read_table(content), RATES)
    window_s, window = _windows(content, _whole(content, table, "t_s"))
    clients, client = _clients(content, table)
    _check_once(content, client, window)
    rate_rps = _numbers(content, table, "rate_rps")
    weibull = _weibull(content, table, rate_rps)
    shape = _shapes(content, table, rate_rps)
    grid = (len(clients), int(window.max()) + 1)
    made = [np.zeros(grid), np.ones(grid), np.zeros(grid, dtype=bool)]
    for values, column in zip(made, (rate_rps, shape, weibull), strict=True):
        values[client, window] = column
    meta = TraceMeta(
        source=SOURCE,
        licence=LICENCE,
        trace_id=content.stem,
        columns_used=tuple(sorted(RATES)),
        columns_ignored=tuple(name for name in table.attrs["names"] if name not in RATES),
    )
    return ClientWindows(clients, window_s, made[0], made[1], made[2], meta)


def _windows(content: Content, starts_s: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
    """The length of a window, seconds, and the number of each row's."""
    steps_s = np.diff(np.unique(starts_s))
    window_s = int(steps_s.min()) if len(steps_s) else ALONE_S
    window = starts_s // window_s
    for bad, allowed in (
        (starts_s % window_s > 0, f"a multiple of the step, {window_s} s"),
        (window >= MOST_WINDOWS, f"fewer than {MOST_WINDOWS} windows of {window_s} s"),
    ):
        if bad.any():
            row = int(bad.argmax())
            raise refusal(content.file, row + 1, "t_s", int(starts_s[row]), allowed)
    return window_s, window


def _shapes(
    content: Content, table: pd.DataFrame, rate_rps: NDArray[np.float64]
) -> NDArray[np.float64]:
    """1 where nobody asks: there is no law then."""
    shape = np.where(rate_rps > 0, _numbers(content, table, "shape"), 1.0)
    bad = (shape < SHAPES[0]) | (shape > SHAPES[1])
    if bad.any():
        row = int(bad.argmax())
        allowed = f"from {SHAPES[0]:g} to {SHAPES[1]:g}"
        raise refusal(content.file, row + 1, "shape", shape[row], allowed)
    return shape


def read_lengths(content: Content) -> ClientLengths:
    """Clients that have both prompt and output lengths. Raises TraceError."""
    table = _frame(content, read_table(content), LENGTHS)
    _whole(content, table, "t_s")
    clients, client = _clients(content, table)
    for name in QUANTILES:
        _numbers(content, table, name)
    _check_ascending(content, table)
    table = table.assign(client=client)
    parts = [table[table["field"] == name].set_index(["client", "t_s"]) for name in FIELDS]
    for part, name in zip(parts, FIELDS, strict=True):
        if part.index.has_duplicates:
            first = part.index[part.index.duplicated()][0]
            raise refusal(content.file, None, "field", name, f"each client and time once: {first}")
    both = parts[0].index.intersection(parts[1].index).sort_values()
    values = [np.maximum(part.loc[both, list(QUANTILES)].to_numpy(float), 1.0) for part in parts]
    owner = both.get_level_values("client").to_numpy(dtype=np.int64)
    from_s = both.get_level_values("t_s").to_numpy(dtype=np.int64)
    return {
        clients[number]: LengthTable(*(each[owner == number] for each in (from_s, *values)))
        for number in np.unique(owner).tolist()
    }


def _frame(content: Content, table: pa.Table, needed: frozenset[str]) -> pd.DataFrame:
    missing = sorted(needed - set(table.column_names))
    if missing:
        raise refusal(content.file, None, missing[0], "no such column", ", ".join(sorted(needed)))
    frame: pd.DataFrame = table.select(sorted(needed)).to_pandas(ignore_metadata=True)
    frame.attrs["names"] = table.column_names
    if not len(frame):
        raise refusal(content.file, None, None, "no row", "a row for each client and window")
    return frame


def _clients(content: Content, table: pd.DataFrame) -> tuple[tuple[Client, ...], NDArray[np.int64]]:
    """The clients in order of name, and the client of each row."""
    numbers = _whole(content, table, "client")
    models = table["model"].astype(object)
    if models.isna().any():
        raise refusal(
            content.file, int(models.isna().to_numpy().argmax()) + 1, "model", None, "a name"
        )
    keys = pd.MultiIndex.from_arrays([models.astype(str), numbers])
    codes, names = pd.factorize(keys, sort=True)
    return tuple(Client(str(model), int(number)) for model, number in names), codes.astype(np.int64)


def _whole(content: Content, table: pd.DataFrame, name: str) -> NDArray[np.int64]:
    values = _numbers(content, table, name)
    bad = (values != np.floor(values)) | (values >= 2**53)
    if bad.any():
        row = int(bad.argmax())
        raise refusal(content.file, row + 1, name, values[row], "a whole number of 0 or more")
    return values.astype(np.int64)


def _numbers(content: Content, table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    allowed = "a finite number of 0 or more"
    try:
        values: NDArray[np.float64] = table[name].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise refusal(content.file, None, name, str(table[name].dtype), allowed) from None
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        row = int(bad.argmax())
        raise refusal(content.file, row + 1, name, values[row], allowed)
    return values


def _weibull(
    content: Content, table: pd.DataFrame, rate_rps: NDArray[np.float64]
) -> NDArray[np.bool_]:
    pattern: Any = table["pattern"].astype(object).to_numpy()
    bad = (rate_rps > 0) & ~np.isin(pattern.astype(str), (GAMMA, WEIBULL))
    if bad.any():
        row = int(bad.argmax())
        found = None if pd.isna(pattern[row]) else pattern[row]
        raise refusal(content.file, row + 1, "pattern", found, f"{GAMMA} or {WEIBULL}")
    told: NDArray[np.bool_] = pattern == WEIBULL
    return told


def _check_once(content: Content, client: NDArray[np.int64], window: NDArray[np.int64]) -> None:
    twice = pd.Series(client * MOST_WINDOWS + window).duplicated().to_numpy()
    if twice.any():
        row = int(twice.argmax())
        raise refusal(content.file, row + 1, "t_s", "the window", "each client's window once")


def _check_ascending(content: Content, table: pd.DataFrame) -> None:
    values = table[list(QUANTILES)].to_numpy(dtype=np.float64)
    bad = (np.diff(values, axis=1) < 0).any(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise refusal(content.file, row + 1, "p5", values[row, 0], "quantiles that ascend to max")
