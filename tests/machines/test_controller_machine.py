"""The kernel's state machine with plain policies: every kind of room, and of keep-alive."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machines.controller_machine import ControllerMachine
from tests.machines.plain import FetchAll, Fixed, Moving, Preempting, Shuffle, plain

#: The same orders in every run, so that it fails for a change and not by chance; `SOAK` looks on.
QUICK = settings(
    max_examples=100,
    derandomize=True,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SOAK = settings(QUICK, max_examples=1000, stateful_step_count=80, derandomize=False)


class Idle(ControllerMachine):
    """Idle instances make room, and stop at once, or after a while."""

    make = staticmethod(lambda: plain(keep_alive=Fixed(10.0)))


class Hasty(ControllerMachine):
    make = staticmethod(lambda: plain(keep_alive=Fixed(0.0)))


class Preempts(ControllerMachine):
    make = staticmethod(lambda: plain(Preempting(), Fixed(5.0), (Shuffle(),)))


class Moves(ControllerMachine):
    make = staticmethod(lambda: plain(Moving(), Fixed(5.0), (Shuffle(), FetchAll())))


class Sleeps(ControllerMachine):
    make = staticmethod(lambda: plain(keep_alive=Fixed(2.0, level=1, asleep_s=20.0)))


class SleepsDeep(ControllerMachine):
    make = staticmethod(lambda: plain(keep_alive=Fixed(2.0, level=2, asleep_s=20.0)))


MACHINES = [Idle, Hasty, Preempts, Moves, Sleeps, SleepsDeep]


@pytest.mark.parametrize("machine", MACHINES)
def test_any_legal_order_of_reports_leaves_the_controller_safe_and_live(
    machine: type[ControllerMachine],
) -> None:
    run_state_machine_as_test(machine, settings=QUICK)


@pytest.mark.soak
@pytest.mark.parametrize("machine", MACHINES)
def test_thousands_of_orders_leave_the_controller_safe_and_live(
    machine: type[ControllerMachine],
) -> None:
    run_state_machine_as_test(machine, settings=SOAK)
