"""Alibaba openb: the pods of a GPU cluster with their share of a GPU and quality of service.

`name, num_gpu, gpu_milli` (thousandths of one GPU), `qos, pod_phase, creation_time, scheduled_time,
deletion_time` in seconds (Weng et al., ATC 2023; alibaba/clusterdata, cluster-trace-gpu-v2023). A
pod ran from its scheduling to its deletion. It knows no other format.
"""

from typing import Any, Final

import numpy as np

from traces.formats import stamps
from traces.formats.content import Content
from traces.formats.csv_table import CsvTable
from traces.jobs import Jobs
from traces.schema import refusal
from traces.workload import TraceMeta

NEEDED: Final = frozenset(
    ("num_gpu", "gpu_milli", "creation_time", "scheduled_time", "deletion_time")
)
TEXTS: Final = {"pod_phase": "status", "qos": "extra"}
BEST_EFFORT: Final = "BE"
US_PER_S = 1_000_000
MILLI = 1_000


def read(content: Content) -> Jobs:
    """Pods that were never scheduled are left out, and the meta data says how many.

    Best-effort pods may be preempted; `extra` is the quality of service. Raises TraceError.
    """
    table = CsvTable.of(content)
    created_s = table.numbers("creation_time")
    lasted_s = table.numbers("deletion_time", optional=True) - table.numbers(
        "scheduled_time", optional=True
    )
    if (lasted_s < 0).any():
        row = int((lasted_s < 0).argmax())
        raise refusal(
            content.file, row + 1, "deletion_time", lasted_s[row], "a time after scheduled_time"
        )
    ran = ~np.isnan(lasted_s)
    gpus = table.whole_numbers("num_gpu")
    part = table.numbers("gpu_milli") / MILLI
    columns: dict[str, Any] = {
        "job_id": np.arange(len(table)),
        "submit_us": np.rint(created_s * US_PER_S).astype(np.int64),
        "num_gpus": gpus,
        "gpu_frac": np.where(gpus == 1, part, np.nan),
        "duration_s": lasted_s,
    }
    columns |= {name: table.texts(key) for key, name in TEXTS.items() if key in table.names}
    if "qos" in table.names:
        columns["preemptible"] = [qos == BEST_EFFORT for qos in columns["extra"]]
    kept = {name: np.asarray(values, dtype=None)[ran] for name, values in columns.items()}
    meta = _meta(content, table)
    if not ran.all():
        meta = meta.noted("duration_s", f"{int((~ran).sum())} jobs that never ran are left out")
    return Jobs.of(kept, meta, content.file)


def _meta(content: Content, table: CsvTable) -> TraceMeta:
    used = NEEDED | set(TEXTS)
    return TraceMeta(
        source="Alibaba openb (alibaba/clusterdata, cluster-trace-gpu-v2023)",
        licence="no licence file; its README allows research and study",
        trace_id=content.stem,
        time_quantum_us=stamps.SECOND_US,
        columns_used=tuple(name for name in table.names if name in used),
        columns_ignored=tuple(name for name in table.names if name not in used),
    )
