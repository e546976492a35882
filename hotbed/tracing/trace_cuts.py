"""What `hotbed traces convert` does to a trace between reading and writing it, in order.

It knows the words of the command line. How a trace is cut and scaled is known in `traces`.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import typer

from hotbed.tracing.trace_recipes import sample_of
from traces.jobs import Jobs
from traces.schema import TraceError
from traces.sessions import begin, fit, shrink
from traces.workload import Workload

SessionsOption = Annotated[
    float | None, typer.Option(help="Draw when sessions begin, so many a second (no common clock).")
]
StartOption = Annotated[float, typer.Option(help="Leave out what arrives before.")]
DurationOption = Annotated[float, typer.Option(help="Keep so many seconds.")]
GpusOption = Annotated[int | None, typer.Option(min=1, help="Keep jobs that so many GPUs can run.")]
JitterOption = Annotated[
    int | None, typer.Option(min=0, help="Spread rounded stamps within their step.")
]
CompressOption = Annotated[float, typer.Option(help="Arrive so many times faster.")]
LoadOption = Annotated[float | None, typer.Option(help="Submit jobs to fill this share of --gpus.")]
LengthsOption = Annotated[
    str | None,
    typer.Option(help="Draw missing token counts: gsm8k+sharegpt, or FILE.csv:PROMPT:OUTPUT."),
]
ShrinkOption = Annotated[
    int, typer.Option(min=1, help="Divide token counts and block sizes by this.")
]
ContextOption = Annotated[
    int | None, typer.Option(min=2, help="Cut what has more tokens than a context.")
]
LimitOption = Annotated[int | None, typer.Option(min=0, help="Keep the first so many.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """As typed; the defaults change nothing. The order of the fields is that of the work."""

    sessions_per_s: float | None = None
    start_s: float = 0.0
    duration_s: float = math.inf
    gpus: int | None = None
    jitter_seed: int | None = None
    compress: float = 1.0
    load: float | None = None
    lengths: str | None = None
    shrink: int = 1
    context: int | None = None
    limit: int | None = None
    seed: int = 0

    def of(self, trace: Workload | Jobs) -> Workload | Jobs:
        """Raises TraceError for an option that the trace has no use for, and for its values."""
        return self._jobs(trace) if isinstance(trace, Jobs) else self._requests(trace)

    @property
    def _sliced(self) -> bool:
        return bool(self.start_s) or self.duration_s < math.inf

    def _requests(self, workload: Workload) -> Workload:
        _refuse("requests", gpus=self.gpus, load=self.load)
        if self.sessions_per_s is not None:
            workload = begin(workload, self.sessions_per_s, self.seed)
        if self._sliced:
            workload = workload.between(self.start_s, self.duration_s)
        if self.jitter_seed is not None:
            workload = workload.jitter(self.jitter_seed)
        if self.compress != 1.0:
            workload = workload.compress(self.compress)
        if self.lengths is not None:
            workload = workload.with_lengths(sample_of(self.lengths, self.seed), self.seed)
        workload = shrink(workload, self.shrink) if self.shrink != 1 else workload
        if self.context is not None:
            workload = fit(workload, self.context)
        return workload if self.limit is None else workload.limit(self.limit)

    def _jobs(self, jobs: Jobs) -> Jobs:
        compress = None if self.compress == 1.0 else self.compress
        divisor = None if self.shrink == 1 else self.shrink
        _refuse(
            "training jobs",
            sessions_per_s=self.sessions_per_s,
            jitter_seed=self.jitter_seed,
            compress=compress,
            lengths=self.lengths,
            shrink=divisor,
            context=self.context,
        )
        if self.load is not None and self.gpus is None:
            raise TraceError("load: a share of how many GPUs? expected --gpus as well")
        if self._sliced:
            jobs = jobs.between(self.start_s, self.duration_s)
        if self.gpus is not None:
            jobs = jobs.fitting(self.gpus)
        if self.load is not None and self.gpus is not None:
            jobs = jobs.at_load(self.gpus, self.load)
        return jobs if self.limit is None else jobs.limit(self.limit)


def _refuse(kind: str, **options: object) -> None:
    for name, value in options.items():
        if value is not None:
            option = name.replace("_", "-")
            raise TraceError(f"--{option} {value} is not allowed: the trace holds {kind}")
