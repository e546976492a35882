"""Any legal order of arrivals, answers, failures and losses keeps the controller safe and live.

The machine is the driver: it holds every open command and answers each when and how it likes. A
subclass says which policy the controller asks, and which promises that policy makes.
"""

from collections.abc import Callable
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fleet import commands as c
from fleet.controller import Controller
from fleet.domain import ArtifactId, Tier
from fleet.limits import Limits
from fleet.policy import Policy
from tests.machines import liveness
from tests.machines.driver import HandDriver
from tests.machines.fleets import MODELS, adapter, model, node, setup
from tests.machines.plain import plain

#: More answers than this at the end, and the fleet is chasing its own tail.
LAST_ANSWERS = 3000
#: Timers that a policy sets again whenever they fire.
FOR_EVER = ("upkeep", "scaling")
#: Of four cards each: enough for every model to keep one instance for ever.
LAST_NODES = 4


class ControllerMachine(RuleBasedStateMachine):
    make: ClassVar[Callable[[], Policy]] = plain
    uses_all_cards: ClassVar[bool] = True  # starts an instance wherever its scaling wants one
    uses_all_slots: ClassVar[bool] = True  # routes to any ready instance with a free slot
    spreads_stages: ClassVar[bool] = False  # a pipeline's stages lie on nodes of their own
    routes_blindly: ClassVar[bool] = False  # whatever adapters the instances hold
    attaches_at_once: ClassVar[bool] = True  # routes to an instance that could take the adapter
    keeps_forever: ClassVar[bool] = False  # may leave idle instances at the end

    driver: HandDriver

    @initialize(
        gpus=st.lists(st.integers(1, 4), min_size=1, max_size=3),
        models=st.sets(st.sampled_from(MODELS), min_size=1),
        dram_bytes=st.sampled_from([0, 60, 100]),
        max_age_s=st.sampled_from([None, 30.0]),
    )
    def begin(
        self, gpus: list[int], models: set[object], dram_bytes: int, max_age_s: float | None
    ) -> None:
        chosen = tuple(m for m in MODELS if m in models)
        limits = Limits(max_age_s=max_age_s, max_waiting=20, max_attempts=5, max_answers=500)
        start = setup(tuple(gpus), chosen, limits, dram_bytes=dram_bytes)
        self.driver = HandDriver(start, type(self).make())
        self.artifacts = 100  # the next number for a model or adapter that is added
        self.calm = 4  # so many more losses and removals, lest nothing is ever served
        self.check()

    # Time and work

    @rule(
        kind=st.integers(0, 5),
        lora=st.integers(0, 3),
        tenant=st.integers(0, 1),
        wait_s=st.sampled_from([0.0, 0.5, 3.0]),
        count=st.integers(1, 3),
    )
    def arrive(self, kind: int, lora: int, tenant: int, wait_s: float, count: int) -> None:
        driver = self.driver
        driver.wait(wait_s)
        models = list(driver.books.models)
        chosen = models[kind % len(models)]
        loras: list[int | None] = [
            a.id for a in driver.books.adapters.values() if a.model == chosen
        ]
        loras.append(None)
        for _ in range(count):
            driver.arrive(chosen, loras[lora % len(loras)], tenant, deadline_s=20.0)
        self.check()

    @precondition(lambda self: self.driver.open())
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        """One open command, in any order, with any event that the table allows."""
        waiting = self.driver.open()
        command = waiting[data.draw(st.integers(0, len(waiting) - 1))]
        legal = list(self.driver.answers(command))
        pick = data.draw(st.integers(0, len(legal) + 1))
        self.driver.tell(legal[pick if pick < len(legal) else 0])
        self.check()

    @precondition(lambda self: self.driver.open())
    @rule(count=st.integers(1, 10), newest=st.booleans())
    def succeed(self, count: int, newest: bool) -> None:
        """The oldest commands, or the newest, are answered as one hopes, one after another."""
        for _ in range(count):
            waiting = self.driver.open()
            if waiting:
                self.driver.succeed(waiting[-1 if newest else 0])
                self.check()

    @precondition(lambda self: self.driver.books.timers)
    @rule()
    def tick(self) -> None:
        self.driver.tick()
        self.check()

    @rule(wait_s=st.sampled_from([0.1, 2.0, 11.0]))
    def pass_time(self, wait_s: float) -> None:
        self.driver.wait(wait_s)

    # What nobody asked for

    @precondition(lambda self: self.driver.books.jobs)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        jobs = list(self.driver.books.jobs)
        self.driver.abandon(jobs[data.draw(st.integers(0, len(jobs) - 1))])
        self.check()

    @precondition(lambda self: self.calm and self.driver.books.engines)
    @rule(data=st.data())
    def lose_instance(self, data: st.DataObject) -> None:
        self.calm -= 1
        engines = list(self.driver.books.engines)
        self.driver.lose_instance(engines[data.draw(st.integers(0, len(engines) - 1))])
        self.check()

    @precondition(lambda self: self.calm and len(self.driver.books.nodes) > 1)
    @rule(data=st.data())
    def lose_node(self, data: st.DataObject) -> None:
        self.calm -= 1
        nodes = list(self.driver.books.nodes)
        self.driver.lose_node(nodes[data.draw(st.integers(0, len(nodes) - 1))])
        self.check()

    @precondition(lambda self: len(self.driver.controller.state.nodes) < 4)
    @rule(gpus=st.integers(1, 4), warm=st.booleans())
    def join_node(self, gpus: int, warm: bool) -> None:
        driver = self.driver
        first = ArtifactId(next(iter(driver.books.models)))
        resident = ((first, Tier.SSD),) if warm else ()
        driver.join(node(len(driver.controller.state.nodes), gpus), resident)
        self.check()

    @precondition(lambda self: self.artifacts < 103)
    @rule(base=st.integers(0, 6), need=st.sampled_from([m.need for m in MODELS]))
    def add_artifact(self, base: int, need: object) -> None:
        """A model, or an adapter of a model that takes them."""
        parents = [m for m in self.driver.books.models.values() if m.max_adapters]
        number = self.artifacts
        self.artifacts += 1
        if base < len(parents):
            self.driver.add(adapter(number, parents[base].id))
        else:
            self.driver.add(model(number, need))  # type: ignore[arg-type]
        self.check()

    @precondition(lambda self: self.calm)
    @rule(data=st.data())
    def remove_artifact(self, data: st.DataObject) -> None:
        self.calm -= 1
        books = self.driver.books
        known = [*books.adapters, *books.models]
        gone = known[data.draw(st.integers(0, len(known) - 1))]
        self.driver.remove(gone)
        self.check()

    @precondition(lambda self: self.driver.stale)
    @rule(data=st.data())
    def late_answer(self, data: st.DataObject) -> None:
        stale = self.driver.stale
        event = self.driver.late(stale.pop(data.draw(st.integers(0, len(stale) - 1))))
        if event is not None:
            assert not [o for o in self.driver.tell(event) if not isinstance(o, c.SetTimer)]
        self.check()

    # Promises

    def check(self) -> None:
        self.driver.sound = False
        if self.uses_all_slots:
            liveness.assert_nothing_waits_beside_a_slot(self.driver, blindly=self.routes_blindly)
        if self.uses_all_slots and self.attaches_at_once:
            liveness.assert_adapters_come(self.driver)
        if self.uses_all_cards:
            liveness.assert_capacity_is_used(self.driver, spread=self.spreads_stages)
        if not self.keeps_forever:
            liveness.assert_idle_instances_have_timers(self.driver)
        self.driver.sound = True

    def teardown(self) -> None:
        """With cards for everything and no more arrivals, all work comes to its end."""
        if not hasattr(self, "driver") or not self.driver.sound:
            return
        for _ in range(LAST_NODES):
            self.driver.join(node(len(self.driver.controller.state.nodes), 4))
        self.run_out()
        liveness.assert_over(self.driver)
        if not self.keeps_forever:
            liveness.assert_all_cards_free(self.driver)
        fresh = Controller(self.driver.setup, type(self).make())
        for event, commands in self.driver.history:
            assert tuple(fresh.handle(event)) == commands, "the same events, other commands"

    def run_out(self) -> None:
        driver = self.driver
        for _ in range(LAST_ANSWERS):
            waiting = driver.open()
            if any(timer.at <= driver.now for timer in driver.books.timers):
                driver.tick()
            elif waiting:
                driver.wait(0.5)
                driver.succeed(waiting[0])
            elif liveness.waiting(driver) or any(
                not t.timer.startswith(FOR_EVER) for t in driver.books.timers
            ):
                driver.tick()  # a periodic scaling may only see a request at its tick
            else:
                return
            self.check()
        raise AssertionError("the fleet does not come to rest")
