"""How instances came up and adapters were attached: what was believed of it, and how it was.

Follows a replay for the models in focus. Knows the controller's beliefs and the journal's facts.
"""

from collections.abc import Iterable
from itertools import takewhile

import msgspec

from fleet import commands as c
from fleet import events as e
from fleet.controller import Controller
from fleet.domain import Tier
from fleet.holders import Instance
from fleet.plans import Plan
from traces.asked.placement_picture import Placement, starts_of
from traces.asked.probes import Log
from traces.asked.story import Names


class Start(msgspec.Struct):
    """How an instance came up, as believed when it was placed and as it was; None: not seen.

    `believed_ready_at` and `believed_load_s` are of the placement's own question; `ready_at` is
    when the controller learned that it was.
    """

    instance: int
    model: str
    node: str
    planned_at: float
    source: str = ""
    believed_ready_at: float | None = None
    believed_load_s: float | None = None
    started_at: float | None = None
    ready_at: float | None = None
    load_s: float | None = None
    phases: tuple[tuple[str, float], ...] = ()
    woken: bool = False
    placement: Placement | None = None


class Attach(msgspec.Struct):
    """An adapter's way into a slot, as believed and as it was."""

    instance: int
    adapter: str
    source: str
    began_at: float
    believed_s: float
    load_s: float | None = None


class Starts:
    """Every start and waking of the instances of the models in focus, in order."""

    def __init__(self, controller: Controller, log: Log) -> None:
        self._state = controller.state
        self._view = controller.view
        self._names = Names(controller.state)
        self._log = log
        self._matched = 0  # placements that have been looked at
        self._newest = -1  # instance seen so far
        self._of: dict[int, list[Start]] = {}
        self.attaches: dict[tuple[int, int], Attach] = {}

    def serving(self, instance: int, at: float) -> Start | None:
        """The start by which an instance was up at that time."""
        known = [one for one in self._of.get(instance, ()) if one.planned_at <= at]
        return known[-1] if known else None

    def match(self) -> None:
        """After an event: which instances the placements asked in it have brought up."""
        log = self._log
        instances = self._state.instances
        # Ids are given in order and the newest stand last: no look at the old ones.
        fresh = list(takewhile(lambda i: i > self._newest, reversed(instances)))[::-1]
        self._newest = fresh[-1] if fresh else self._newest
        mine = [instances[i] for i in fresh if instances[i].model.id in log.models]
        for instance in mine:
            self._of[instance.id] = [self._planned(instance)]
        for i in range(self._matched, len(log.plans)):
            plan = log.plans[i]
            if plan is not None:
                self._give(log.placements[i], plan, mine)
        self._matched = len(log.plans)

    def _planned(self, instance: Instance) -> Start:
        node = self._names.node(instance.node)
        return Start(instance.id, instance.model.name, node, self._state.now)

    def _give(self, placement: Placement, plan: Plan, new: list[Instance]) -> None:
        """The placement to the instance that its plan starts or wakes."""
        for command in starts_of(plan):
            if isinstance(command, c.Wake):
                woken = self._state.instances.get(command.instance)
                if woken is not None:
                    start = self._planned(woken)
                    start.woken = True
                    self._of.setdefault(woken.id, []).append(start)
                    self._believe(start, placement)
            elif isinstance(command, c.StartInstance):
                own = [i for i in new if (i.model.id, i.shards) == (command.model, command.shards)]
                for instance in own[:1]:
                    new.remove(instance)
                    self._believe(self._of[instance.id][-1], placement)

    def _believe(self, start: Start, placement: Placement) -> None:
        start.placement = msgspec.structs.replace(placement, instance=start.instance)
        start.believed_ready_at = placement.ready_at
        chosen = [one for one in placement.candidates if one.chosen]
        if len(chosen) == 1 and not start.woken:
            start.believed_load_s = chosen[0].load_s

    # Facts

    def note_event(self, event: e.Event) -> None:
        match event:
            case e.InstanceReady():
                self._ready(event, event.phases)
            case e.Awake():
                self._ready(event, ())
            case e.AdapterAttached():
                attach = self.attaches.get((event.instance, event.adapter))
                if attach is not None:
                    attach.load_s = event.load_s

    def _ready(
        self, event: e.InstanceReady | e.Awake, phases: tuple[tuple[str, float], ...]
    ) -> None:
        start = self._last(event.instance)
        if start is not None:
            start.ready_at = event.at
            start.load_s = event.load_s
            start.phases = phases

    def _last(self, instance: int) -> Start | None:
        known = self._of.get(instance)
        return known[-1] if known else None

    def note_commands(self, commands: Iterable[c.Command], at: float) -> None:
        for command in commands:
            match command:
                case c.StartInstance():
                    places = dict.fromkeys(map(self._names.place, command.sources))
                    self._begun(command.instance, " and ".join(places), at)
                case c.Wake():
                    self._begun(command.instance, self._names.place(command.source), at)
                case c.AttachAdapter():
                    self._attaching(command, at)

    def _begun(self, instance: int, source: str, at: float) -> None:
        start = self._last(instance)
        if start is not None:
            start.source = source
            start.started_at = at

    def _attaching(self, command: c.AttachAdapter, at: float) -> None:
        spec = self._state.adapters.get(command.adapter)
        instance = self._state.instances.get(command.instance)
        if spec is None or instance is None or spec.model not in self._log.models:
            return
        node = self._view.node(instance.node)
        tier = command.source.tier if command.source.node is not None else Tier.REMOTE
        self.attaches[command.instance, command.adapter] = Attach(
            command.instance,
            spec.name,
            self._names.place(command.source),
            at,
            self._view.estimates.attach_s(spec, node, tier),
        )
