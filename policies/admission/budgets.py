"""Budgets by tenant: so many requests and tokens a minute."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet import events as e
from fleet.domain import Request, TenantId
from fleet.policy import Refuse
from fleet.view import View


@dataclass(slots=True)
class Bucket:
    """What a tenant may still spend, as of `at`."""

    requests: float
    tokens: float
    at: float


@dataclass(frozen=True)
class TokenBucket:
    """A tenant may send so many requests and tokens a minute, saved up for one minute at most.

    A request costs 1 and prompt + max_tokens tokens; what it did not generate is given back when it
    finishes. The hint is the time until both buckets hold its cost, None if they never can.
    """

    source: ClassVar[str] = "Turner 1986 (leaky bucket as a meter); OpenAI-style RPM and TPM limits"
    departs: ClassVar[str] = (
        "Only a request that finished gives back; one that is cancelled, refused later or lost "
        "keeps its cost."
    )
    observes: ClassVar = (e.RequestFinished,)

    requests_per_min: Annotated[float, Meta(gt=0)] = 600.0
    tokens_per_min: Annotated[float, Meta(gt=0)] = 1_000_000.0
    _buckets: dict[TenantId, Bucket] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def observe(self, finished: e.RequestFinished, view: View) -> None:
        flight = view.flight(finished.request)
        if flight is None or flight.command != finished.command:
            return  # a late report of an attempt that was given up
        bucket = self._filled(flight.request.tenant, view.now)
        unused = flight.request.max_tokens - finished.tokens
        bucket.tokens = min(self.tokens_per_min, bucket.tokens + max(0, unused))

    def _filled(self, tenant: TenantId, now: float) -> Bucket:
        """Its bucket, with what has come in since it was last looked at."""
        bucket = self._buckets.get(tenant)
        if bucket is None:
            bucket = Bucket(self.requests_per_min, self.tokens_per_min, now)
            self._buckets[tenant] = bucket
        minutes = (now - bucket.at) / 60.0
        most, tokens = self.requests_per_min, self.tokens_per_min
        bucket.requests = min(most, bucket.requests + minutes * most)
        bucket.tokens = min(tokens, bucket.tokens + minutes * tokens)
        bucket.at = now
        return bucket

    def admit(self, request: Request, view: View) -> Refuse | None:
        cost = request.prompt_tokens + request.max_tokens
        if cost > self.tokens_per_min or self.requests_per_min < 1.0:
            return Refuse("over_budget", None)
        bucket = self._filled(request.tenant, view.now)
        lacks_min = max(
            (1.0 - bucket.requests) / self.requests_per_min,
            (cost - bucket.tokens) / self.tokens_per_min,
        )
        if lacks_min > 0.0:
            return Refuse("rate_limited", lacks_min * 60.0)
        bucket.requests -= 1.0
        bucket.tokens -= cost
        return None
