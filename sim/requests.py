"""Requests in the driver: on an engine, between two, or waiting to be dispatched.

A request is kept from its arrival until the report of its end reaches the controller, with what it
has streamed so far. Warm path: an arrival, a dispatch and an end are all that most requests see.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fleet import commands as c
from fleet import events as e
from fleet.domain import AdapterId, InstanceId, RequestId
from sim.calendar import Arrival
from sim.card import Card
from sim.engine import NeverFits, NoRoom
from sim.prefixes import Block
from sim.sequence import Sequence
from sim.served import Served, Stream

if TYPE_CHECKING:
    from sim.cluster import Cluster


class Requests:
    def __init__(self, cluster: "Cluster") -> None:
        self.cluster = cluster
        self.env = cluster.env
        self.engines: dict[int, Served] = {}
        self.live: dict[int, Stream] = {}
        self._late = cluster.late
        self._followers = cluster.env.followers
        self._arm = cluster.env.arm

    def arrived(self, arrival: Arrival) -> None:
        request = arrival.request
        adapter = request.adapter
        tokens = arrival.output_tokens
        if tokens > request.max_tokens:  # noqa: PLR1730 - no call in most cases
            tokens = request.max_tokens
        rank = 0 if adapter is None else self._rank(adapter)
        stream = Stream(request.id, request.prompt_tokens, tokens, rank)
        if request.prefix:
            stream.prefix = _blocks(request.prefix, adapter)
            stream.prefix_block_tokens = request.block_tokens
        self.live[request.id] = stream
        if self.env.waits:
            self.cluster.drain()
        self.cluster.report(e.RequestArrived(request.arrived_at, request))

    def _rank(self, adapter: AdapterId) -> int:
        spec = self.cluster.controller.state.adapters.get(adapter)
        return 0 if spec is None else spec.rank

    # Engines

    def wake(self, engine: Served, at: float) -> None:
        ended = engine.wake(at)
        self._arm(engine)
        if engine.card is not None:
            self._arm_others(engine.card)
        for sequence in ended:
            self._finished(sequence, engine, at)

    def arm(self, engine: Served) -> None:
        """The engine's next boundary may have changed, and with it those of its card's others."""
        self._arm(engine)
        if engine.card is not None:
            self._arm_others(engine.card)

    def _arm_others(self, card: Card) -> None:
        for other in card.take_moved():
            assert isinstance(other, Served)
            self._arm(other)

    def close(self, engine: Served) -> None:
        """The engine is gone; what its requests had streamed is known to the driver."""
        del self.engines[engine.instance]
        if len(engine):
            for stream in [s for s in self.live.values() if s.engine is engine]:
                self.take_out(stream)
        engine.close(self.env.now)
        self.arm(engine)

    def enter(self, stream: Stream, engine: Served, prefilled: int) -> bool:
        """Onto an engine, with KV of so many tokens; False where that finds no room."""
        stream.prefilled = prefilled if stream.generated else 0
        try:
            engine.add(self.env.now, stream)
        except (NoRoom, NeverFits):
            stream.prefilled = 0
            return False
        stream.engine = engine
        self.arm(engine)
        return True

    def take_out(self, stream: Stream) -> Stream:
        """Off its engine; what it has so far goes on in the answer."""
        engine = stream.engine
        assert engine is not None, "it runs somewhere"
        out = engine.remove(self.env.now, stream.request)
        self.arm(engine)
        assert isinstance(out, Stream)
        out.engine = None
        self.live[stream.request] = out
        return out

    # Commands

    def dispatch(self, command: c.Dispatch) -> None:
        stream = self.live[command.request]
        stream.command = command.id
        stream.preempted = None
        engine = self.engines.get(command.instance)
        if engine is None:
            return  # its loss is on its way, and the controller will place the request again
        if stream.kv_node is not None:
            return self.cluster.swapping.back(stream, engine)
        self.add(stream, engine)

    def add(self, stream: Stream, engine: Served) -> None:
        """Into the engine's queue."""
        assert stream.engine is None, f"request {stream.request} runs on two engines"
        try:
            engine.add(self.env._now, stream)
        except NeverFits:
            return self.fail(stream, engine, "does_not_fit")
        stream.engine = engine
        if engine.next_at != engine.armed_at:  # most arrivals move no end forward
            self._arm(engine)
        if engine.card is not None:
            self._arm_others(engine.card)

    def reject(self, command: c.Reject) -> None:
        self.live.pop(command.request, None)
        self.env.ended(command.request)
        if self.env.arrivals_over:
            self.cluster.check_over()

    def cancel(self, command: c.Cancel) -> None:
        stream = self.live.get(command.request)
        if stream is None or stream.over:
            return  # the report of its end answers this too
        if stream.engine is None:
            stream.cancelled = command.reason
            return
        engine = stream.engine
        self.fail(self.take_out(stream), engine, command.reason)

    def preempt(self, command: c.Preempt) -> None:
        stream = self.live.get(command.request)
        if stream is None or stream.over:
            return  # the report of its end answers this too
        if stream.engine is None:
            stream.preempted = command.keep
            return
        engine = stream.engine
        stream = self.take_out(stream)
        if command.keep is c.Keep.KV and stream.generated:
            return self.cluster.swapping.out(stream, engine)
        if command.keep is c.Keep.NOTHING:
            stream = self.live[command.request] = stream.fresh()
        self.preempted(stream, engine)

    def told_meanwhile(self, stream: Stream, engine: Served) -> bool:
        """Whether it was cancelled or preempted on its way to an engine, and so ends here.

        Its KV is lost either way.
        """
        if stream.cancelled:
            self.fail(stream, engine, stream.cancelled)
            return True
        if stream.preempted is None:
            return False
        if stream.preempted is c.Keep.NOTHING:
            stream = self.live[stream.request] = stream.fresh()
        self.preempted(stream, engine)
        return True

    # Reports

    def _finished(self, stream: Sequence, engine: Served, at: float) -> None:
        assert isinstance(stream, Stream)
        stream.engine = None
        if self._followers:
            self.env.ended(stream.request)
        if self._late:
            self._report_end(stream, engine, lambda now: finished(stream, engine.instance, now))
            return
        del self.live[stream.request]
        self.cluster.report(finished(stream, engine.instance, at))
        if self.env.arrivals_over:
            self.cluster.check_over()

    def fail(self, stream: Stream, engine: Served, reason: str) -> None:
        """Final: cancelled as told, or nothing that an engine can serve."""
        about = stream.command, RequestId(stream.request)
        self.env.ended(stream.request)
        self._report_end(stream, engine, lambda now: e.RequestFailed(now, *about, reason))

    def _report_end(self, stream: Stream, engine: Served, make: Callable[[float], e.Event]) -> None:
        def tell(now: float) -> e.Event:
            del self.live[stream.request]
            self.cluster.check_over()  # stops the run only after this report
            return make(now)

        self.cluster.answer(tell, engine.nodes)

    def preempted(self, stream: Stream, engine: Served) -> None:
        """Off its instance; the controller may dispatch it again."""
        about = stream.command, RequestId(stream.request), stream.generated
        stream.preempted = None
        self.cluster.answer(lambda now: e.Preempted(now, *about), engine.nodes)


def finished(stream: Stream, instance: InstanceId, now: float) -> e.RequestFinished:
    return e.RequestFinished(
        now,
        stream.command,
        stream.request,  # type: ignore[arg-type]
        instance,
        stream.scheduled_at,
        stream.first_token_at,
        stream.ended_at,
        stream.output_tokens,
        stream.gaps,
        stream.longest_gap_s,
        stream.cached_tokens,
    )


def _blocks(prefix: tuple[int, ...], adapter: AdapterId | None) -> tuple[Block, ...]:
    """Equal text under another adapter has another KV cache."""
    return prefix if adapter is None else tuple((adapter, block) for block in prefix)
