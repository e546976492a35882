"""The simulated driver: carries the controller's commands out in virtual time.

It makes no choice: it does not retry, queue, reorder or time out on its own. Every command is
answered by an event that `fleet.answers` allows; answers that take no time still come as events.
What it knows and the controller does not: true output lengths, true durations, and faults to come.
"""

from collections.abc import Callable, Iterable
from typing import Any

from simpy.events import Event as Happening

from fleet import commands as c
from fleet import events as e
from fleet.controller import Controller
from fleet.domain import AdapterId, CommandId, RequestId
from fleet.streams import Streams
from sim.calendar import Arrival, Calendar
from sim.engine import NeverFits
from sim.faults import Faults
from sim.loading import Loading
from sim.migration import Migration
from sim.outages import Outages
from sim.served import Served, Stream
from sim.storage import Storage
from sim.world import World

Observe = Callable[[e.Event, list[c.Command]], None]


class Cluster:
    """One run. `observe` sees every event with the commands that answered it, in order."""

    def __init__(
        self, controller: Controller, world: World, observe: Observe | None = None
    ) -> None:
        self.controller = controller
        self.world = world
        self.env = Calendar(self._arrived, self._wake)
        self.streams = Streams(world.seed)
        self.faults = Faults(world.faults, self.streams)
        self.storage = Storage(self.env, world.store_bytes_per_s)
        self.engines: dict[int, Served] = {}
        self.live: dict[RequestId, Stream] = {}
        self.end_at = 0.0
        self._observe = observe or (lambda event, commands: None)
        self._late = world.faults.late_report_probability > 0.0
        self._over = self.env.event()
        self._loading = Loading(self)
        self._migration = Migration(self)
        self._outages = Outages(self, self._loading)
        self._does: dict[type[c.Command], Callable[[Any], None]] = {
            c.Dispatch: self._dispatch,
            c.Reject: self._reject,
            c.Cancel: self._cancel,
            c.Preempt: self._preempt,
            c.Migrate: self._migration.migrate,
            c.StartInstance: self._loading.start,
            c.StopInstance: self._loading.stop,
            c.Sleep: self._loading.sleep,
            c.Wake: self._loading.wake,
            c.AttachAdapter: self._loading.attach,
            c.DetachAdapter: self._loading.detach,
            c.Fetch: self._loading.fetch,
            c.Drop: self._loading.drop,
            c.SetTimer: self._set_timer,
        }
        self._loading.lay_out(controller.state)

    def run(self, arrivals: Iterable[Arrival], until: float | None = None) -> None:
        """Run to `until`, or until the last request has ended (at most `drain_s` after it came)."""
        env = self.env
        env.feed(arrivals)
        self._outages.begin()
        if until is not None:
            env.run(until=until)
            self.end_at = until
        else:
            self._check_over()
            env.run(until=self._over)
            self.end_at = env.now
        self.controller.state.now = max(self.controller.state.now, self.end_at)
        self.controller.state.settle_accounts()

    # To and from the controller

    def report(self, event: e.Event) -> None:
        commands = self.controller.handle(event)
        self._observe(event, commands)
        does = self._does
        for command in commands:
            does[type(command)](command)

    def answer(self, make: Callable[[float], e.Event], after_s: float = 0.0) -> None:
        """Report what `make` says of the moment at which the controller learns it."""
        if self._late:
            after_s += self.faults.report_delay_s()
        self.after(after_s, lambda: self.report(make(self.env.now)))

    def after(self, delay_s: float, then: Callable[[], None]) -> None:
        def happen(_: Happening) -> None:
            then()

        timeout = self.env.timeout(delay_s)
        timeout.callbacks.append(happen)

    # Requests

    def _arrived(self, arrival: Arrival) -> None:
        request = arrival.request
        adapter = request.adapter
        self.live[request.id] = Stream(
            request.id,
            request.prompt_tokens,
            min(arrival.output_tokens, request.max_tokens),
            self.rank(adapter) if adapter is not None else 0,
        )
        if self.env.arrivals_over:
            self.after(self.world.drain_s, self._stop)
        self.report(e.RequestArrived(request.arrived_at, request))

    def rank(self, adapter: AdapterId) -> int:
        spec = self.controller.state.adapters.get(adapter)
        return 0 if spec is None else spec.rank

    def _wake(self, engine: Served) -> None:
        at = self.env._now
        ended = engine.wake(at)
        self.arm(engine)
        for stream in ended:
            self._finished(stream, engine, at)

    def arm(self, engine: Served) -> None:
        """The engine's next boundary may have changed, and with it those of its card's others."""
        self.env.arm(engine)
        if engine.card is not None:
            for other in engine.card.take_moved():
                self.env.arm(other)  # type: ignore[arg-type]

    def _finished(self, stream: Any, engine: Served, at: float) -> None:
        del self.live[stream.request]
        if self._late:
            self.answer(lambda now: finished(stream, engine, now))
        else:
            self.report(finished(stream, engine, at))
        if self.env.arrivals_over:
            self._check_over()

    def _dispatch(self, command: c.Dispatch) -> None:
        stream = self.live[command.request]
        engine = self.engines[command.instance]
        stream.command = command.id
        try:
            engine.add(self.env._now, stream)
        except NeverFits:
            del self.live[command.request]
            self.fail(command.request, command.id, "does_not_fit")
            return
        stream.engine = engine
        self.arm(engine)

    def _reject(self, command: c.Reject) -> None:
        self.live.pop(command.request, None)
        if self.env.arrivals_over:
            self._check_over()

    def _cancel(self, command: c.Cancel) -> None:
        stream = self.live.get(command.request)
        if stream is None:
            return  # it has ended; that report answers the cancel too
        if stream.engine is None:
            stream.cancelled = command.reason  # between two engines: the migration ends it
            return
        self.take_out(stream)
        del self.live[command.request]
        self.fail(command.request, CommandId(stream.command), command.reason)

    def _preempt(self, command: c.Preempt) -> None:
        stream = self.live.get(command.request)
        if stream is None or stream.engine is None:
            return
        stream = self.take_out(stream)
        if command.keep is c.Keep.NOTHING:
            stream = fresh(stream)
        self.live[command.request] = stream
        tokens, dispatch = stream.generated, CommandId(stream.command)
        self.answer(lambda now: e.Preempted(now, dispatch, command.request, tokens))

    def take_out(self, stream: Stream) -> Stream:
        """Remove a request from its engine; what it has so far goes on in the answer."""
        engine = stream.engine
        assert engine is not None, "it runs somewhere"
        out = engine.remove(self.env.now, stream.request)
        self.arm(engine)
        assert isinstance(out, Stream)
        out.engine = None
        self.live[RequestId(stream.request)] = out
        return out

    def fail(self, request: RequestId, dispatch: CommandId, reason: str) -> None:
        self.answer(lambda now: e.RequestFailed(now, dispatch, request, reason))
        self._check_over()

    # Time

    def _set_timer(self, command: c.SetTimer) -> None:
        delay_s = max(0.0, command.at - self.env.now)
        fired = command.id, command.timer
        self.after(delay_s, lambda: self.report(e.TimerFired(self.env.now, *fired)))

    def _check_over(self) -> None:
        if self.env.arrivals_over and not self.live:
            self._stop()

    def _stop(self) -> None:
        if not self._over.triggered:
            self._over.succeed()


def finished(stream: Stream, engine: Served, now: float) -> e.RequestFinished:
    return e.RequestFinished(
        now,
        CommandId(stream.command),
        RequestId(stream.request),
        engine.instance,
        stream.scheduled_at,
        stream.first_token_at,
        stream.ended_at,
        stream.output_tokens,
        stream.gaps,
        stream.longest_gap_s,
    )


def fresh(stream: Stream) -> Stream:
    """The same request as if it had never run."""
    return Stream(
        stream.request,
        stream.prompt_tokens,
        stream.output_tokens,
        stream.rank,
        scheduled_at=stream.scheduled_at,
        command=stream.command,
    )
