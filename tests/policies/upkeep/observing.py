"""Requests shown to an observer as the controller would show them, without serving them."""

from typing import Protocol

from fleet.domain import AdapterId, ArtifactId, ModelId, Request, RequestId, TenantId
from fleet.events import RequestArrived
from fleet.view import View
from tests.policies.bench import Bench


class Watcher(Protocol):
    def observe(self, fact: RequestArrived, view: View) -> None: ...


def told(bench: Bench, policy: Watcher, *asked: tuple[int, int | None], tenant: int = 0) -> None:
    """One request after another arrives at the bench's time: (model, adapter)."""
    for number, lora in asked:
        adapter = None if lora is None else AdapterId(ArtifactId(lora))
        now, model = bench.state.now, ModelId(ArtifactId(number))
        request = Request(RequestId(0), model, adapter, now, 10, 10, TenantId(tenant))
        policy.observe(RequestArrived(now, request), bench.view)
