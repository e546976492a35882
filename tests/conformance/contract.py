"""The driver contract, as a listener between any driver and any controller.

It hears every event with the commands that answered it, in order, and asserts what a driver owes:
time does not go back; an answer is one that `fleet.answers` allows, to a command that was given and
has no answer yet; of an instance nothing is heard before it is ready but that it is not going to
be, and nothing after its end. `unanswered` is what is still owed.
"""

from fleet import commands as c
from fleet import events as e
from fleet.answers import ANSWERS
from fleet.domain import CommandId, InstanceId, NodeId, RequestId, Shard


class Contract:
    def __init__(self) -> None:
        self.now = 0.0
        self.given: dict[CommandId, c.Command] = {}
        self.given_at: dict[CommandId, float] = {}
        self.answered: dict[CommandId, e.Event] = {}
        self.unanswered: dict[CommandId, c.Command] = {}
        self.shards: dict[InstanceId, tuple[Shard, ...]] = {}  # of instances that have not ended
        self.ready: set[InstanceId] = set()
        self.over: set[RequestId] = set()
        self.ran_on: dict[RequestId, InstanceId] = {}

    def hear(self, event: e.Event, commands: tuple[c.Command, ...] | list[c.Command]) -> None:
        assert event.at >= self.now, f"{event} after {self.now}"
        self.now = event.at
        if isinstance(event, e.Answer):
            self._check_answer(event)
        self._check_instance(event)
        self._close(event)
        for command in commands:
            self._give(command)

    def owed_for(self, seconds: float) -> list[c.Command]:
        """Commands without an answer for so long; timers that are not due are none."""
        return [
            command
            for number, command in self.unanswered.items()
            if self.given_at[number] < self.now - seconds
            and not (isinstance(command, c.SetTimer) and command.at >= self.now)
        ]

    def _give(self, command: c.Command) -> None:
        assert command.id not in self.given, f"{command}: its id is taken"
        self.given[command.id] = command
        self.given_at[command.id] = self.now
        match command:
            case c.Reject():
                return  # final, and without an answer
            case c.StartInstance():
                self.shards[command.instance] = command.shards
            case c.Dispatch():
                self.ran_on[command.request] = command.instance
        self.unanswered[command.id] = command

    def _check_answer(self, event: e.Answer) -> None:
        command = self.given.get(event.command)
        assert command is not None, f"{event} answers nothing"
        assert type(event) in ANSWERS[type(command)], f"{event} is no answer to {command}"
        assert event.command not in self.answered, f"{event} answers {command} again"
        self.answered[event.command] = event

    def _check_instance(self, event: e.Event) -> None:
        instance = getattr(event, "instance", None)
        if instance is None or isinstance(event, e.Progress):
            return
        assert instance in self.shards, f"{event} of an instance that has ended"
        if isinstance(event, e.InstanceReady):
            assert instance not in self.ready, f"{event}: it was ready"
            self.ready.add(instance)
        elif not isinstance(event, e.InstanceStopped):
            assert instance in self.ready, f"{event} of an instance that was never ready"

    def _close(self, event: e.Event) -> None:
        """What an event leaves without an answer to come."""
        match event:
            case e.RequestFinished() | e.RequestFailed() | e.Preempted():
                self._end(event)
            case e.Migrated():
                move = self.given[event.command]
                assert isinstance(move, c.Migrate)
                self.ran_on[event.request] = move.target
            case e.InstanceStopped() | e.InstanceLost():
                self._gone(event.instance)
            case e.NodeLost():
                self._node_lost(event.node)
        if isinstance(event, e.Answer):
            command = self.unanswered.pop(event.command, None)
            if isinstance(event, e.CommandFailed) and isinstance(command, c.StartInstance):
                self._gone(command.instance)

    def _end(self, event: e.RequestFinished | e.RequestFailed | e.Preempted) -> None:
        assert event.request not in self.over, f"{event} of a request that is over"
        if not isinstance(event, e.Preempted):
            self.over.add(event.request)
        self._settle_about(request=event.request)

    def _settle_about(self, request: RequestId) -> None:
        for number, command in list(self.unanswered.items()):
            if getattr(command, "request", None) == request:
                del self.unanswered[number]

    def _gone(self, instance: InstanceId) -> None:
        del self.shards[instance]
        for number, command in list(self.unanswered.items()):
            if instance in named(command):
                del self.unanswered[number]
        for request in [r for r, on in self.ran_on.items() if on == instance]:
            del self.ran_on[request]
            self._settle_about(request)

    def _node_lost(self, node: NodeId) -> None:
        for instance, shards in list(self.shards.items()):
            if any(shard.node == node for shard in shards):
                self._gone(instance)
        for number, command in list(self.unanswered.items()):
            fetched = isinstance(command, c.Fetch) and command.target.node == node
            if fetched or (isinstance(command, c.Drop) and command.place.node == node):
                del self.unanswered[number]


def named(command: c.Command) -> set[InstanceId]:
    """The instances that a command is about."""
    if isinstance(command, c.Migrate):
        return {command.source, command.target}
    instance = getattr(command, "instance", None)
    return set() if instance is None else {instance}
