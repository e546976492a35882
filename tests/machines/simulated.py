"""The simulated driver under the hand driver's books.

`Watched` stands where the simulator expects its controller, and passes every event through a
`HandDriver`: its books check each command that the controller gives, and compare the two pictures
every so often. What the simulator itself holds is compared at the end.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from fleet import commands as c
from fleet import events as e
from fleet.controller import Controller, Setup
from fleet.domain import AdapterId, ModelId, NodeId, Request, RequestId, Tier
from fleet.holders import Phase
from fleet.pools import Stay
from policies.catalog import build
from sim.calendar import Arrival
from sim.cluster import Cluster
from sim.faults import FaultRates
from sim.world import World
from tests.machines.driver import HandDriver
from tests.sim.worlds import profile

#: No load, and no request once dispatched, takes longer in these small fleets.
LONGEST_S = 400.0
#: Pictures are compared once in so many events; that they are is what takes the time.
EVENTS_A_CHECK = 24
KINDS = {
    "fast": profile("fast"),
    "slow": profile("slow", step_s=0.5, per_sequence_s=0.05, phase_s=2.0, chunk_bytes=4.0),
}


@dataclass(frozen=True)
class Scenario:
    """Everything a run is made of: printed whole where one fails."""

    setup: Setup
    policy: Mapping[str, Any]
    faults: FaultRates
    requests: int
    per_s: float
    seed: int
    kv_blocks: int | None = None
    store_bytes_per_s: float | None = None

    def world(self) -> World:
        return World(
            KINDS,
            self.faults,
            self.seed,
            kv_blocks=self.kv_blocks,
            store_bytes_per_s=self.store_bytes_per_s,
        )

    def arrivals(self) -> Iterator[Arrival]:
        """Requests for the models and adapters of the fleet, the first ones most of all."""
        rng = random.Random(self.seed)
        at = 0.0
        for number in range(self.requests):
            at += rng.expovariate(self.per_s)
            model = self.setup.models[int(rng.random() ** 2 * len(self.setup.models))]
            loras = [a.id for a in self.setup.adapters if a.model == model.id]
            adapter = rng.choice([None, *loras]) if loras else None
            yield Arrival(
                self._request(number, model.id, adapter, at, rng.randint(1, 40)),
                rng.choice([rng.randint(1, 30), rng.randint(1, 150)]),
            )

    def _request(
        self, number: int, model: ModelId, adapter: AdapterId | None, at: float, prompt_tokens: int
    ) -> Request:
        return Request(RequestId(number), model, adapter, at, prompt_tokens, 140)


class Sampling(HandDriver):
    """Compares its books with the controller's once in a while."""

    def __init__(self, setup: Setup, policy: Mapping[str, Any], *, every: int) -> None:
        super().__init__(setup, build(policy))
        self._every = every

    def compare(self) -> None:
        if len(self.history) % self._every == 0:
            super().compare()

    def pass_on(self, event: e.Event) -> list[c.Command]:
        """An event of another driver."""
        assert event.at >= self.books.now, "events go back in time"
        self.books.now = event.at
        if isinstance(event, e.TimerFired):
            self.books.timers = [t for t in self.books.timers if t.id != event.command]
        return self.tell(event)


class Watched:
    """A controller to the simulator."""

    def __init__(self, driver: Sampling) -> None:
        self.state = driver.controller.state
        self.handle = driver.pass_on


def play(scenario: Scenario, every: int = EVENTS_A_CHECK) -> tuple[Sampling, Cluster]:
    """Run a scenario until long after its last request, and check what is left."""
    driver = Sampling(scenario.setup, scenario.policy, every=every)
    cluster = Cluster(cast(Controller, Watched(driver)), scenario.world())
    arrivals = list(scenario.arrivals())
    cluster.run(arrivals, arrivals[-1].request.arrived_at + 2 * LONGEST_S)
    HandDriver.compare(driver)
    assert_nothing_is_lost(driver, arrivals)
    assert_nothing_hangs(driver)
    assert_shelves_are_as_believed(driver, cluster)
    assert_cards_are_as_believed(driver, cluster)
    return driver, cluster


def assert_nothing_is_lost(driver: HandDriver, arrivals: list[Arrival]) -> None:
    """Finished, rejected, failed or unfinished: each request is exactly one of them."""
    ended = Counter(driver.books.ended)
    unfinished = driver.books.jobs.keys()
    assert ended.keys().isdisjoint(unfinished)
    assert ended.keys() | unfinished == {a.request.id for a in arrivals}
    assert all(count == 1 for count in ended.values())


def assert_nothing_hangs(driver: HandDriver) -> None:
    """What is open was given lately, and what runs was dispatched lately."""
    given_at = {command.id: event.at for event, commands in driver.history for command in commands}
    for command in driver.open():
        age_s = driver.now - given_at[command.id]
        assert age_s < LONGEST_S, f"{command} has been open for {age_s:.1f} s"


def assert_shelves_are_as_believed(driver: HandDriver, cluster: Cluster) -> None:
    """But for what is on its way, or was told of and has not been heard."""
    quiet = is_quiet(driver, cluster)
    state = driver.controller.state
    for node, storage in cluster.storage.nodes.items():
        if not state.nodes.alive[node]:
            continue
        for tier in (Tier.SSD, Tier.DRAM):
            entries = state.pools[node][tier].entries
            here = {a for a, entry in entries.items() if entry.stay is Stay.HERE}
            lying = set(storage.shelf(tier))
            assert here <= lying, f"node {node} {tier.name}: {here - lying} is not there"
            assert lying <= entries.keys(), f"node {node} {tier.name}: {lying} in {entries.keys()}"
            if quiet:
                assert here == lying
                assert storage.shelf(tier).used_bytes == state.pools[node][tier].used


def assert_cards_are_as_believed(driver: HandDriver, cluster: Cluster) -> None:
    if not is_quiet(driver, cluster):
        return
    state = driver.controller.state
    for node, storage in cluster.storage.nodes.items():
        for gpu, card in enumerate(storage.cards):
            believed = {
                instance.id
                for instance in state.on_node[node].values()
                for shard in instance.shards
                if shard.node == node and gpu in shard.gpus and instance.phase is not Phase.ASLEEP
            }
            assert set(card) == believed
            assert card.free_bytes == state.nodes.free_bytes[node][gpu]


def is_quiet(driver: HandDriver, cluster: Cluster) -> bool:
    """Nothing is on its way: both pictures must be the same."""
    state = driver.controller.state
    alive = {NodeId(n) for n, alive in enumerate(state.nodes.alive) if alive}
    instances = {i.id for i in state.instances.values()}
    return (
        not driver.open()
        and alive == cluster.storage.nodes.keys()
        and instances == cluster.instances.loaded.keys()
    )
