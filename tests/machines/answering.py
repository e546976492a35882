"""Every event that may answer an open command, as the table allows and the books have it."""

from collections.abc import Callable, Iterator
from typing import Any

from fleet import commands as c
from fleet import events as e
from fleet.answers import ANSWERS
from fleet.domain import InstanceId
from tests.machines.books import Books

LOAD_S = 2.0


def answers(books: Books, command: c.Command) -> Iterator[e.Event]:
    """As things are; the event of its success first."""
    for kind in ANSWERS[type(command)]:
        event = _answer(books, command, kind)
        if event is not None:
            yield event


def late(books: Books, command: c.Command) -> e.Event | None:
    """The success of a command that a loss has closed: it is to be ignored."""
    if isinstance(command, c.Dispatch):
        return finished(books.now, command, command.instance)
    if isinstance(command, c.Cancel | c.Preempt):
        return None
    return _answer(books, command, ANSWERS[type(command)][0])


def _answer(books: Books, command: c.Command, kind: type[e.Event]) -> e.Event | None:
    if isinstance(command, c.Dispatch | c.Cancel | c.Preempt | c.Migrate):
        event = _request_answer(books, command, kind)
        if event is not None or kind is not e.CommandFailed:
            return event
    if kind is e.CommandFailed:
        return e.CommandFailed(books.now, command.id, "it broke")
    build = _BUILD.get((type(command), kind))
    return None if build is None else build(books.now, command)


def _request_answer(
    books: Books, command: c.Dispatch | c.Cancel | c.Preempt | c.Migrate, kind: type[e.Event]
) -> e.Event | None:
    """The end of a request carries its dispatch's id, whatever was asked."""
    now = books.now
    if kind is e.Migrated:
        return e.Migrated(now, command.id, command.request, 0.1, 10, 2)
    job = books.jobs.get(command.request)
    if job is None or job.dispatch is None or job.instance is None:
        return None
    if kind is e.RequestFinished:
        return finished(now, job.dispatch, job.instance)
    if kind is e.RequestFailed:
        cancel = job.order(c.Cancel)
        reason = cancel.reason if isinstance(cancel, c.Cancel) else "engine_error"
        return e.RequestFailed(now, job.dispatch.id, command.request, reason)
    if kind is e.Preempted and job.order(c.Preempt) is not None:
        return e.Preempted(now, job.dispatch.id, command.request, 3)
    return None


def finished(now: float, dispatch: c.Dispatch, instance: InstanceId) -> e.RequestFinished:
    times = (now, now, now)
    return e.RequestFinished(now, dispatch.id, dispatch.request, instance, *times, 8, 0, 0.0)


_BUILD: dict[tuple[type[c.Command], type[e.Event]], Callable[[float, Any], e.Event]] = {
    (c.StartInstance, e.InstanceReady): lambda at, o: e.InstanceReady(
        at, o.id, o.instance, LOAD_S, (("weights", LOAD_S),)
    ),
    (c.StopInstance, e.InstanceStopped): lambda at, o: e.InstanceStopped(at, o.id, o.instance),
    (c.Sleep, e.Slept): lambda at, o: e.Slept(at, o.id, o.instance),
    (c.Wake, e.Awake): lambda at, o: e.Awake(at, o.id, o.instance, LOAD_S),
    (c.AttachAdapter, e.AdapterAttached): lambda at, o: e.AdapterAttached(
        at, o.id, o.instance, o.adapter, LOAD_S
    ),
    (c.DetachAdapter, e.AdapterDetached): lambda at, o: e.AdapterDetached(
        at, o.id, o.instance, o.adapter
    ),
    (c.Fetch, e.Fetched): lambda at, o: e.Fetched(at, o.id, o.artifact, LOAD_S),
    (c.Drop, e.Dropped): lambda at, o: e.Dropped(at, o.id, o.artifact, o.place),
}
