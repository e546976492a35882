"""Normalised parquet: the common schema as columns, provenance as JSON under `trace_meta`.

Writing and reading give back the same workload, bit for bit. It knows no other format.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from traces.formats import stamps
from traces.formats.content import Content
from traces.formats.parquet_table import read_table
from traces.schema import COLUMNS, REQUESTS, Schema, TraceError, refusal
from traces.workload import TraceMeta, Workload, name_missing_models

META_KEY = b"trace_meta"
ARROW_TYPES: dict[str, pa.DataType] = {
    "request_id": pa.int64(),
    "arrival_us": pa.int64(),
    "tenant_id": pa.string(),
    "session_id": pa.string(),
    "turn": pa.int32(),
    "think_time_us": pa.int64(),
    "model_id": pa.string(),
    "adapter_ids": pa.list_(pa.string()),
    "adapter_scales": pa.list_(pa.float32()),
    "prompt_tokens": pa.int32(),
    "output_tokens": pa.int32(),
    "block_size": pa.int16(),
    "prefix_hash_ids": pa.list_(pa.int64()),
    "slo_class": pa.dictionary(pa.int32(), pa.string()),
    "service_s": pa.float32(),
    "status": pa.dictionary(pa.int32(), pa.string()),
    "extra": pa.string(),
}
TRACE_ID_TYPE = pa.dictionary(pa.int16(), pa.string())
# Of the file, not of the trace: a reader counts and names these itself.
FILE_FACTS = ("rows", "columns_used", "columns_ignored")


def read(content: Content) -> Workload:
    """Raises TraceError for a missing column, a cell outside the schema or unreadable meta data."""
    table = read_table(content)
    missing = [n for n in ("request_id", "arrival_us", "model_id") if n not in table.column_names]
    if missing:
        raise refusal(content.file, None, missing[0], "no such column", ", ".join(COLUMNS))
    columns = columns_of(table, REQUESTS)
    meta = meta_of(content, table, columns, REQUESTS)
    if table.column("model_id").null_count and pa.types.is_string(table.column("model_id").type):
        columns["model_id"], meta = name_missing_models(columns["model_id"], meta)
    workload = Workload.of(columns, meta, content.file)
    if "time_quantum_us" in _stored(content.file, table):
        return workload
    arrivals_us = workload.frame["arrival_us"].to_numpy()
    quantum_us = stamps.quantum_us(arrivals_us, stamps.SECOND_US)
    meta = msgspec.structs.replace(meta, time_quantum_us=quantum_us)
    return Workload(workload.frame, meta)


def columns_of(table: pa.Table, schema: Schema) -> dict[str, Any]:
    """The schema's columns that are there, without those that are all null."""
    columns = {}
    for name, kind in schema.columns.items():
        if name in table.column_names:
            column = table.column(name)
            if column.null_count < len(column) or kind.required:
                columns[name] = _cells(column)
    return columns


def write(workload: Workload, path: Path) -> None:
    """Every column of the schema, an absent one as nulls, and the meta data."""
    size = len(workload)
    trace_id = workload.meta.trace_id or path.name.split(".")[0]
    arrays = [pa.array([trace_id] * size, pa.string()).cast(TRACE_ID_TYPE)]
    for name, kind in ARROW_TYPES.items():
        arrays.append(_array(workload.frame, name, kind))
    schema = pa.schema(
        [("trace_id", TRACE_ID_TYPE), *ARROW_TYPES.items()],
        metadata=metadata_of(workload.meta, size),
    )
    pq.write_table(pa.table(arrays, schema=schema), path, compression="zstd")


def metadata_of(meta: TraceMeta, rows: int) -> dict[bytes, str]:
    """A parquet file's metadata, without what the next reader finds out for itself."""
    stored = msgspec.to_builtins(meta) | {"rows": rows}
    for name in ("columns_used", "columns_ignored"):
        del stored[name]
    return {META_KEY: json.dumps(stored, sort_keys=True)}


def _array(frame: pd.DataFrame, name: str, kind: pa.DataType) -> pa.Array:
    if name not in frame:
        return pa.nulls(len(frame), kind)
    column = frame[name]
    if COLUMNS[name].kind == "float":
        return pa.array(column.to_numpy(), kind, from_pandas=True)
    if pa.types.is_dictionary(kind):
        return pa.array(column, pa.string()).cast(kind)
    return pa.array(column, kind)


def _cells(column: pa.ChunkedArray) -> Any:
    """Integers as a masked array (exact beyond 2**53), floats as numpy, others as objects."""
    if pa.types.is_integer(column.type):
        missing = column.is_null().to_numpy()
        whole = column.cast(pa.int64(), safe=False).fill_null(0).to_numpy()
        return pd.arrays.IntegerArray(whole.copy(), np.asarray(missing, dtype=bool))
    if pa.types.is_floating(column.type):
        return column.to_numpy()
    return column.to_pylist()


def _stored(file: str, table: pa.Table) -> dict[str, Any]:
    text = (table.schema.metadata or {}).get(META_KEY, b"{}")
    try:
        stored = json.loads(text)
    except ValueError:
        stored = None
    if not isinstance(stored, dict):
        raise TraceError(f"{file}: trace_meta {text[:60]!r} is not allowed: expected a JSON object")
    return {key: value for key, value in stored.items() if value is not None}


def meta_of(
    content: Content, table: pa.Table, columns: dict[str, Any], schema: Schema
) -> TraceMeta:
    """Keys that `TraceMeta` does not have become notes. Raises TraceError."""
    stored = _stored(content.file, table)
    known = {k: v for k, v in stored.items() if k in TraceMeta.__struct_fields__}
    notes = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in stored.items()
        if key not in TraceMeta.__struct_fields__ and key not in FILE_FACTS
    }
    names = [n for n in table.column_names if n not in schema.columns and n != "trace_id"]
    known |= {"columns_used": list(columns), "columns_ignored": names}
    known.setdefault("source", content.name)
    if "trace_id" not in known:
        known["trace_id"] = _trace_id(table) or content.stem
    try:
        known["notes"] = notes | msgspec.convert(known.get("notes", {}), dict[str, str])
        return msgspec.convert(known, TraceMeta)
    except msgspec.ValidationError as error:
        raise TraceError(f"{content.file}: trace_meta: {error}") from None


def _trace_id(table: pa.Table) -> str | None:
    if "trace_id" not in table.column_names or not table.num_rows:
        return None
    first = table.column("trace_id")[0].as_py()
    return first if isinstance(first, str) else None
