"""Whether a model should have more instances, and where: the cold path's questions.

A need that found no room is kept in `state.needs` and tried again when capacity changed, oldest
first; needs of a size that found no room anywhere are skipped for the rest of that round.
"""

import math

from fleet.backoff import Backoff
from fleet.commands import SetTimer, Sleep, StopInstance
from fleet.domain import ArtifactId, InstanceId, ModelId
from fleet.execution import Execution
from fleet.holders import Instance, Phase
from fleet.needs import Need
from fleet.orders import Orders
from fleet.plans import UNNUMBERED, Step, Steps
from fleet.policy import FULL, Periodic, Placed, Policy
from fleet.state import Serving, State
from fleet.view import View

#: A timer may fire a rounding error before the moment it was set for.
TIMER_SLACK_S = 1e-9


class Capacity:
    def __init__(
        self, state: State, policy: Policy, view: View, orders: Orders, execution: Execution
    ) -> None:
        self.state = state
        self.policy = policy
        self.view = view
        self.orders = orders
        self.execution = execution
        self.backoff = Backoff()

    # More instances

    def scale(self, model: ModelId) -> None:
        """Start what the scaling policy wants beyond what there is or will be."""
        serving = self.state.serving[model]
        if model in self.state.needs or self._barred(serving):
            return
        while self._missing(serving) > 0:
            self.orders.asked()
            need = self._need(serving)
            if not self._begin(self._ask(need)):
                self.state.needs.add(need)
                return

    def retry(self) -> None:
        """Capacity changed: try the needs that found none."""
        needs = self.state.needs
        while (need := self.policy.arbitration.next(needs, self.view)) is not None:
            self.orders.asked()
            serving = self.state.serving[need.model.id]
            if self._barred(serving) or self._missing(serving) <= 0:
                needs.remove(need.model.id)
                continue
            placed = self._ask(self._need(serving))
            if self._begin(placed):
                if self._missing(serving) <= 0:
                    needs.remove(need.model.id)
            elif placed is FULL:
                needs.full(need)
            else:
                needs.tried(need)
        needs.restore()

    def tend(self, number: int) -> None:
        """Ask one upkeep policy for its plans, and set its next timer."""
        upkeep = self.policy.upkeep[number]
        for plan in upkeep.tend(self.view):
            self.orders.asked()
            self.execution.begin(plan)
        self.set_upkeep_timer(number)

    def set_upkeep_timer(self, number: int) -> None:
        at = self.state.now + self.policy.upkeep[number].every_s
        self.orders.out.append(SetTimer(self.orders.number(), f"upkeep/{number}", at))

    def rescale(self) -> None:
        """A periodic scaling decides again: stop what it wants no more, start what it lacks."""
        self._periodic().tick(self.view)
        for model, serving in self.state.serving.items():
            if serving.removed:
                continue
            missing = self._missing(serving)
            if missing > 0:
                self.orders.scale[model] = None
            elif missing < 0:
                self._shrink(serving, -missing)
        self.set_scaling_timer()

    def set_scaling_timer(self) -> None:
        if isinstance(self.policy.scaling, Periodic):
            at = self.state.now + self._periodic().every_s
            self.orders.out.append(SetTimer(self.orders.number(), "scaling/", at))

    def _periodic(self) -> Periodic:
        assert isinstance(self.policy.scaling, Periodic), "no other scaling has a timer"
        return self.policy.scaling

    def _shrink(self, serving: Serving, surplus: int) -> None:
        """Stop the least loaded; what a migration is on its way to stays."""
        leaving = [i for i in serving.ready if not i.inbound][:surplus]
        for instance in leaving:
            self.stop(instance)

    def rest_until(self, artifact: ArtifactId, backoff: Backoff) -> None:
        """A load failed: leave the artifact alone for a while."""
        until = backoff.failed(artifact, self.state.now)
        self.orders.out.append(SetTimer(self.orders.number(), f"retry/{artifact}", until))

    def _barred(self, serving: Serving) -> bool:
        return serving.removed or self.backoff.waits(serving.spec.id, self.state.now)

    def _missing(self, serving: Serving) -> int:
        wanted = self.policy.scaling.wanted(serving.spec.id, self.view)
        return wanted - len(serving.ready) - serving.starting

    def _need(self, serving: Serving) -> Need:
        oldest = serving.lanes.oldest()
        since = oldest.flights[0].request.arrived_at if oldest else self.state.now
        return Need(serving.spec, serving.lanes.waiting, since)

    def _ask(self, need: Need) -> Placed:
        return self.policy.placement.place(need, self.view, self.policy.room)

    def _begin(self, placed: Placed) -> bool:
        if placed is None or placed is FULL:
            return False
        self.execution.begin(placed)
        return True

    # Fewer

    def rest(self, instance: Instance) -> None:
        """An instance is idle or asleep: ask how long it may stay so."""
        if not self._rests(instance):
            return
        rest = self.policy.keep_alive.rest(instance, self.view)
        if rest is None:
            instance.rest_at = math.inf
            return
        instance.rest_at = self.state.now + rest.after_s
        instance.rest_level = rest.level
        if rest.after_s <= 0.0:
            self._retire(instance)
        elif instance.rest_at < instance.rest_timer_at:
            self._set_rest_timer(instance)

    def rest_over(self, instance_id: InstanceId) -> None:
        """The idle timer fired; a request may have come and gone since it was set."""
        instance = self.state.instances.get(instance_id)
        if instance is None:
            return
        instance.rest_timer_at = math.inf
        if not self._rests(instance) or instance.rest_at == math.inf:
            return
        if self.state.now + TIMER_SLACK_S < instance.rest_at:
            self._set_rest_timer(instance)
        else:
            self._retire(instance)

    def stop(self, instance: Instance) -> None:
        """Stop an instance once its last request has ended."""
        stop = StopInstance(UNNUMBERED, instance.id)
        self.execution.begin(Steps((Step(stop),), self.state.now))

    def _retire(self, instance: Instance) -> None:
        if instance.rest_level and instance.phase is Phase.READY:
            sleep = Sleep(UNNUMBERED, instance.id, instance.rest_level)
            self.execution.begin(Steps((Step(sleep),), self.state.now))
        else:
            self.stop(instance)

    def _set_rest_timer(self, instance: Instance) -> None:
        instance.rest_timer_at = instance.rest_at
        number = self.orders.number()
        self.orders.out.append(SetTimer(number, f"idle/{instance.id}", instance.rest_at))

    def _rests(self, instance: Instance) -> bool:
        if instance.phase is Phase.READY:
            return not instance.load and not self.execution.adapters.attaching(instance)
        return instance.phase is Phase.ASLEEP
