"""Made-up clients of two source models, as ServeGen's tables have them."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from traces.formats.content import Content
from traces.synthesis.clients import Client, ClientData, ClientWindows, LengthTable
from traces.workload import TraceMeta

WINDOW_S = 600


def windows(
    rates: list[list[float]], *, weibull: bool = False, shape: float = 1.0
) -> ClientWindows:
    """Clients of source "big", but the last, which is one of "small"."""
    rate_rps = np.array(rates)
    clients = [Client("big", number) for number in range(len(rates) - 1)]
    return ClientWindows(
        (*clients, Client("small", 0)),
        WINDOW_S,
        rate_rps,
        np.full(rate_rps.shape, shape),
        np.full(rate_rps.shape, weibull),
        TraceMeta(source="made", licence="made", trace_id="clients"),
    )


def lengths(middle: float, *times_s: int) -> LengthTable:
    """Prompts around `middle` tokens, outputs of a tenth; both double at every further time."""
    prompts = np.array([0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5]) * middle
    grown = np.array([prompts * 2**number for number in range(len(times_s))])
    return LengthTable(np.array(times_s), grown, grown / 10)


def data(rates: list[list[float]], **more: Any) -> ClientData:
    return ClientData(windows(rates, **more))


def parquet(**columns: list[Any]) -> Content:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return Content("clients.parquet", sink.getvalue())


def rate_columns() -> dict[str, list[Any]]:
    return {
        "model": ["big", "big", "small", "big"],
        "client": [0, 0, 0, 7],
        "t_s": [0, 600, 0, 1200],
        "rate_rps": [2.0, 0.0, 0.5, 1.0],
        "cv": [1.0, 0.0, 2.0, 1.0],
        "pattern": ["Gamma", None, "Weibull", "Gamma"],
        "shape": [1.0, 0.0, 0.6, 0.25],
        "scale": [0.5, 0.0, 1.0, 4.0],
    }


def length_columns() -> dict[str, list[Any]]:
    levels = ("p5", "p25", "p50", "p75", "p90", "p95", "p99", "max")
    return {
        "model": ["big"] * 3 + ["small"],
        "client": [0, 0, 0, 0],
        "t_s": [0, 0, 21_600, 0],
        "field": ["input_tokens", "output_tokens", "input_tokens", "input_tokens"],
        "mean": [100.0] * 4,
        **{name: [10.0 * (at + 1), 1.0 + at, 20.0, 5.0] for at, name in enumerate(levels)},
    }
