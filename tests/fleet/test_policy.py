"""What a policy may be beside its question: an observer, periodic, an oracle; what it may waive."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest

from fleet.commands import Dispatch, StartInstance, StopInstance
from fleet.domain import ModelId, Request
from fleet.events import InstanceReady, RequestFinished
from fleet.policy import Policy, Refuse, Waiver, observers, oracles, parts, waived
from fleet.view import View
from tests.machines.driver import HandDriver
from tests.machines.fleets import MODELS, setup
from tests.machines.plain import Fixed, plain

ONE = 0


@dataclass(frozen=True)
class Watchful:
    """Admits everybody, and writes down what it is shown."""

    observes: ClassVar = (RequestFinished, Dispatch, InstanceReady)
    seen: list[str] = field(default_factory=list)

    def admit(self, request: Request, view: View) -> Refuse | None:
        return None

    def observe(self, fact: Any, view: View) -> None:
        known = ""
        if isinstance(fact, RequestFinished | Dispatch):
            flight = view.flight(fact.request)
            known = f" of model {flight.request.model}" if flight is not None else " of nobody"
        elif isinstance(fact, InstanceReady):
            known = f" for {type(view.ordered(fact.command)).__name__}"
        self.seen.append(type(fact).__name__ + known)


@dataclass(frozen=True)
class Dial:
    """As many instances as were last dialled, decided every ten seconds."""

    every_s: float = 10.0
    dialled: dict[str, int] = field(default_factory=lambda: {"next": 1, "now": 1})

    def tick(self, view: View) -> None:
        self.dialled["now"] = self.dialled["next"]

    def wanted(self, model: ModelId, view: View) -> int:
        return max(self.dialled["now"], 1 if view.queued(model) else 0)


@dataclass(frozen=True)
class Nested:
    inner: tuple[Any, ...]
    waives: ClassVar = (Waiver.LEAVES_SLOTS,)


@dataclass(frozen=True)
class Seer:
    waives: ClassVar = (Waiver.KEEPS_FOREVER,)
    told: list[Request] = field(default_factory=list)

    def reveal(self, requests: Sequence[Request]) -> None:
        self.told.extend(requests)


def policy(**answers: Any) -> Policy:
    return replace(plain(), **answers)


def test_an_observer_sees_facts_before_they_are_booked() -> None:
    watch = Watchful()
    driver = HandDriver(setup((1,), (MODELS[ONE],)), policy(admission=watch))
    driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    driver.succeed_only(Dispatch)
    assert watch.seen == [
        "InstanceReady for StartInstance",
        "Dispatch of model 0",
        "RequestFinished of model 0",
    ]


def test_parts_are_found_however_deep_they_are() -> None:
    seer, watch = Seer(), Watchful()
    built = policy(admission=Nested((Nested((seer,)), watch)))
    assert [p for p in parts(built) if p in (seer, watch)] == [seer, watch]
    assert oracles(built) == (seer,)
    assert set(observers(built)) == {RequestFinished, Dispatch, InstanceReady}
    assert waived(built) == {Waiver.LEAVES_SLOTS, Waiver.KEEPS_FOREVER}
    assert not waived(policy())


@pytest.fixture
def dialled() -> tuple[HandDriver, Dial]:
    dial = Dial()
    kept = policy(scaling=dial, keep_alive=Fixed(float("inf")))
    driver = HandDriver(setup((4,), (MODELS[ONE],)), kept)
    driver.arrive(ONE)
    driver.succeed_only(StartInstance)
    return driver, dial


def test_a_periodic_scaling_adds_instances_at_its_tick(dialled: tuple[HandDriver, Dial]) -> None:
    driver, dial = dialled
    dial.dialled["next"] = 3
    assert not [o for o in driver.open() if isinstance(o, StartInstance)]
    driver.tick()
    assert len([o for o in driver.open() if isinstance(o, StartInstance)]) == 2


def test_a_periodic_scaling_stops_the_idle_first_and_lets_the_busy_end(
    dialled: tuple[HandDriver, Dial],
) -> None:
    driver, dial = dialled
    dial.dialled["next"] = 2
    driver.tick()
    driver.succeed_only(StartInstance)
    dial.dialled["next"] = 1
    driver.tick()
    assert driver.only(StopInstance).instance == 1, "instance 0 has the request"
    driver.succeed_only(StopInstance)
    dial.dialled["next"] = 0
    driver.tick()
    assert [type(o) for o in driver.open()] == [Dispatch], "it stops when its request has ended"
    driver.succeed_only(Dispatch)
    assert driver.only(StopInstance).instance == 0


def test_what_drains_is_replaced_if_somebody_comes(dialled: tuple[HandDriver, Dial]) -> None:
    driver, dial = dialled
    dial.dialled["next"] = 0
    driver.tick()
    driver.arrive(ONE)
    assert driver.only(StartInstance).model == ONE
