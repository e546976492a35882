"""Rests after failures: doubling, bounded, forgotten by a success."""

from fleet.backoff import FIRST_S, MOST_S, Backoff
from fleet.domain import ArtifactId

IT, OTHER = ArtifactId(1), ArtifactId(2)


def test_each_failure_in_a_row_doubles_the_rest_up_to_the_most() -> None:
    backoff = Backoff()
    rests = [backoff.failed(IT, now=100.0) - 100.0 for _ in range(9)]
    assert rests == [FIRST_S * 2**n for n in range(6)] + [MOST_S] * 3


def test_it_waits_until_its_time_and_others_do_not() -> None:
    backoff = Backoff()
    until = backoff.failed(IT, now=10.0)
    assert backoff.waits(IT, 10.0)
    assert backoff.waits(IT, until - 1e-6)
    assert not backoff.waits(IT, until)
    assert not backoff.waits(OTHER, 10.0)


def test_a_success_forgets_every_failure() -> None:
    backoff = Backoff()
    backoff.failed(IT, 0.0)
    backoff.failed(IT, 0.0)
    backoff.succeeded(IT)
    assert not backoff.waits(IT, 0.0)
    assert backoff.failed(IT, 0.0) == FIRST_S
