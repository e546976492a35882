"""Training jobs: when each was submitted, how many GPUs it took and for how long.

The schema of traces such as Philly and Alibaba's openb, which stand in for fine-tuning jobs. It
knows how to cut and scale them for a fleet. It knows no file format and no scheduler.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from traces.schema import INT16_MAX, Column, Schema, TraceError, canonical_frame
from traces.synthesis.limits import require, require_positive
from traces.workload import US_PER_S, TraceMeta

# submit_us and deadline_us count from the start of the trace. gpu_frac is the part of one GPU's
# memory and time that a job of one GPU takes; a job without GPUs runs on CPUs alone.
JOB_COLUMNS: Final[dict[str, Column]] = {
    "job_id": Column("int", "int64", required=True),
    "submit_us": Column("int", "int64", required=True),
    "tenant_id": Column("text"),
    "base_model_id": Column("text"),
    "output_adapter_id": Column("text"),
    "method": Column("text"),
    "num_gpus": Column("int", "int64", required=True, high=INT16_MAX),
    "gpu_frac": Column("float"),
    "duration_s": Column("double", required=True),
    "deadline_us": Column("int"),
    "priority": Column("int", "Int8", high=127),
    "preemptible": Column("flag"),
    "status": Column("text"),
    "extra": Column("text"),
}
JOBS: Final = Schema(JOB_COLUMNS, "submit_us", "job_id")
METHODS: Final = ("lora", "full")


@dataclass(frozen=True, slots=True)
class Jobs:
    """Jobs in order of submission, in the canonical frame of `JOBS`, and where they came from.

    Build one with `Jobs.of`, which brings any columns into that form; the constructor trusts.
    """

    frame: pd.DataFrame
    meta: TraceMeta

    @classmethod
    def of(
        cls, columns: Mapping[str, Any] | pd.DataFrame, meta: TraceMeta, file: str = ""
    ) -> "Jobs":
        """Typed, checked and sorted. Raises TraceError with file, row (from 1) and column."""
        file = file or meta.source or "jobs"
        frame = canonical_frame(columns, file, schema=JOBS)
        for row, method in enumerate(frame.get("method", ())):
            if method is not None and method not in METHODS:
                allowed = " or ".join(METHODS)
                raise TraceError(
                    f"{file}, row {row + 1}, column 'method': {method!r} is not allowed: "
                    f"expected {allowed}"
                )
        return cls(frame, meta)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def span_s(self) -> float:
        """From time 0 to the last submission, seconds."""
        return int(self.frame["submit_us"].iloc[-1]) / US_PER_S if len(self) else 0.0

    @property
    def gpus(self) -> NDArray[np.float64]:
        """Shape (jobs,): the GPUs that each job takes, 0.46 of one for a part."""
        gpus = self.frame["num_gpus"].to_numpy(dtype=np.float64)
        if "gpu_frac" not in self.frame:
            return gpus
        part = self.frame["gpu_frac"].to_numpy(dtype=np.float64)
        return np.where((gpus == 1) & ~np.isnan(part), part, gpus)

    @property
    def gpu_s(self) -> NDArray[np.float64]:
        """Shape (jobs,): GPU-seconds."""
        gpu_s: NDArray[np.float64] = self.gpus * self.frame["duration_s"].to_numpy()
        return gpu_s

    def load(self, gpus: int) -> float | None:
        """GPU-seconds asked for over those that so many GPUs have in the span; None without one."""
        return float(self.gpu_s.sum()) / (gpus * self.span_s) if self.span_s else None

    def limit(self, jobs: int) -> "Jobs":
        """The first so many jobs."""
        require(jobs >= 0, "limit", jobs, "0 or more jobs")
        return self._kept(slice(0, jobs), "limit", f"first {jobs} of {len(self)} jobs")

    def between(self, start_s: float = 0.0, duration_s: float = math.inf) -> "Jobs":
        """Submissions in [start_s, start_s + duration_s), with time 0 moved to start_s."""
        require(0 <= start_s < math.inf, "start", start_s, "0 or more seconds")
        require(duration_s > 0, "duration", duration_s, "a duration above 0")
        submits_us = self.frame["submit_us"].to_numpy()
        start_us = round(start_s * US_PER_S)
        inside = submits_us >= start_us
        if duration_s < math.inf:
            inside &= submits_us < start_us + round(duration_s * US_PER_S)
        return self._kept(inside, "slice", f"{duration_s:g} s from {start_s:g} s")._moved(start_us)

    def lasting(self, least_s: float = 0.0, most_s: float = math.inf) -> "Jobs":
        """Those that run for at least and at most so long."""
        require(0 <= least_s <= most_s, "lasting", (least_s, most_s), "0 <= least <= most seconds")
        lasted_s = self.frame["duration_s"].to_numpy()
        inside = (lasted_s >= least_s) & (lasted_s <= most_s)
        return self._kept(inside, "lasting", f"{least_s:g} s to {most_s:g} s")

    def fitting(self, gpus: int) -> "Jobs":
        """Those that need a GPU, and no more than so many."""
        require(gpus >= 1, "gpus", gpus, "1 or more")
        needed = self.frame["num_gpus"].to_numpy()
        return self._kept((needed >= 1) & (needed <= gpus), "fitting", f"1 to {gpus} GPUs")

    def at_load(self, gpus: int, load: float) -> "Jobs":
        """Submissions nearer or farther, so that they ask for that share of so many GPUs.

        Durations stay; the factor is in the meta as `time_compression`. Raises TraceError where
        the jobs have no span or ask for nothing.
        """
        require_positive("load", load)
        asked = self.load(gpus)
        require(bool(asked), "load", load, "jobs that take GPUs over some time (none are left)")
        assert asked is not None, "required"
        factor = load / asked
        frame = self.frame.copy()
        submits_us = frame["submit_us"].to_numpy()
        frame["submit_us"] = np.rint(submits_us / factor).astype(np.int64)
        if "deadline_us" in frame:
            frame["deadline_us"] += frame["submit_us"] - submits_us
        quantum_us = self.meta.time_quantum_us
        meta = msgspec.structs.replace(
            self.meta,
            time_compression=self.meta.time_compression * factor,
            time_quantum_us=max(1, round(quantum_us / factor)) if quantum_us else 0,
        )
        meta = meta.noted("load", f"{load:g} of {gpus} GPUs")
        return Jobs(canonical_frame(frame, "scaled jobs", schema=JOBS), meta)

    def _kept(self, rows: Any, key: str, what: str) -> "Jobs":
        frame = self.frame[rows].reset_index(drop=True)
        empty = [n for n in frame if not JOB_COLUMNS[str(n)].required and frame[n].isna().all()]
        note = f"{what}: {len(frame)} of {len(self)} jobs"
        return Jobs(frame.drop(columns=empty), self.meta.noted(key, note))

    def _moved(self, start_us: int) -> "Jobs":
        frame = self.frame.assign(submit_us=self.frame["submit_us"] - start_us)
        if "deadline_us" in frame:
            frame["deadline_us"] = (frame["deadline_us"] - start_us).clip(lower=0)
        return Jobs(frame, self.meta)
