"""Two policies on the same requests in the real simulator, and what came of each.

A duel shows where a rule gains over the simplest of its family, and where it loses: a setting is
made for the point, small enough to be over in well under a second. Everything but the policy is
equal, the world's chance included.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from fleet import audit
from fleet.commands import Command
from fleet.controller import Controller, Setup
from fleet.domain import (
    AdapterSpec,
    ArtifactId,
    ModelId,
    ModelSpec,
    NodeId,
    NodeSpec,
    Place,
    Request,
    RequestId,
    TenantId,
    Tier,
)
from fleet.events import Event
from fleet.limits import Limits
from fleet.policy import Policy, oracles
from hotbed.held import held_of
from hotbed.nodes import Machines, beliefs_of
from sim.calendar import Arrival
from sim.cluster import Cluster
from sim.faults import FaultRates
from sim.profiles import Profile, load_profile
from sim.world import World
from traces.collector import Recorder
from traces.metrics import summarise
from traces.record import RunRecord
from traces.summary import Slo, Summary

A40 = load_profile("osdi24-a40")  # 4 cards of 48 GB a node, 512 GB DRAM, 2 TB SSD
GB = 10**9
SLO = Slo(10.0, 0.2)


@dataclass(frozen=True)
class Setting:
    """A fleet, what lies where, and the requests that come."""

    nodes: tuple[NodeSpec, ...]
    models: tuple[ModelSpec, ...]
    arrivals: tuple[Arrival, ...]
    adapters: tuple[AdapterSpec, ...] = ()
    resident: tuple[tuple[int, int, Tier], ...] = ()  # artifact, node, tier
    profiles: tuple[Profile, ...] = (A40,)
    slo: Slo = SLO
    limits: Limits = field(default_factory=lambda: Limits(max_age_s=600.0))
    faults: FaultRates = field(default_factory=FaultRates)
    until: float | None = None
    world: tuple[tuple[str, Any], ...] = ()  # further fields of `sim.world.World`


@dataclass(frozen=True)
class Played:
    """What a policy made of a setting."""

    summary: Summary
    record: RunRecord
    commands: Counter[str]
    journal: tuple[tuple[Event, tuple[Command, ...]], ...]
    controller: Controller

    @property
    def mean_ttft_s(self) -> float:
        quantiles = self.summary.latency.ttft_s
        assert quantiles is not None, "nothing finished"
        return quantiles.mean

    @property
    def p99_ttft_s(self) -> float:
        quantiles = self.summary.latency.ttft_s
        assert quantiles is not None, "nothing finished"
        return quantiles.p99

    @property
    def gpu_s(self) -> float:
        return self.summary.cost.gpu_s_total

    @property
    def finished(self) -> int:
        return self.summary.requests.finished


def play(setting: Setting, policy: Policy, seed: int = 0) -> Played:
    """Run the setting under the policy to its end; the books are audited after it.

    The policy is copied first: it may remember, and each run begins without a past.
    """
    policy = deepcopy(policy)
    resident = tuple((ArtifactId(a), Place(NodeId(n), t)) for a, n, t in setting.resident)
    profiles = {profile.kind: profile for profile in setting.profiles}
    beliefs = beliefs_of(Machines(setting.nodes, profiles), setting.models)
    setup = Setup(
        setting.nodes,
        setting.models,
        setting.adapters,
        resident,
        beliefs,
        setting.limits,
        seed,
    )
    for oracle in oracles(policy):
        oracle.reveal([arrival.request for arrival in setting.arrivals])
    controller = Controller(setup, policy)
    recorder = Recorder(setting.nodes, (*setting.models, *setting.adapters))
    journal: list[tuple[Event, tuple[Command, ...]]] = []

    def observe(event: Event, commands: Sequence[Command]) -> None:
        recorder.observe(event, commands)
        journal.append((event, tuple(commands)))

    world = World(profiles, faults=setting.faults, seed=seed, **dict(setting.world))
    Cluster(controller, world, observe).run(setting.arrivals, setting.until)
    audit.check(controller.state)
    record = recorder.record()
    summary = summarise(record, setting.slo, held_of(controller.state), {})
    names = Counter(type(c).__name__ for _, commands in journal for c in commands)
    return Played(summary, record, names, tuple(journal), controller)


Measure = Callable[[Played], float]


def gains(
    setting: Setting,
    ours: Policy,
    simplest: Policy,
    measure: Measure,
    *,
    by: float = 1.02,
) -> tuple[Played, Played]:
    """Assert that `ours` needs less of the measure, by that factor at least; returns both runs."""
    mine, theirs = play(setting, ours), play(setting, simplest)
    mine_is, theirs_is = measure(mine), measure(theirs)
    assert mine_is * by < theirs_is, f"{mine_is:.4g} is not {by} times less than {theirs_is:.4g}"
    return mine, theirs


def loses(
    setting: Setting,
    ours: Policy,
    simplest: Policy,
    measure: Measure,
    *,
    by: float = 1.02,
) -> tuple[Played, Played]:
    """Assert that `ours` needs more of the measure, by that factor at least."""
    theirs, mine = gains(setting, simplest, ours, measure, by=by)
    return mine, theirs


def a40(number: int, **changes: Any) -> NodeSpec:
    """A node of the paper's second test bed; `changes` are fields of its spec."""
    return replace_fields(A40.node_spec(NodeId(number), f"n{number}"), changes)


def replace_fields(spec: NodeSpec, changes: dict[str, Any]) -> NodeSpec:
    fields = {name: getattr(spec, name) for name in spec.__struct_fields__}
    return NodeSpec(**(fields | changes))


def arrival(number: int, at: float, model: int, output_tokens: int = 100, **more: Any) -> Arrival:
    """One request; `more` are fields of `fleet.domain.Request`, plain numbers for ids."""
    fields: dict[str, Any] = {"prompt_tokens": 100, "max_tokens": 4000, "adapter": None} | more
    if "tenant" in fields:
        fields["tenant"] = TenantId(fields["tenant"])
    request = Request(
        id=RequestId(number), model=ModelId(ArtifactId(model)), arrived_at=at, **fields
    )
    return Arrival(request, output_tokens)


def arrivals(rows: Sequence[tuple[float, int]], **more: Any) -> tuple[Arrival, ...]:
    """Requests from (second, model), numbered in the order of time."""
    return tuple(arrival(i, at, model, **more) for i, (at, model) in enumerate(sorted(rows)))


def with_(policy: Policy, **answers: Any) -> Policy:
    """The policy with some questions answered by others."""
    return replace(policy, **answers)
