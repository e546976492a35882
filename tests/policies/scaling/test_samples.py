"""Means over windows, worked out by hand."""

from policies.scaling.samples import Samples, ceil


def test_a_window_ends_with_the_newest_sample_and_leaves_out_its_own_beginning() -> None:
    samples = Samples(60.0)
    assert samples.mean(60.0) == 0.0
    for at, value in ((0.0, 6.0), (10.0, 0.0), (20.0, 3.0)):
        samples.add(at, value)
    assert samples.mean(60.0) == 3.0
    assert samples.mean(20.0) == 1.5  # the sample at 0 s is a whole window old
    assert samples.mean(5.0) == 3.0


def test_samples_older_than_the_longest_window_are_forgotten() -> None:
    samples = Samples(10.0)
    samples.add(0.0, 100.0)
    samples.add(10.0, 2.0)
    assert samples.mean(1000.0) == 2.0


def test_a_rounding_error_starts_no_instance() -> None:
    assert ceil(0.1 * 3 / 0.1) == 3
    assert ceil(3.01) == 4
