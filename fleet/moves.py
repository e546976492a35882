"""Requests that leave an instance before their end: preempted, cancelled, or moved live.

A migration reserves a slot on its target when it is let out. Whatever happens, the request is on
exactly one instance in the books: on its source until `Migrated`, on its target after it.
"""

from fleet.commands import Cancel, Migrate, Preempt
from fleet.events import Migrated
from fleet.holders import Flight, Instance, Move, Phase
from fleet.orders import Open, Orders
from fleet.plans import UNNUMBERED, StepId
from fleet.state import State


class Moves:
    def __init__(self, state: State, orders: Orders) -> None:
        self.state = state
        self.orders = orders

    def cancel(self, flight: Flight, reason: str) -> None:
        """Tell a dispatched request to end. Its slot is free once the driver says so."""
        flight.leaving = reason
        order = self.orders.give(Cancel(UNNUMBERED, flight.request.id, reason))
        flight.told = (*flight.told, order)

    def preempt(self, step: StepId, command: Preempt) -> bool:
        """Let a preemption out; False if the request is no longer there to be preempted."""
        flight = self.state.flights.get(command.request)
        if flight is None or flight.instance is None or flight.told:
            return False
        flight.told = (self.orders.give(command, step),)
        return True

    def migrate(self, step: StepId, command: Migrate) -> bool | None:
        """Let a migration out. False: nothing to move any more. None: the target cannot take it."""
        flight = self.state.flights.get(command.request)
        source = self.state.instances.get(command.source)
        if flight is None or source is None or flight.instance is not source:
            return False
        if flight.told:
            return False
        target = self.state.instances.get(command.target)
        if target is None or flight.move is not None or not self._can_take(target, flight):
            return None
        self.state.take_slot(target)
        self._pin(target, flight, 1)
        number = self.orders.give(command, step)
        flight.move = Move(number, flight, source, target)
        target.inbound[command.request] = flight.move
        return True

    def migrated(self, event: Migrated) -> tuple[StepId | None, Instance] | None:
        """The request is on its target; returns the step and the source. None: a late report."""
        opened = self.orders.close(event.command)
        flight = self.state.flights.get(event.request)
        if opened is None or flight is None or flight.move is None:
            return None
        move = flight.move
        source, target = move.source, move.target
        flight.move = None
        del target.inbound[event.request]
        _out(flight, source)
        _in(flight, target)
        self._pin(source, flight, -1)
        self.state.give_slot(source)
        return opened.step, source

    def undo(self, move: Move) -> Open | None:
        """The migration will not happen: free the target's slot and close the order."""
        opened = self.orders.close(move.command)
        move.flight.move = None
        target = move.target
        del target.inbound[move.flight.request.id]
        self._pin(target, move.flight, -1)
        self.state.give_slot(target)
        return opened

    def ended(self, flight: Flight) -> list[Open]:
        """The request is over or off its instance: close every order about it."""
        about = [self.orders.close(order) for order in flight.told]
        flight.told = ()
        if flight.move is not None:
            about.append(self.undo(flight.move))
        return [opened for opened in about if opened is not None]

    def leave(self, flight: Flight, instance: Instance) -> None:
        """Take the request off its instance in the books."""
        _out(flight, instance)
        if flight.request.adapter is not None:
            self._pin(instance, flight, -1)
        self.state.give_slot(instance)
        flight.instance = None

    def enter(self, flight: Flight, instance: Instance) -> None:
        """Put the request on a ready instance in the books."""
        self.state.take_slot(instance)
        _in(flight, instance)
        if flight.request.adapter is not None:
            self._pin(instance, flight, 1)

    def _can_take(self, target: Instance, flight: Flight) -> bool:
        adapter = flight.request.adapter
        return (
            target.phase is Phase.READY
            and target.load < target.slots
            and (adapter is None or target.has(adapter))
        )

    def _pin(self, instance: Instance, flight: Flight, by: int) -> None:
        adapter = flight.request.adapter
        if adapter is not None:
            instance.adapters.entries[adapter].pins += by


def _in(flight: Flight, instance: Instance) -> None:
    """The request runs there, as far as the books know."""
    request = flight.request
    instance.running[request.id] = flight
    flight.instance = instance
    instance.prompt_tokens += request.prompt_tokens
    instance.dispatched_s += flight.dispatched_at


def _out(flight: Flight, instance: Instance) -> None:
    request = flight.request
    running = instance.running
    del running[request.id]
    instance.prompt_tokens -= request.prompt_tokens
    if running:
        instance.dispatched_s -= flight.dispatched_at
    else:
        instance.dispatched_s = 0.0  # what rounding left behind goes too
