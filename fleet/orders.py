"""What one event led to: the commands given, and the work that is to be settled before the answer.

Handlers mark what changed; the controller settles it afterwards, to a fixed point. So no handler
calls back up into another, and each question is asked of a policy once things are in order.
"""

from collections.abc import Iterator
from itertools import count
from typing import cast

import msgspec

from fleet.commands import Command
from fleet.domain import CommandId, InstanceId, ModelId
from fleet.holders import Instance
from fleet.plans import StepId


class PolicyLoopError(RuntimeError):
    """A policy's answers in one event did not come to an end."""


class Open:
    """A command that has not been answered yet, and the plan step it is."""

    __slots__ = ("command", "step")

    def __init__(self, command: Command, step: StepId | None) -> None:
        self.command = command
        self.step = step


class Orders:
    """Numbers commands, remembers which are open, and keeps the agenda of an event."""

    __slots__ = (
        "_about",
        "_most_answers",
        "answers",
        "capacity",
        "number",
        "open",
        "out",
        "rest",
        "scale",
        "serve",
    )

    def __init__(self, most_answers: int) -> None:
        #: The next number. A bound C function, because every dispatch takes one.
        self.number = cast(Iterator[CommandId], count()).__next__
        self._most_answers = most_answers
        # Of the event being handled: the controller renews both.
        self.answers = 0
        self.out: list[Command] = []
        self.open: dict[CommandId, Open] = {}
        self._about: dict[InstanceId, dict[CommandId, Open]] = {}
        # The agenda. Dicts are sets that remember their order, so runs repeat exactly.
        self.serve: dict[ModelId, None] = {}
        self.scale: dict[ModelId, None] = {}
        self.rest: dict[InstanceId, Instance] = {}
        self.capacity = False

    def give(self, command: Command, step: StepId | None = None) -> CommandId:
        """Number a planned command and let it out; it stays open until `close`."""
        number = self.number()
        command = msgspec.structs.replace(command, id=number)
        self.out.append(command)
        opened = self.open[number] = Open(command, step)
        instance = _instance_of(command)
        if instance is not None:
            self._about.setdefault(instance, {})[number] = opened
        return number

    def close(self, command: CommandId) -> Open | None:
        """An answer came. None: a late one, of something that is over."""
        opened = self.open.pop(command, None)
        instance = None if opened is None else _instance_of(opened.command)
        if instance is not None:
            about = self._about[instance]
            del about[command]
            if not about:
                del self._about[instance]
        return opened

    def about(self, instance: InstanceId) -> list[Open]:
        """Open commands to the instance itself, in the order they were given."""
        return list(self._about.get(instance, {}).values())

    def asked(self) -> None:
        """Count an answer of a policy that can be asked again in the same event."""
        self.answers += 1
        if self.answers > self._most_answers:
            raise PolicyLoopError(
                f"more than {self._most_answers} policy answers in one event: "
                "a policy keeps proposing what changes nothing (limits.max_answers)"
            )


def _instance_of(command: Command) -> InstanceId | None:
    """Whom the command is to, if that is an instance."""
    return getattr(command, "instance", None)
