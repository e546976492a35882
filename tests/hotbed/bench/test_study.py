import json
from typing import Any

import pytest

from hotbed.bench.parts import PartError, measure
from hotbed.bench.peers import PEERS, version
from hotbed.bench.study import Asked, BenchError, Sizes, names, study

FLEETS = {"100": (16, 4), "10k": (32, 8)}
TINY = Sizes(w_requests=40, rounds=2, requests_per_gpu=10, span_s=60.0)


def _quiet(what: str, done: int, parts: int) -> None:
    assert 0 <= done <= parts


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    only = ("workload_w", "fleet_10k", "fleet_sizes", "decisions")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HOTBED_DATA", raising=False)
        found = study(Asked(only=only, sizes=TINY, fleets=FLEETS, profile=True), _quiet)
    answer: dict[str, Any] = json.loads(json.dumps(found))
    return answer


@pytest.mark.parametrize(
    "path",
    [
        "workload_w.requests_per_cpu_s",
        "workload_w.without_recorder.requests_per_cpu_s",
        "workload_w.peak_memory_mib",
        "fleet_10k.requests_per_cpu_s",
        "fleet_10k.metric_bytes_per_request",
        "fleet_sizes.100.cpu_us_per_request",
        "decisions_10k.p50_us",
        "decisions_10k.p99_us",
        "decisions_100.p99_us",
        "machine.cores",
        "sizes.w_requests",
    ],
)
def test_a_study_has_a_positive_number_under_each_key(results: dict[str, Any], path: str) -> None:
    number: Any = results
    for key in path.split("."):
        number = number[key]
    assert number > 0


def test_rates_are_medians_over_all_rounds(results: dict[str, Any]) -> None:
    rate = results["workload_w"]
    assert len(rate["samples"]) == 3 * TINY.rounds
    assert rate["least"] == min(rate["samples"])
    assert rate["least"] <= rate["requests_per_cpu_s"] <= rate["most"] == max(rate["samples"])


def test_every_request_is_played_to_its_end(results: dict[str, Any]) -> None:
    assert results["workload_w"]["finished"] == TINY.w_requests
    for fleet in (results["fleet_10k"], results["fleet_sizes"]["100"]):
        assert fleet["finished"] == fleet["requests"] > 0
        assert fleet["events_per_request"] > 2  # its arrival, its end, and loads besides


def test_a_fleet_starts_cold_from_several_tiers(results: dict[str, Any]) -> None:
    fleet = results["fleet_10k"]
    assert fleet["starts"] >= 8
    assert 0 < fleet["cold_request_ratio"] <= 1
    assert sum(fleet["load_source_ratio"].values()) == pytest.approx(1)
    assert fleet["load_source_ratio"]["ssd"] > 0


def test_the_largest_fleet_is_not_run_twice(results: dict[str, Any]) -> None:
    assert list(results["fleet_sizes"]) == ["100"]


def test_a_trace_that_is_made_up_is_said_to_be(results: dict[str, Any]) -> None:
    assert results["trace"]["source"] == "synthetic"
    assert results["trace"]["requests"] == TINY.w_requests


def test_profiled_runs_say_which_modules_take_the_time(results: dict[str, Any]) -> None:
    shares = results["workload_w"]["cpu_shares"]
    assert sum(shares.values()) == pytest.approx(1, abs=0.01)
    assert {"sim.engine", "fleet.requests", "fleet.controller"} <= set(shares)


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_that_is_not_installed_is_null_with_a_reason(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PEERS, name, "a-simulator-that-nobody-wrote")
    found = study(Asked(only=(name,), sizes=TINY), _quiet)[name]
    assert found["requests_per_cpu_s"] is None
    assert found["missing"] == (
        "a-simulator-that-nobody-wrote is not installed: pip install -r requirements-bench.lock"
    )


@pytest.mark.parametrize("name", PEERS)
def test_an_installed_peer_plays_the_same_trace(name: str) -> None:
    if version(PEERS[name]) is None:
        pytest.skip(f"{PEERS[name]} is not installed")
    once = Sizes(w_requests=40, rounds=1, requests_per_gpu=1, span_s=1.0)
    found = study(Asked(only=(name, "workload_w"), sizes=once), _quiet)
    peer, ours = found[name], found["workload_w"]
    assert peer["requests"] == once.w_requests
    assert peer["version"] == version(PEERS[name])
    ratio = ours["requests_per_cpu_s"] / peer["requests_per_cpu_s"]
    assert peer["ratio"] == pytest.approx(ratio, abs=0.01)


def test_a_part_that_fails_says_why() -> None:
    words = {"file": "nowhere.jsonl", "requests": 1, "seed": 0, "recorded": True}
    with pytest.raises(PartError, match=r"^w: .*nowhere\.jsonl"):
        measure("w", words)


def test_an_unknown_part_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(BenchError, match=r"allowed are workload_w, .*did you mean 'fleet_10k'"):
        names(["fleet_1k"])
