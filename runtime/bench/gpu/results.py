"""A record's rows as the measurements that calibration reads, and JSON files written whole."""

import json
import os
from pathlib import Path
from typing import Any

from runtime.bench.gpu.record import Record
from runtime.bench.measurements import CeilingRow, LoadRow, Machine, Measurements


def measurements_of(record: Record, machine: Machine) -> Measurements:
    """Every load and ceiling of the stages that gave a result; the others are `missing`."""
    results: list[Any] = [stage["result"] for stage in record.stages.values() if "result" in stage]
    return Measurements(
        machine=machine,
        seed=0,
        ceilings=tuple(CeilingRow(**row) for one in results for row in one.get("ceilings", [])),
        loads=tuple(LoadRow(**row) for one in results for row in one.get("loads", [])),
        works=(),
        missing={
            name: str(stage.get("error") or stage.get("left_out"))
            for name, stage in record.stages.items()
            if "result" not in stage
        },
    )


def write_json(what: dict[str, Any], path: Path) -> None:
    """Under its name only when all of it is written."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(what, indent=1) + "\n")
    os.replace(partial, path)
