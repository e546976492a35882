"""Named streams: the same from one seed everywhere, and independent of one another."""

import subprocess
import sys

from fleet.streams import Streams


def draws(seed: int, name: str) -> list[float]:
    stream = Streams(seed).named(name)
    return [stream.random() for _ in range(4)]


def test_a_name_and_a_seed_decide_the_draws() -> None:
    assert draws(1, "routing") == draws(1, "routing")
    assert draws(1, "routing") != draws(2, "routing")
    assert draws(1, "routing") != draws(1, "faults")


def test_a_consumer_more_shifts_no_other() -> None:
    streams = Streams(7)
    first = streams.named("a").random()
    streams.named("b").random()
    assert streams.named("a").random() == first


def test_columns_of_draws_follow_the_same_rule() -> None:
    one = Streams(3).array("arrivals").random(5)
    assert list(one) == list(Streams(3).array("arrivals").random(5))
    assert list(one) != list(Streams(4).array("arrivals").random(5))


def test_draws_do_not_depend_on_the_hash_seed_of_a_process() -> None:
    code = "from fleet.streams import Streams; print(Streams(5).named('x').random())"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert seen == {f"{Streams(5).named('x').random()}\n"}
