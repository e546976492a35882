"""Settings for arbitration: more models than cards, one request at a time on each instance."""

from collections.abc import Iterable
from typing import Any

from fleet.domain import Tier, Whole
from fleet.policy import Policy
from policies import recipes
from tests.policies.clusters import spec
from tests.policies.duels import GB, Setting, a40, arrival, with_


def contended(rows: Iterable[tuple[float, int, dict[str, Any]]], models: int) -> Setting:
    """One card, 13 GB models that all lie in DRAM; rows of (second, model, more of the request).

    A hundred output tokens each: four seconds, and half a second for the load.
    """
    return Setting(
        nodes=(a40(0, gpus=1),),
        models=tuple(spec(m, 13 * GB, Whole(1)) for m in range(models)),
        arrivals=tuple(
            arrival(number, at, model, **more)
            for number, (at, model, more) in enumerate(sorted(rows, key=lambda row: row[0]))
        ),
        resident=tuple((m, 0, Tier.DRAM) for m in range(models)),
    )


def evicting(**answers: Any) -> Policy:
    """Idle instances make room at once; some questions answered by others."""
    return with_(recipes.serverlessllm_no_migration(), **answers)
