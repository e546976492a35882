"""Plans: several commands that must follow one another, run by the controller.

A policy proposes a plan as a value. The runner lets each step out once the steps it waits for are
done, and drops what can no longer happen once one has failed. It does not know what commands mean.
"""

from dataclasses import dataclass, field
from typing import Final, Generic, NewType, TypeVar

from fleet.commands import Command
from fleet.domain import CommandId, InstanceId

StepId = NewType("StepId", int)
C = TypeVar("C")

#: The id of a command that is still part of a plan.
UNNUMBERED: Final = CommandId(-1)


def planned(step: int) -> InstanceId:
    """Stands, inside a plan, for the instance that its step number `step` starts."""
    return InstanceId(-1 - step)


def step_of(instance: InstanceId) -> int | None:
    """Which step of its plan starts the instance; None for one that exists."""
    return -1 - instance if instance < 0 else None


@dataclass(frozen=True, slots=True)
class Step(Generic[C]):
    command: C
    after: tuple[int, ...] = ()  # places in the plan of the steps this one waits for


@dataclass(frozen=True, slots=True)
class Steps(Generic[C]):
    """An order of commands; `ready_at` is when the whole should be done, as believed."""

    steps: tuple[Step[C], ...]
    ready_at: float

    def then(self, command: C, ready_at: float) -> "Steps[C]":
        """These, followed by one more that waits for all of them."""
        step = Step(command, tuple(range(len(self.steps))))
        return Steps((*self.steps, step), ready_at)

    def beside(self, other: "Steps[C]") -> "Steps[C]":
        """Both, side by side. Placeholders in `other` must have been made for its new places."""
        shift = len(self.steps)
        moved = (Step(s.command, tuple(a + shift for a in s.after)) for s in other.steps)
        return Steps((*self.steps, *moved), max(self.ready_at, other.ready_at))


Plan = Steps[Command]
NOTHING: Final[Plan] = Steps((), 0.0)


@dataclass(slots=True)
class _Running(Generic[C]):
    plan: Steps[C]
    first: int
    left: list[int] = field(default_factory=list)


class PlanRunner(Generic[C]):
    """The plans under way."""

    def __init__(self) -> None:
        self._next = 0
        self._plans: dict[StepId, _Running[C]] = {}

    def __len__(self) -> int:
        """Steps that are not done yet."""
        return len(self._plans)

    @property
    def next(self) -> StepId:
        """The number that the first step of the next plan will have."""
        return StepId(self._next)

    def command(self, step: StepId) -> C | None:
        """The command of a step that is not done; None if its plan is over."""
        run = self._plans.get(step)
        return None if run is None else run.plan.steps[step - run.first].command

    def begin(self, plan: Steps[C]) -> list[tuple[StepId, C]]:
        """Take on a plan; return the steps that wait for nothing."""
        run = _Running(plan, self._next, [len(s.after) for s in plan.steps])
        self._next += len(plan.steps)
        for i in range(len(plan.steps)):
            self._plans[StepId(run.first + i)] = run
        return [self._let_out(run, i) for i, n in enumerate(run.left) if n == 0]

    def done(self, step: StepId) -> list[tuple[StepId, C]]:
        """One step is done; return those that waited only for it."""
        run = self._plans.pop(step, None)
        if run is None:
            return []  # its plan was abandoned
        i = step - run.first
        out = []
        for j, waiting in enumerate(run.plan.steps):
            if i in waiting.after:
                run.left[j] -= 1
                if run.left[j] == 0:
                    out.append(self._let_out(run, j))
        return out

    def failed(self, step: StepId) -> list[tuple[StepId, C]]:
        """One step failed; return those of its plan that will now never be let out."""
        run = self._plans.pop(step, None)
        if run is None:
            return []
        never = []
        for j in range(len(run.plan.steps)):
            if self._plans.pop(StepId(run.first + j), None) is not None and run.left[j] > 0:
                never.append(self._let_out(run, j))
        return never

    def _let_out(self, run: _Running[C], i: int) -> tuple[StepId, C]:
        return StepId(run.first + i), run.plan.steps[i].command
