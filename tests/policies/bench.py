"""A controller with instances where a test wants them, so that one question can be asked of it.

Commands are answered by hand, at once or when the test says so. Units a person can add up: a card
has 80 bytes; links move 10 (remote), 40 (SSD) and 80 (PCIe) bytes a second.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from fleet import audit
from fleet import commands as c
from fleet import events as e
from fleet.controller import Controller, Setup
from fleet.domain import (
    AdapterId,
    AdapterSpec,
    ArtifactId,
    LinkSpec,
    ModelId,
    ModelSpec,
    NodeId,
    NodeSpec,
    Part,
    Place,
    Request,
    RequestId,
    Shard,
    Tier,
)
from fleet.estimates import Belief
from fleet.holders import Instance
from fleet.needs import Need
from fleet.plans import UNNUMBERED, Plan, Step, Steps, planned
from fleet.policy import Policy
from fleet.view import View
from policies import recipes
from policies.scaling.queue import FixedReplicas
from tests import specs

CARD_BYTES = 80
LINKS = LinkSpec(10.0, 40.0, 80.0, 20.0)
#: Twice as fast in everything.
FAST_LINKS = LinkSpec(20.0, 80.0, 160.0, 40.0)
#: Start-up 1 s, stop 0.5 s, wake 0.25 s, attach 0.1 s; 0.01 s a prompt token, 0.1 s a new one.
BELIEF = Belief(1.0, 0.5, 0.25, 0.1, 0.01, 0.1)
FAST = Belief(1.0, 0.25, 0.25, 0.1, 0.002, 0.05)


def node(number: int, gpus: int = 1, kind: str = "slow", cache_bytes: int = 10_000) -> NodeSpec:
    links = LINKS if kind == "slow" else FAST_LINKS
    return NodeSpec(
        NodeId(number), f"n{number}", kind, gpus, CARD_BYTES, cache_bytes, cache_bytes, links
    )


model = partial(specs.model, weight_bytes=80)


adapter = partial(specs.adapter, weight_bytes=8)


def part(gpu_bytes: int) -> Part:
    return Part(gpu_bytes)


class Aimed:
    """Routes each request to the instance that the test named; the rest wait."""

    def __init__(self) -> None:
        self.at: Instance | None = None

    def route(self, request: Request, view: View) -> Instance | None:
        return self.at


def still() -> Policy:
    """Starts, moves and stops nothing by itself."""
    return replace(recipes.static(), scaling=FixedReplicas(0))


class Bench:
    """A controller in the hand of a test."""

    def __init__(
        self,
        nodes: Sequence[NodeSpec],
        models: Sequence[ModelSpec],
        *,
        adapters: Sequence[AdapterSpec] = (),
        resident: Sequence[tuple[int, int, Tier]] = (),
        policy: Policy | None = None,
        seed: int = 0,
    ) -> None:
        copies = ((ArtifactId(a), Place(NodeId(n), tier)) for a, n, tier in resident)
        beliefs = {"slow": BELIEF, "fast": FAST}
        setup = Setup(
            tuple(nodes), tuple(models), tuple(adapters), tuple(copies), beliefs, seed=seed
        )
        self.aim = Aimed()
        policy = policy or replace(still(), routing=self.aim)
        self.controller = Controller(setup, policy)
        self.state = self.controller.state
        self.view = self.controller.view
        self.requests = 0

    # Time and requests

    def at(self, now: float) -> "Bench":
        self.state.now = now
        return self

    def ask(self, model: int, prompt: int = 10, adapter: int | None = None) -> list[c.Command]:
        """One more request for a model arrives; returns what the controller then commands."""
        lora = None if adapter is None else AdapterId(ArtifactId(adapter))
        number = RequestId(self.requests)
        self.requests += 1
        model_id = ModelId(ArtifactId(model))
        request = Request(number, model_id, lora, self.state.now, prompt, 1000)
        return self.controller.handle(e.RequestArrived(self.state.now, request))

    def need(self, model: int) -> Need:
        spec = self.view.model(ModelId(ArtifactId(model)))
        return Need(spec, self.view.queued(spec.id), self.state.now)

    # Instances

    def run(self, model: int, on: int, requests: int = 0, prompt: int = 10) -> Instance | None:
        """A ready instance on the first cards of the node that fit, with so many requests on it."""
        shard = self.view.nodes.pick(NodeId(on), self.view.model(ModelId(ArtifactId(model))).need)
        return None if shard is None else self.run_on(model, (shard,), requests, prompt)

    def run_on(
        self, model: int, shards: tuple[Shard, ...], requests: int = 0, prompt: int = 10
    ) -> Instance:
        model_id = ModelId(ArtifactId(model))
        sources = tuple(self.view.source(model_id, shard.node) for shard in shards)
        start = c.StartInstance(UNNUMBERED, planned(0), model_id, shards, sources)
        out = list(self.begin(Steps((Step(start),), self.state.now)))
        while not isinstance(command := out.pop(), c.StartInstance):
            out += self.answer(command)  # what must leave the caches first
        self.answer(command)
        instance = self.state.instances[command.instance]
        self.aim.at = instance
        for _ in range(requests):
            self.ask(model, prompt)
        self.aim.at = None
        return instance

    def begin(self, plan: Plan) -> list[c.Command]:
        """Take on a plan as if a policy had proposed it; audited."""
        orders = self.controller.orders
        orders.out = []
        self.controller.execution.begin(plan)
        audit.check(self.state)
        return orders.out

    # Answers

    def answer(self, command: c.Command) -> list[c.Command]:
        """Report that the command was carried out, in no time; audited."""
        out = self.controller.handle(self._report(command))
        audit.check(self.state)
        return out

    def finish(self, commands: list[c.Command]) -> None:
        """Answer these and all that follows from them."""
        left = [x for x in commands if not isinstance(x, c.SetTimer | c.Dispatch)]
        while left:
            out = self.answer(left.pop(0))
            left += [x for x in out if not isinstance(x, c.SetTimer | c.Dispatch)]

    def _report(self, command: c.Command) -> e.Event:
        now, number = self.state.now, command.id
        match command:
            case c.StartInstance():
                return e.InstanceReady(now, number, command.instance, self._load_s(command))
            case c.StopInstance():
                return e.InstanceStopped(now, number, command.instance)
            case c.Sleep():
                return e.Slept(now, number, command.instance)
            case c.Wake():
                return e.Awake(now, number, command.instance, 1.0)
            case c.Migrate():
                return e.Migrated(now, number, command.request, 0.1, 100, 1)
            case c.Preempt():
                dispatch = self.state.flights[command.request].command
                return e.Preempted(now, dispatch, command.request, 0)
            case c.AttachAdapter():
                return e.AdapterAttached(now, number, command.instance, command.adapter, 0.1)
            case c.DetachAdapter():
                return e.AdapterDetached(now, number, command.instance, command.adapter)
            case c.Fetch():
                return e.Fetched(now, number, command.artifact, 1.0)
            case c.Drop():
                return e.Dropped(now, number, command.artifact, command.place)
            case _:
                raise AssertionError(f"nothing answers {command}")

    def _load_s(self, command: c.StartInstance) -> float:
        """As believed, so that no estimate is corrected by an answer."""
        spec = self.view.model(command.model)
        shard, source = command.shards[0], command.sources[0]
        tier = source.tier if source.node == shard.node else Tier.REMOTE
        return self.view.estimates.load_s(spec, self.view.node(shard.node), tier)
