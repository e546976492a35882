"""Rows as they are measured, numbered in the order of time."""

from runtime.bench.load.checkpoints import Checkpoint
from runtime.bench.load.conversation import Outcome
from runtime.bench.load.plan import Step
from runtime.bench.measurements import CeilingRow, LoadRow, Machine, Measurements, What, WorkRow


class Ledger:
    """`round` is the one that rows are of; whoever runs rounds sets it."""

    def __init__(self) -> None:
        self.round = 1
        self._order = 0
        self._ceilings: list[CeilingRow] = []
        self._loads: list[LoadRow] = []
        self._works: list[WorkRow] = []

    def ceiling(self, what: What, measured: tuple[int, float]) -> None:
        size, seconds = measured
        self._ceilings.append(CeilingRow(self._next(), self.round, what, size, seconds))

    def done(
        self,
        step: Step,
        checkpoint: Checkpoint,
        outcome: Outcome,
        *,
        device: str,
        cached_before: float | None,
        identical: bool,
    ) -> None:
        """A row for each load, or the one of other work."""
        order = self._next()
        used = outcome.used
        if step.work is not None:
            self._works.append(
                WorkRow(
                    order=order,
                    round=self.round,
                    what=step.work,
                    checkpoint=checkpoint.name,
                    rank=checkpoint.rank,
                    bytes=checkpoint.weight_bytes,
                    seconds=used.seconds,
                    cpu_s=used.cpu_s,
                )
            )
            return
        for lap in outcome.laps:
            self._loads.append(
                LoadRow(
                    order=order,
                    round=self.round,
                    loader=step.loader,
                    checkpoint=checkpoint.name,
                    kind=checkpoint.kind,
                    rank=checkpoint.rank,
                    tensors=sum(1 for _ in checkpoint.tensors()),
                    bytes=checkpoint.weight_bytes,
                    hop=step.hop,
                    device=device,
                    concurrent=step.concurrent,
                    seconds=used.seconds if lap.seconds is None else lap.seconds,
                    cpu_s=used.cpu_s / len(outcome.laps),
                    phases=dict(lap.phases),
                    foreign_cores=used.foreign_cores,
                    cached_before=cached_before,
                    identical=identical,
                )
            )

    def measurements(self, machine: Machine, seed: int, missing: dict[str, str]) -> Measurements:
        return Measurements(
            machine, seed, tuple(self._ceilings), tuple(self._loads), tuple(self._works), missing
        )

    def _next(self) -> int:
        self._order += 1
        return self._order - 1
