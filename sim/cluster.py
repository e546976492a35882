"""The simulated driver: carries the controller's commands out in virtual time.

It makes no choice: it does not retry, queue, reorder or time out on its own. Every command is
answered by an event that `fleet.answers` allows; answers that take no time still come as events.
What it knows and the controller does not: true output lengths, true durations, and faults to come.

Late reports: a report may reach the controller long after what it tells, and after reports of
other nodes that came later. Reports from one node keep their order, as over one connection. So a
command may come for what is gone already; it is dropped, because the report of that loss is on its
way and answers it.
"""

from collections.abc import Callable, Iterable
from typing import Any

from fleet import commands as c
from fleet import events as e
from fleet.controller import Controller
from fleet.domain import NodeId
from fleet.streams import Streams
from sim.attaching import Attaching
from sim.calendar import Arrival, Calendar
from sim.copies import Copies
from sim.faults import Faults
from sim.instances import Instances
from sim.kvcopy import KvCopies
from sim.loads import Loads
from sim.migration import Migration
from sim.outages import Outages
from sim.requests import Requests
from sim.sleeping import Sleeping
from sim.storage import Storage
from sim.swapping import Swapping
from sim.world import World

Observe = Callable[[e.Event, list[c.Command]], None]


class Cluster:
    """One run. `observe` sees every event with the commands that answered it, in order."""

    def __init__(
        self, controller: Controller, world: World, observe: Observe | None = None
    ) -> None:
        self.controller = controller
        self.world = world
        self.env = Calendar()
        self.streams = Streams(world.seed)
        self.noise = self.streams.named("loading")  # of durations that a profile gives a spread
        self.faults = Faults(world.faults, self.streams)
        self.storage = Storage(self.env, world.store_bytes_per_s)
        self.late = world.faults.late_report_probability > 0.0
        self.end_at = 0.0
        self._last_came = 0
        self._observe = observe or (lambda event, commands: None)
        self._heard_at: dict[NodeId, float] = {}
        self._over = self.env.event()
        self.kv = KvCopies(self.env, self.storage)
        self.requests = Requests(self)
        self.loads = Loads(self.env, self.storage, world.profiles, self.noise)
        self.copies = Copies(self)
        self.instances = Instances(self)
        self.sleeping = Sleeping(self)
        self.attaching = Attaching(self)
        self.swapping = Swapping(self)
        self.migration = Migration(self)
        self.outages = Outages(self)
        self.env.on_arrival = self.requests.arrived
        self.env.on_wake = self.requests.wake
        self._does = self._doers()
        self.copies.lay_out(controller.state)

    def _doers(self) -> dict[type[c.Command], Callable[[Any], None]]:
        return {
            c.Dispatch: self.requests.dispatch,
            c.Reject: self.requests.reject,
            c.Cancel: self.requests.cancel,
            c.Preempt: self.requests.preempt,
            c.Migrate: self.migration.migrate,
            c.StartInstance: self.instances.start,
            c.StopInstance: self.instances.stop,
            c.Sleep: self.sleeping.sleep,
            c.Wake: self.sleeping.wake,
            c.AttachAdapter: self.attaching.attach,
            c.DetachAdapter: self.attaching.detach,
            c.Fetch: self.copies.fetch,
            c.Drop: self.copies.drop,
            c.SetTimer: self._set_timer,
        }

    def run(self, arrivals: Iterable[Arrival], until: float | None = None) -> None:
        """Run to `until`, or until the last request has ended (at most `drain_s` after it came)."""
        env = self.env
        env.feed(arrivals)
        self.outages.begin()
        if until is not None:
            env.run(until=until)
            self.end_at = until
        else:
            self.check_over()
            env.run(until=self._over)
            self.end_at = env.now
        state = self.controller.state
        state.now = max(state.now, self.end_at)
        state.settle_accounts()

    # To and from the controller

    def report(self, event: e.Event) -> None:
        commands = self.controller.handle(event)
        self._observe(event, commands)
        does = self._does
        for command in commands:
            does[type(command)](command)

    def answer(
        self,
        make: Callable[[float], e.Event],
        nodes: Iterable[NodeId],
    ) -> None:
        """Report what `make` says of the moment at which the controller learns it.

        It comes from these nodes, and overtakes no earlier report from them.
        """
        at = self.env.now
        if self.late:
            at += self.faults.report_delay_s()
            at = max(at, *(self._heard_at.get(node, 0.0) for node in nodes))
            self._heard_at.update(dict.fromkeys(nodes, at))
        self.env.at(at, lambda: self.report(make(at)))

    def after(self, delay_s: float, then: Callable[[], None]) -> None:
        self.env.at(self.env.now + delay_s, then)

    def _set_timer(self, command: c.SetTimer) -> None:
        at = max(command.at, self.env.now)
        self.env.at(at, lambda: self.report(e.TimerFired(at, command.id, command.timer)))

    # The end

    def drain(self) -> None:
        """Nobody comes by themselves any more; the run need not wait for an end for ever.

        In a closed loop an end may bring the next request, and the wait begins anew with it.
        """
        self._last_came += 1
        came = self._last_came
        self.after(self.world.drain_s, lambda: self._drained(came))

    def _drained(self, came: int) -> None:
        if came == self._last_came and self.env.waits:
            self._stop()

    def check_over(self) -> None:
        if self.env.arrivals_over and not self.requests.live:
            self._stop()

    def _stop(self) -> None:
        if not self._over.triggered:
            self._over.succeed()
