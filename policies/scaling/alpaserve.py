"""As many replicas as AlpaServe's plan has, replanned on a timer."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from msgspec import Meta

from fleet.domain import ModelId
from fleet.view import View
from policies.placement.replica_plan import Plan, Variant, plan
from policies.scaling.samples import at_least_for_queue


@dataclass(frozen=True)
class AlpaServeReplicas:
    """The replicas of a plan for the rates of the last minute, made anew every `every_s`.

    Between plans it is static: a burst starts nothing, but a model that waits has one at least.
    "greedy" adds the replica that raises attainment of `ttft_slo_s` most, in a closed form, until
    the gain is below `least_gain` of all requests; "ilp" is the programme that makes the
    least of throughput / rate greatest (`policies.placement.replica_plan`).
    """

    source: ClassVar[str] = (
        "AlpaServe, OSDI'23, section 4.2; alpa_serve/placement_policy/selective_replication.py"
    )
    departs: ClassVar[str] = (
        "No model parallelism is searched for and models with stages are left out; a closed form "
        "stands for the simulator in the loop; the programme counts cards, not single nodes."
    )

    every_s: Annotated[float, Meta(gt=0)] = 60.0
    variant: Variant = "greedy"
    ttft_slo_s: Annotated[float, Meta(ge=0)] = 10.0
    least_gain: Annotated[float, Meta(ge=0, le=1)] = 1e-3
    _plan: Plan = field(default_factory=dict, init=False, repr=False, compare=False)

    def tick(self, view: View) -> None:
        self._plan.clear()
        self._plan.update(plan(view, self.variant, self.ttft_slo_s, self.least_gain))

    def wanted(self, model: ModelId, view: View) -> int:
        planned = sum(self._plan.get(model, {}).values())
        return at_least_for_queue(planned, model, view)
