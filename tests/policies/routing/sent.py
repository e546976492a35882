"""Requests of a test's own making, sent to a named instance, with the policy looking on."""

from typing import Any

import msgspec

from fleet import events as e
from fleet.commands import Dispatch
from fleet.domain import Request, RequestId
from fleet.policy import Observer
from tests.policies.routing.test_load import Fleet, request


def asked(fleet: Fleet, **more: Any) -> Request:
    """A request that arrives now; `more` are its fields."""
    fleet.bench.requests += 1
    number = RequestId(1000 + fleet.bench.requests)
    return msgspec.structs.replace(request(), id=number, arrived_at=fleet.bench.state.now, **more)


def send(fleet: Fleet, to: int, policies: list[Any], **more: Any) -> Dispatch:
    """One more request on an instance; policies that watch for it see its dispatch."""
    bench = fleet.bench
    bench.aim.at = fleet.instances[to]
    out = bench.controller.handle(e.RequestArrived(bench.state.now, asked(fleet, **more)))
    bench.aim.at = None
    (dispatch,) = (c for c in out if isinstance(c, Dispatch))
    for policy in policies:
        if isinstance(policy, Observer) and Dispatch in policy.observes:
            policy.observe(dispatch, bench.view)
    return dispatch


def finish(fleet: Fleet, dispatch: Dispatch, policies: list[Any], tokens: int = 1) -> None:
    """The request ends now."""
    now = fleet.bench.state.now
    event = e.RequestFinished(
        now, dispatch.id, dispatch.request, dispatch.instance, now, now, now, tokens, 0, 0.0
    )
    for policy in policies:
        if isinstance(policy, Observer) and e.RequestFinished in policy.observes:
            policy.observe(event, fleet.bench.view)
    fleet.bench.controller.handle(event)
