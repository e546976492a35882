"""How many threads the first chunks ask for."""

import pytest

from runtime.store.reading.tuning import Tuning

CHUNK = 16 << 20


def _threads(rates: dict[int, float], most: int = 64) -> tuple[int, bool]:
    """What is settled on where so many threads get so many chunks a second."""
    tuning, at = Tuning(start=4, most=most), 0.0
    for _ in range(500):
        at += 1 / rates[tuning.threads]
        tuning.landed(CHUNK, at)
    return tuning.threads, tuning.settled


@pytest.mark.parametrize(
    ("rates", "threads"),
    [
        ({4: 100, 8: 100}, 4),
        ({4: 100, 8: 109}, 4),
        ({4: 100, 8: 120, 16: 121}, 8),
        ({4: 100, 8: 120, 16: 140, 32: 141}, 16),
        ({4: 100, 8: 50}, 4),
    ],
)
def test_threads_double_while_that_gains_more_than_a_tenth(
    rates: dict[int, float], threads: int
) -> None:
    assert _threads(rates) == (threads, True)


def test_a_disk_that_was_idle_is_not_judged() -> None:
    tuning, at = Tuning(), 0.0
    for _ in range(200):
        for _ in range(5):
            at += 1.0
            tuning.landed(CHUNK, at)
        tuning.idle()
    assert tuning.threads == 4
    assert not tuning.settled
