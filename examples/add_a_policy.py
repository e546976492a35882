"""A routing of your own in 25 lines of code, run against the simplest one.

    python examples/add_a_policy.py

The policy is a class with the method of its question (`fleet.policy` has them all) and its
parameters as fields. A scenario names it by its path, as below. An installed package gives it a
short name:

    [project.entry-points."hotbed.policies"]
    pack = "your_package.your_module:Pack"
"""

from dataclasses import dataclass
from pathlib import Path

from fleet.domain import Request
from fleet.holders import Instance
from fleet.scenario import parse
from fleet.view import View
from hotbed.binding import bind
from hotbed.running import run

SCENARIO = """
name: pack
seed: 1
fleet: [{profile: osdi24-a40, count: 2}]
models: [{name: chat, weights: 13.3GB, layers: 32, kv_heads: 32, max_sequences: 8}]
residency: {dram: round_robin}
workload: {synth: poisson, params: {rate_rps: 2, span_s: 900}}
slo: {ttft: 5s, tpot: 200ms}
"""


@dataclass(frozen=True)
class Pack:
    """Join the busiest instance with `spare` slots left: the others may go idle and be stopped."""

    spare: int = 1

    def route(self, request: Request, view: View) -> Instance | None:
        free = [i for i in view.ready(request.model) if i.load < i.slots]  # least loaded first
        roomy = [i for i in free if i.load + self.spare < i.slots]
        return next(iter(roomy[::-1] or free), None)


def main() -> None:
    for routing in ("least_loaded", f"{__name__}:Pack"):
        policy = {"recipe": "keep_alive", "keep_alive_s": 10, "routing": routing}
        summary = run(bind(parse(SCENARIO, "pack"), Path(), 1), policy, lambda *_: None).summary
        assert summary.latency.ttft_s is not None, "nothing finished"
        mean_s, gpu_s = summary.latency.ttft_s.mean, summary.cost.gpu_s_total
        print(f"{routing:14} mean TTFT {mean_s:.3f} s  {gpu_s:,.0f} GPU-s")


if __name__ == "__main__":
    main()
