"""As many replicas as AlpaServe's plan has, replanned on a timer."""

from dataclasses import dataclass
from typing import ClassVar

from fleet.domain import ModelId
from fleet.view import View
from policies.placement.replica_plan import Planned
from policies.scaling.samples import at_least_for_queue


@dataclass(frozen=True)
class AlpaServeReplicas(Planned):
    """The replicas of a plan for the rates of the last minute, made anew every `every_s`.

    Between plans it is static: a burst starts nothing, but a model that waits has one at least.
    "greedy" adds the replica that raises attainment of `ttft_slo_s` most, in a closed form, until
    the gain is below `least_gain` of all requests; "ilp" is the programme that makes the
    least of throughput / rate greatest (`policies.placement.replica_plan`).
    """

    departs: ClassVar[str] = (
        "No model parallelism is searched for and models with stages are left out; a closed form "
        "stands for the simulator in the loop; the programme counts cards, not single nodes."
    )

    def tick(self, view: View) -> None:
        self.replan(view)

    def wanted(self, model: ModelId, view: View) -> int:
        planned = sum(self._plan.get(model, {}).values())
        return at_least_for_queue(planned, model, view)
