"""A scenario bound: names become ids, and everything follows from the file and the seed."""

from pathlib import Path

import msgspec
import pytest

from fleet.controller import Setup
from fleet.domain import Tier
from fleet.scenario import Residency, ScenarioError, parse
from hotbed.binding import Bound, bind
from sim.calendar import Arrival
from tests.hotbed.small import SMALL, small, trace_file

HERE = Path()

TRACED = """\
name: traced
fleet: [{profile: osdi24-a40, count: 2}]
models:
  from_trace:
    templates:
      a: {weights: 16GB, max_adapters: 2, layers: 32, kv_heads: 8}
      b: {weights: 30GB, max_adapters: 2, layers: 40, kv_heads: 8}
    assign: {big: b}
adapters: {from_trace: {ranks: [8, 16], size: 20MB}}
workload: {trace: requests.parquet}
"""


def arrivals(bound: Bound) -> list[Arrival]:
    return list(bound.arrivals())


def bytes_of(bound: Bound) -> bytes:
    """Everything of a run's beginning, to compare two of them."""
    rows = [(arrival.request, arrival.output_tokens) for arrival in bound.arrivals()]
    return msgspec.json.encode([bound.setup, bound.world.seed, rows])


def test_one_seed_binds_to_the_same_bytes_and_another_to_other_requests() -> None:
    assert bytes_of(bind(small(), HERE, 1)) == bytes_of(bind(small(), HERE, 1))
    ours, theirs = (arrivals(bind(small(), HERE, seed)) for seed in (1, 2))
    assert [a.request.arrived_at for a in ours] != [a.request.arrived_at for a in theirs]


def test_ids_are_dense_models_first_and_names_come_back() -> None:
    setup = bind(small(), HERE, 1).setup
    ids = [model.id for model in setup.models] + [adapter.id for adapter in setup.adapters]
    assert ids == list(range(len(ids)))
    assert [model.name for model in setup.models] == ["opt-00", "opt-01", "solo"]
    assert [node.id for node in setup.nodes] == [0, 1]


def test_every_request_asks_for_an_adapter_of_its_own_model() -> None:
    bound = bind(small(), HERE, 1)
    parents = {adapter.id: adapter.model for adapter in bound.setup.adapters}
    using = [a.request for a in bound.arrivals() if a.request.adapter is not None]
    assert using
    assert all(parents[r.adapter] == r.model for r in using if r.adapter is not None)


def test_arrivals_are_in_order_and_ask_for_at_least_what_they_get() -> None:
    rows = arrivals(bind(small(), HERE, 1))
    times = [a.request.arrived_at for a in rows]
    assert times == sorted(times)
    assert [a.request.id for a in rows] == list(range(len(rows)))
    assert all(1 <= a.output_tokens <= a.request.max_tokens for a in rows)
    # A cap on every client's wish would say nothing of one request's length.
    assert len({a.request.max_tokens for a in rows}) == 1


def test_a_cap_on_tokens_cuts_the_outputs() -> None:
    rows = arrivals(bind(small(**{"workload.max_tokens": "7"}), HERE, 1))
    assert {a.request.max_tokens for a in rows} == {7}
    assert max(a.output_tokens for a in rows) == 7


def test_models_of_a_trace_take_templates_and_adapter_sets_are_fused(tmp_path: Path) -> None:
    trace_file(tmp_path)
    setup = bind(parse(TRACED, "traced.yaml"), tmp_path, 0).setup
    assert [(m.name, m.weight_bytes) for m in setup.models] == [
        ("big", 30_000_000_000),
        ("tiny", 16_000_000_000),
    ]
    by_name = {(a.name, a.model): a for a in setup.adapters}
    fused = [a for a in setup.adapters if a.parents]
    assert fused
    for adapter in fused:
        parents = [by_name[name, adapter.model] for name in adapter.name.split("+")]
        assert adapter.parents == tuple(parent.id for parent in parents)
        assert adapter.rank == sum(parent.rank for parent in parents)
        assert adapter.weight_bytes == sum(parent.weight_bytes for parent in parents)


def test_tenants_have_dense_ids_and_a_request_of_none_comes_after(tmp_path: Path) -> None:
    trace_file(tmp_path)
    bound = bind(parse(TRACED, "traced.yaml"), tmp_path, 0)
    assert bound.tenants == ("t0", "t1", "t2")
    assert [a.request.tenant for a in bound.arrivals()][:4] == [0, 3, 2, 0]


def test_an_objective_of_their_own_reaches_the_models_of_that_name() -> None:
    bound = bind(small(**{"slo.models.opt": "{ttft: 1s, tpot: 1s}"}), HERE, 1)
    assert {model: slo.ttft_s for model, slo in bound.slo_of_model.items()} == {0: 1, 1: 1, 2: 60}
    assert bound.slo.ttft_s == 5


def test_beliefs_come_from_the_profile_and_limits_from_the_file() -> None:
    setup: Setup = bind(small(), HERE, 1).setup
    belief = setup.beliefs["A40"]
    # The roofline's step of the smallest and of the largest model bound the mean.
    assert 0.03 < belief.decode_s_per_token < 0.08
    assert belief.startup_s > 0
    assert setup.limits.max_age_s == 120.0


def test_another_residency_replaces_the_scenarios() -> None:
    none = bind(small(), HERE, 1, Residency(ssd="none"))
    assert none.setup.resident == ()
    ssd = bind(small(), HERE, 1).setup.resident
    assert {place.tier for _, place in ssd} == {Tier.SSD}


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("fleet[0].profile", "osdi24-a4", "fleet[0].profile is 'osdi24-a4'; allowed are"),
        ("fleet", "[{profile: h100}, {profile: h100, links: {ssd: 1GB/s}}]", "fleet[1].kind is"),
        ("models[1].gpus", "4", "models: 'solo' needs 4 GPUs of one node; none has more than 1"),
        ("models[1].weights", "49GB", "models: 'solo' with weights of 49.0 GB leaves no room"),
        ("models[1].max_adapters", "0", "for an adapter of 'solo', whose max_adapters is 0"),
        ("adapters", "[]", "adapters does not have"),
        ("adapters", "[{model: otp, size: 1MB}]", "adapters[0].model is 'otp'; did you mean 'opt'"),
        ("slo.models.slo", "{ttft: 1s}", "slo.models: unknown model 'slo'; did you mean 'solo'?"),
        (
            "faults.load_failure",
            "1",
            "faults: unknown field 'load_failure'; did you mean 'load_fail",
        ),
        ("faults.load_failure_probability", "2", "faults.load_failure_probability is 2"),
    ],
)
def test_what_cannot_be_bound_is_refused_in_one_line(path: str, value: str, says: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        bind(small(**{path: value}), HERE, 1)
    assert says in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_everything_everywhere_is_placed_where_it_fits() -> None:
    setup = bind(small(**{"residency.ssd": "all"}), HERE, 1).setup
    artifacts = (*setup.models, *setup.adapters)
    assert len(setup.resident) == len(set(setup.resident)) == len(artifacts) * len(setup.nodes)


def test_everything_everywhere_is_refused_where_it_does_not_fit() -> None:
    changes = {"residency.ssd": "all", "fleet[0].ssd": "30GB"}
    with pytest.raises(ScenarioError, match=r"residency.ssd is 'all'; 52.3 GB do not fit"):
        bind(small(**changes), HERE, 1)


def test_a_request_for_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = trace_file(tmp_path)
    text = SMALL[: SMALL.index("workload:")] + f"workload: {{trace: {path}}}\n"
    with pytest.raises(ScenarioError, match="asks for the model 'big', which models does not have"):
        bind(parse(text, "small.yaml"), tmp_path, 1)


def test_links_of_a_group_pace_its_loads() -> None:
    fast = bind(small(), HERE, 1)
    slow = bind(small(**{"fleet[0].links": "{ssd: 1 GB/s}"}), HERE, 1)
    assert slow.setup.nodes[0].links.ssd_bytes_per_s == 1e9
    for bound, capped in ((fast, False), (slow, True)):
        speed = bound.world.profiles["A40"].load_cap_bytes_per_s(Tier.SSD)
        assert (speed <= 1e9) is capped


def test_a_warm_pool_is_told_to_the_world_and_believed_by_the_controller() -> None:
    cold = small(**{"fleet[0].profile": "h100", "fleet[0].gpus": "1"})
    warm = small(**{"fleet[0].profile": "h100", "fleet[0].gpus": "1", "warm_pool": "true"})
    before, after = bind(cold, HERE, 1), bind(warm, HERE, 1)
    assert after.world.preserved == ("pool",)
    assert after.setup.beliefs["H100"].startup_s < before.setup.beliefs["H100"].startup_s
