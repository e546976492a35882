"""Normalised parquet of training jobs: the schema of `traces.jobs` as columns, with `trace_meta`.

Writing and reading give back the same jobs. It knows no other format.
"""

from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from traces.formats import stamps
from traces.formats.content import Content
from traces.formats.normalised import columns_of, meta_of, metadata_of
from traces.formats.parquet_table import read_table
from traces.jobs import JOBS, Jobs
from traces.schema import refusal

NEEDED: Final = ("job_id", "submit_us", "num_gpus", "duration_s")
ARROW_TYPES: Final[dict[str, pa.DataType]] = {
    "job_id": pa.int64(),
    "submit_us": pa.int64(),
    "tenant_id": pa.string(),
    "base_model_id": pa.string(),
    "output_adapter_id": pa.string(),
    "method": pa.string(),
    "num_gpus": pa.int16(),
    "gpu_frac": pa.float32(),
    "duration_s": pa.float64(),
    "deadline_us": pa.int64(),
    "priority": pa.int8(),
    "preemptible": pa.bool_(),
    "status": pa.string(),
    "extra": pa.string(),
}


def read(content: Content) -> Jobs:
    """Jobs that never ran have no duration: they are left out, and the meta data says how many.

    Raises TraceError for a missing column, a cell outside the schema or unreadable meta data.
    """
    table = read_table(content)
    missing = [name for name in NEEDED if name not in table.column_names]
    if missing:
        raise refusal(content.file, None, missing[0], "no such column", ", ".join(JOBS.columns))
    ran = pc.is_valid(table.column("duration_s"))
    absent = len(table) - int(pc.sum(ran).as_py() or 0)
    table = table.filter(ran) if absent else table
    columns = columns_of(table, JOBS)
    meta = meta_of(content, table, columns, JOBS)
    if absent:
        meta = meta.noted("duration_s", f"{absent} jobs that never ran are left out")
    jobs = Jobs.of(columns, meta, content.file)
    if meta.time_quantum_us:
        return jobs
    submits_us = jobs.frame["submit_us"].to_numpy()
    quantum_us = stamps.quantum_us(submits_us, stamps.SECOND_US)
    return Jobs(jobs.frame, msgspec.structs.replace(meta, time_quantum_us=quantum_us))


def write(jobs: Jobs, path: Path) -> None:
    """Every column of the schema, an absent one as nulls, and the meta data."""
    arrays = [
        pa.array(jobs.frame[name], kind, from_pandas=True)
        if name in jobs.frame
        else pa.nulls(len(jobs), kind)
        for name, kind in ARROW_TYPES.items()
    ]
    schema = pa.schema(list(ARROW_TYPES.items()), metadata=metadata_of(jobs.meta, len(jobs)))
    pq.write_table(pa.table(arrays, schema=schema), path, compression="zstd")
