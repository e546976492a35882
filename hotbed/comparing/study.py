"""What was run, for reports and journals: every resolved value, seed and file.

It knows the shape of that record, not how anything was run.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hotbed.oracles import warning
from hotbed.scenarios import Choice, Loaded
from hotbed.workloads import input_files
from traces.report import Study
from traces.workload import TraceMeta


def resolved(loaded: Loaded, choices: Sequence[Choice], seeds: Sequence[int]) -> dict[str, Any]:
    """Scenario, policies with all their parameters, seeds, and digests of the files read."""
    return {
        "scenario": loaded.scenario.model_dump(mode="json", exclude={"grid"}),
        "policies": {choice.name: choice.resolved for choice in choices},
        "residency": {
            choice.name: choice.residency.model_dump(mode="json")
            for choice in choices
            if choice.residency is not None
        },
        "seeds": list(seeds),
        "files_sha256": input_files(loaded.scenario, loaded.folder),
    }


def study_of(values: Mapping[str, Any], meta: TraceMeta, command: str) -> Study:
    """For a report. `values` are those of `resolved`, `meta` is the workload's."""
    scenario = values["scenario"]
    return Study(
        title=scenario["name"],
        scenario=scenario["description"] or scenario["name"],
        trace=meta.source,
        command=command,
        parameters=values,
        synthetic_fields=meta.synthetic_fields,
        notes=[
            *(f"{name}: {text}" for name, text in meta.notes.items()),
            *warning(values["policies"].items()),
        ],
    )
