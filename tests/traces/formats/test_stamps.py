import numpy as np

from traces.formats.stamps import quantum_us, since_start


def test_stamps_in_batches_have_the_step_of_the_batches() -> None:
    rng = np.random.default_rng(1)
    batches = np.repeat(np.arange(40) * 3_000_000, 4) + np.repeat(
        rng.integers(-1, 2, 40) * 1_000, 4
    )
    assert abs(quantum_us(np.abs(batches), 1_000) - 3_000_000) <= 2_000


def test_whole_seconds_have_a_step_of_a_second() -> None:
    assert quantum_us(np.array([0, 3, 4, 9]) * 1_000_000, 1_000_000) == 1_000_000


def test_whole_milliseconds_have_a_step_of_a_millisecond_at_most() -> None:
    stamps = np.array([0, 3, 4, 9]) * 1_000_000
    assert quantum_us(stamps, 1_000) == 1_000
    assert quantum_us(stamps, 1) == 0


def test_microseconds_are_exact() -> None:
    assert quantum_us(np.array([0, 1_000_001]), 1_000_000) == 0


def test_bursts_at_uneven_times_are_no_batches() -> None:
    rng = np.random.default_rng(1)
    starts = np.cumsum(rng.integers(1, 10**6, 40))
    assert quantum_us(np.repeat(starts, 4), 1) == 0


def test_unix_times_count_from_the_first_and_other_times_stay() -> None:
    assert since_start(np.array([1_700_000_000_000_005, 1_700_000_000_000_000])).tolist() == [5, 0]
    assert since_start(np.array([500, 700])).tolist() == [500, 700]
