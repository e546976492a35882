"""What a request costs, in counts that no machine and no load changes: never in seconds."""

import dataclasses
import random
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from fleet import commands as c
from fleet import events as e
from fleet.controller import Controller, Setup
from policies.catalog import QUESTIONS, build
from sim.calendar import Arrival
from sim.cluster import Cluster
from sim.world import World
from tests.sim.worlds import KIND, Run, arrival, model, node, profile, setup

FAST = World({KIND: profile(step_s=0.01, per_prefill_token_s=0.0005)})


class Counted:
    """A policy's answer that counts how often it is asked what."""

    def __init__(self, question: str, answer: Any, counts: Counter[str]) -> None:
        self._question = question
        self._answer = answer
        self._counts = counts

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._answer, name)
        if not callable(found):
            return found

        def ask(*args: Any) -> Any:
            self._counts[f"{self._question}.{name}"] += 1
            return found(*args)

        return ask


def counted_run(
    start: Setup, policy: Any, truth: World, arrivals: list[Arrival]
) -> tuple[Counter[str], Counter[str], Cluster]:
    """Questions asked, and events and commands by name."""
    asked: Counter[str] = Counter()
    said: Counter[str] = Counter()

    def note(event: e.Event, commands: list[c.Command]) -> None:
        said[type(event).__name__] += 1
        said.update(type(command).__name__ for command in commands)

    built = build(policy)
    watched: Any = {q: Counted(q, getattr(built, q), asked) for q in QUESTIONS if q != "upkeep"}
    cluster = Cluster(Controller(start, dataclasses.replace(built, **watched)), truth, note)
    cluster.run(arrivals)
    return asked, said, cluster


def steady(count: int, per_s: float = 20.0, models: int = 1) -> list[Arrival]:
    rng = random.Random(5)
    at, made = 10.0, [arrival(0, 1.0, 1)]
    for number in range(1, count):
        at += rng.expovariate(per_s)
        base = rng.randrange(models)
        made.append(arrival(number, at, rng.randint(1, 100), model=base))
    return made


WARM = {"recipe": "static", "scaling": {"name": "fixed", "replicas": 2}}
WARM_SETUP = setup([node(0, 2)], [model(0, slots=64)])


def test_a_warm_request_is_two_events_and_one_command() -> None:
    count = 2000
    _, said, _ = counted_run(WARM_SETUP, WARM, FAST, steady(count))
    assert said["RequestArrived"] == said["Dispatch"] == said["RequestFinished"] == count
    assert sum(said.values()) - 3 * count == 2 * (said["StartInstance"])  # and their reports


def test_a_warm_request_wakes_its_engine_a_few_times() -> None:
    """At its end, and where its arrival moves the next end; never once a token."""
    count = 2000
    _, _, cluster = counted_run(WARM_SETUP, WARM, FAST, steady(count))
    assert cluster.env.armed < 2.5 * count


def test_wake_ups_do_not_grow_with_the_tokens() -> None:
    def armed(tokens: int) -> int:
        """One long request at a time."""
        arrivals = [arrival(i, 10.0 + 1000.0 * i, tokens) for i in range(10)]
        return counted_run(WARM_SETUP, WARM, FAST, arrivals)[2].env.armed

    assert armed(10_000) == armed(100)


def test_the_warm_path_asks_two_questions_a_request() -> None:
    count = 2000
    asked, said, _ = counted_run(WARM_SETUP, WARM, FAST, steady(count))
    assert asked["admission.admit"] == count
    assert asked["routing.route"] == count + 1  # the first came before its instance
    starts = said["StartInstance"]
    assert asked["placement.place"] <= starts + 1
    assert asked["scaling.wanted"] <= starts + 2
    assert asked["ordering.next"] <= starts
    assert asked["keep_alive.rest"] <= count


def test_placement_under_saturation_is_asked_a_few_times_a_start() -> None:
    """Forty models want eight cards, so that most needs wait; each end of one is a chance."""
    models = [model(i, slots=4) for i in range(40)]
    start = setup([node(i, 4) for i in range(2)], models)
    arrivals = steady(1500, per_s=4.0, models=40)
    asked, said, _ = counted_run(start, "serverlessllm_no_migration", FAST, arrivals)
    assert said["StartInstance"] > 100
    assert asked["placement.place"] < 5 * said["StartInstance"]


def calls(run: Callable[[], object]) -> Counter[str]:
    """Calls of Python and of C functions while something runs, by name."""
    made: Counter[str] = Counter()

    def note(frame: FrameType, what: str, arg: Any) -> None:
        if what == "call":
            made[frame.f_code.co_qualname] += 1
        elif what == "c_call":
            made[arg.__qualname__] += 1

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return made


def warm_request(nodes: int, policy: Any) -> Counter[str]:
    """What one request to a ready, idle instance calls in a fleet of so many nodes."""
    models = [model(i) for i in range(10)]
    run = Run(setup([node(i) for i in range(nodes)], models), policy, FAST)
    run.play([arrival(0, 1.0), arrival(1, 20.0), arrival(2, 100.0)], until=15.0)
    made = calls(lambda: run.cluster.env.run(until=30.0))
    assert [event.request for event in run.events(e.RequestFinished)] == [0, 1]
    assert len(run.events(e.InstanceReady)) == 1
    return made


@pytest.mark.parametrize("recipe", ["static", "serverlessllm", "gdsf"])
def test_a_warm_request_calls_the_same_functions_in_a_fleet_of_any_size(recipe: str) -> None:
    policy = {"recipe": recipe, "keep_alive": {"name": "fixed", "keep_alive_s": 300.0}}
    small, large = warm_request(10, policy), warm_request(1000, policy)
    assert large == small
    assert small.total() < 180
