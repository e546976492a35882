"""Philly: training jobs of a Microsoft GPU cluster, one a line.

`timestamp` (of submission), `duration` (s), `num_gpus` and `cluster` (the virtual cluster, a
tenant), as ElasticFlow and Pollux carry Jeon et al.'s trace (ATC 2019; msr-fiddle/philly-traces).
It knows no other format.
"""

from typing import Any, Final

import numpy as np

from traces.formats import stamps
from traces.formats.content import Content
from traces.formats.csv_table import CsvTable
from traces.jobs import Jobs
from traces.workload import TraceMeta

NEEDED: Final = frozenset(("timestamp", "duration", "num_gpus"))
TENANT: Final = "cluster"


def read(content: Content) -> Jobs:
    """Time 0 is the first submission. Raises TraceError."""
    table = CsvTable.of(content)
    submits_us = table.stamps_ns("timestamp") // 1_000
    columns: dict[str, Any] = {
        "job_id": np.arange(len(table)),
        "submit_us": submits_us - submits_us.min(initial=2**63 - 1),
        "num_gpus": table.whole_numbers("num_gpus"),
        "duration_s": table.numbers("duration"),
    }
    if TENANT in table.names:
        columns["tenant_id"] = table.texts(TENANT)
    used = NEEDED | {TENANT}
    meta = TraceMeta(
        source="Philly (msr-fiddle/philly-traces)",
        licence="CC-BY-4.0",
        trace_id=content.stem,
        time_quantum_us=stamps.SECOND_US,
        columns_used=tuple(name for name in table.names if name in used),
        columns_ignored=tuple(name for name in table.names if name not in used),
    )
    return Jobs.of(columns, meta, content.file)
