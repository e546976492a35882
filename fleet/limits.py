"""Bounds that keep every queue and every loop finite."""

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """`max_age_s`: a request not over by then is rejected or cancelled ("timeout"); None: never.

    `max_waiting`: requests that may wait in all; one more is refused ("queue_full").
    `max_attempts`: dispatches of one request before it fails ("too_many_attempts").
    `max_answers`: policy answers in one event before `PolicyLoopError` is raised.
    """

    max_age_s: float | None = None
    max_waiting: int = 1_000_000
    max_attempts: int = 10
    max_answers: int = 100_000
