"""Requests from arrival to end: admission, waiting, dispatch, and every way to be over."""

import math

from fleet import events as e
from fleet.adapters import Adapters
from fleet.capacity import TIMER_SLACK_S
from fleet.commands import Dispatch, Reject, SetTimer
from fleet.domain import ModelId, Request, RequestId
from fleet.execution import Execution
from fleet.holders import Flight, Instance
from fleet.limits import Limits
from fleet.orders import Orders
from fleet.plans import UNNUMBERED
from fleet.policy import Policy, Refuse, observers
from fleet.state import Serving, State
from fleet.view import View


class Requests:
    def __init__(
        self,
        state: State,
        policy: Policy,
        view: View,
        orders: Orders,
        execution: Execution,
        limits: Limits,
    ) -> None:
        self.state = state
        self.view = view
        self.orders = orders
        self.execution = execution
        self.adapters: Adapters = execution.adapters
        self.moves = execution.moves
        self.limits = limits
        self.ordering = policy.ordering
        # Bound once: these two are asked for every request.
        self._admit = policy.admission.admit
        self._route = policy.routing.route
        self._watching = observers(policy).get(Dispatch, ())
        self._max_age_s = math.inf if limits.max_age_s is None else limits.max_age_s
        self._age_timer = False

    # In

    def arrived(self, event: e.RequestArrived) -> None:
        request = event.request
        serving = self.state.serving.get(request.model)
        refusal = self._refusal(request, serving)
        if refusal is not None:
            self._reject(request.id, refusal.reason, refusal.retry_after_s)
            return
        assert serving is not None, "an unknown model is refused"
        serving.arrived(event.at)
        flight = self.state.flights[request.id] = Flight(request)
        if not self._age_timer and self._max_age_s != math.inf:
            self._set_age_timer(request.arrived_at)
        if not serving.lanes.waiting and self._send(flight):
            return
        self._wait(flight, serving, front=False)

    def _refusal(self, request: Request, serving: Serving | None) -> Refuse | None:
        if serving is None or serving.removed:
            return Refuse("model_not_found")
        adapter = request.adapter
        if adapter is not None:
            spec = self.state.adapters.get(adapter)
            if spec is None or spec.model != request.model:
                return Refuse("adapter_not_found")
            if not serving.spec.max_adapters:
                return Refuse("adapters_not_supported")
        if self.state.waiting >= self.limits.max_waiting:
            return Refuse("queue_full")
        return self._admit(request, self.view)

    def _wait(self, flight: Flight, serving: Serving, *, front: bool) -> None:
        serving.lanes.push(flight, front=front)
        self.state.waiting += 1
        if serving.ready.has_slot():
            self.orders.serve[serving.spec.id] = None
        self.orders.scale[serving.spec.id] = None

    # Onto an instance

    def serve(self, model: ModelId) -> None:
        """Offer free slots to the waiting lanes, in the ordering policy's order."""
        serving = self.state.serving[model]
        lanes, ready = serving.lanes, serving.ready
        while lanes.waiting and ready.has_slot():
            lane = self.ordering.next(lanes, self.view)
            if lane is None:
                break
            if self._send(lane.flights[0]):
                lanes.pop(lane)
                self.state.waiting -= 1
            else:
                lanes.set_aside(lane)
        lanes.restore()
        if lanes.waiting:
            self.orders.scale[model] = None  # what is ready was not enough
        else:
            self.state.needs.remove(model)

    def _send(self, flight: Flight) -> bool:
        """Dispatch if an instance can serve it now; else see that its adapter comes."""
        instance = self._route(flight.request, self.view)
        if instance is None:
            return False
        adapter = flight.request.adapter
        if adapter is not None and not instance.has(adapter):
            plan = self.adapters.plan(instance, adapter)
            if plan is not None:
                self.execution.begin(plan)
            return False
        self._dispatch(flight, instance)
        return True

    def _dispatch(self, flight: Flight, instance: Instance) -> None:
        flight.attempts += 1
        flight.dispatched_at = self.state.now
        self.moves.enter(flight, instance)
        if flight.request.adapter is not None:
            self.adapters.use(instance, flight.request.adapter, flight.request.arrived_at)
        orders = self.orders
        number = flight.command = orders.number()
        dispatch = Dispatch(number, flight.request.id, instance.id)
        orders.out.append(dispatch)
        if self._watching:
            for observe in self._watching:
                observe(dispatch, self.view)

    # Off it

    def finished(self, event: e.RequestFinished) -> None:
        flight = self.state.flights.get(event.request)
        if flight is None or flight.command != event.command:
            return  # its instance was lost while this report was on its way
        instance = flight.instance
        if instance is None:
            return
        self._learn(event, flight, instance)
        del self.state.flights[event.request]
        self._off(flight, instance)

    def _learn(self, event: e.RequestFinished, flight: Flight, instance: Instance) -> None:
        estimates = self.view.estimates
        model = instance.model.id
        kind = self.state.nodes.specs[instance.claim.shards[0].node].kind
        first_token_at = event.first_token_at
        prefill_s = first_token_at - event.scheduled_at
        estimates.saw_finish(
            model,
            estimates.pace(model, kind),
            prefill_s / ((flight.request.prompt_tokens - event.cached_tokens) or 1),
            event.ended_at - first_token_at,
            event.tokens,
        )

    def failed(self, event: e.RequestFailed) -> None:
        """Final: cancelled as told, or the engine cannot serve it at all."""
        flight = self.state.flights.get(event.request)
        if flight is None or flight.command != event.command or flight.instance is None:
            return
        del self.state.flights[event.request]
        self._off(flight, flight.instance)

    def preempted(self, event: e.Preempted) -> None:
        flight = self.state.flights.get(event.request)
        if flight is None or flight.command != event.command or flight.instance is None:
            return
        instance = flight.instance
        self._off(flight, instance)
        if flight.leaving:
            self._end(flight, flight.leaving)
        else:
            self._wait_again(flight)

    def migrated(self, event: e.Migrated) -> None:
        moved = self.moves.migrated(event)
        if moved is None:
            return
        step, source = moved
        self.execution.slot_freed(source)
        if step is not None:
            self.execution.done(step)

    def dispatch_failed(self, flight: Flight) -> None:
        """The instance would not take it: it waits again, in front."""
        assert flight.instance is not None, "it was dispatched"
        self._off(flight, flight.instance)
        self.requeue([flight])

    def requeue(self, flights: list[Flight]) -> None:
        """Requests that lost their instance, oldest first, wait again in front."""
        for flight in reversed(flights):
            flight.command = UNNUMBERED
            if flight.leaving:
                self._end(flight, flight.leaving)
            elif flight.attempts >= self.limits.max_attempts:
                self._end(flight, "too_many_attempts")
            else:
                self._wait_again(flight)

    def _wait_again(self, flight: Flight) -> None:
        """Back to the queue, unless what it asks for was removed while it ran."""
        request = flight.request
        serving = self.state.serving[request.model]
        if serving.removed:
            self._end(flight, "model_removed")
        elif request.adapter is not None and request.adapter not in self.state.adapters:
            self._end(flight, "adapter_removed")
        else:
            self._wait(flight, serving, front=True)

    def _off(self, flight: Flight, instance: Instance) -> None:
        """Free its slot, close the orders about it, and offer the slot to who waits."""
        flight.command = UNNUMBERED
        move = flight.move
        over = self.moves.ended(flight) if flight.told or move is not None else ()
        self.moves.leave(flight, instance)
        model = instance.model.id
        if self.state.serving[model].lanes.waiting:
            self.orders.serve[model] = None
        if not instance.load:
            self.execution.slot_freed(instance)
        if move is not None:
            self.execution.slot_freed(move.target)
        for opened in over:
            if opened.step is not None:
                self.execution.done(opened.step)

    # Out

    def abandoned(self, event: e.RequestAbandoned) -> None:
        flight = self.state.flights.get(event.request)
        if flight is not None and not flight.leaving:
            self._give_up(flight, "abandoned")

    def expire(self) -> None:
        """Requests arrive in order, so the oldest in flight come first in `flights`."""
        self._age_timer = False
        horizon = self.state.now - self._max_age_s + TIMER_SLACK_S
        old = []
        for flight in self.state.flights.values():
            if flight.request.arrived_at > horizon:
                self._set_age_timer(flight.request.arrived_at)
                break
            old.append(flight)
        for flight in old:
            if not flight.leaving:
                self._give_up(flight, "timeout")

    def reject_waiting(self, serving: Serving, reason: str, adapter: int | None = None) -> None:
        """Turn away what waits for a model, or for one adapter of it."""
        for flight in list(serving.lanes.flights()):
            if adapter is None or flight.request.adapter == adapter:
                self._give_up(flight, reason)

    def _give_up(self, flight: Flight, reason: str) -> None:
        if flight.instance is not None:
            return self.moves.cancel(flight, reason)
        serving = self.state.serving[flight.request.model]
        serving.lanes.remove(flight)
        self.state.waiting -= 1
        if not serving.lanes.waiting:
            self.state.needs.remove(serving.spec.id)
        self._end(flight, reason)

    def _end(self, flight: Flight, reason: str) -> None:
        del self.state.flights[flight.request.id]
        self._reject(flight.request.id, reason, None)

    def _reject(self, request: RequestId, reason: str, retry_after_s: float | None) -> None:
        self.orders.out.append(Reject(self.orders.number(), request, reason, retry_after_s))

    def _set_age_timer(self, arrived_at: float) -> None:
        self._age_timer = True
        at = max(self.state.now, arrived_at + self._max_age_s)
        self.orders.out.append(SetTimer(self.orders.number(), "age", at))
