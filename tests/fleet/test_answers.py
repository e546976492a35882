"""The table of commands and answers is complete and says only what the types can carry."""

from typing import get_args

from fleet import commands as c
from fleet import events as e
from fleet.answers import ANSWERS

UNASKED = {
    e.RequestArrived,
    e.RequestAbandoned,
    e.NodeJoined,
    e.NodeLost,
    e.InstanceLost,
    e.ArtifactAdded,
    e.ArtifactRemoved,
    e.Progress,
}


def test_every_command_has_a_row() -> None:
    assert set(ANSWERS) == set(get_args(c.AnyCommand))


def test_whatever_answers_carries_the_id_of_its_command() -> None:
    assert all(issubclass(kind, e.Answer) for row in ANSWERS.values() for kind in row)


def test_every_event_is_either_unasked_or_answers_something() -> None:
    answering = {kind for row in ANSWERS.values() for kind in row}
    assert answering | UNASKED == set(get_args(e.AnyEvent))
    assert not answering & UNASKED


def test_only_a_rejection_is_never_answered() -> None:
    assert [kind for kind, row in ANSWERS.items() if not row] == [c.Reject]
