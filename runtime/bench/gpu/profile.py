"""A simulator profile out of a record: what was measured in place of a base profile's numbers.

Rates are medians over the largest checkpoint of a hop, engine rows straight lines through the
measured batches and prompts. `hotbed calibrate loads` fits loads more closely (constants, sharing)
from the same rows; this needs nothing but what a bare machine has. All other numbers keep the
base's words about where they come from.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median, stdev
from typing import Any, Final

import numpy as np

from runtime.bench.gpu.record import Record
from runtime.bench.measurements import Machine
from runtime.store.errors import StoreError

ENGINE: Final = "torch, eager, runtime/bench/gpu/decoder.py"

Plain = dict[str, Any]  # JSON


def profile_of(record: Record, machine: Machine, base: Plain, command: str) -> Plain:
    """The base profile with the record's numbers. Raises StoreError without a measured link."""
    source = f"measured: {machine.gpu or machine.cpu}, {machine.date}, commit {machine.commit}"
    results: list[Any] = [stage["result"] for stage in record.stages.values() if "result" in stage]
    ceilings = list(_rows(results, "ceilings"))
    loads = [row for row in _rows(results, "loads") if row["kind"] == "base"]
    found: Plain = json.loads(json.dumps(base))
    found["what"] = f"{machine.gpu or machine.cpu}, measured by make gpu. Base: {base['what']}"
    found["measured"] = {
        "where": f"{machine.gpu or machine.cpu}; {machine.disk}; {machine.cores} cores",
        "when": machine.date,
        "command": command,
    }
    link = _rate([row for row in ceilings if row["what"] in ("pcie", "memcpy")])
    if link is None:
        raise StoreError("the record has no measurement of the link to the device")
    found["links"]["pcie_bytes_per_s"] = {"value": link, "source": source}
    disk = _rate([row for row in ceilings if row["what"] == "disk"])
    if disk is not None:
        found["links"]["ssd_bytes_per_s"] = {"value": disk, "source": source}
    for hop, ceiling in (("ssd", disk), ("dram", link)):
        rows = _largest([row for row in loads if row["hop"] == hop])
        if rows and ceiling is not None:
            found["loads"][hop] = _tier(rows, ceiling, source)
    found["shapes"] = [
        *found.get("shapes", []),
        *(_shape(one["engine"], source) for one in results if _whole(one)),
    ]
    return found


def _rows(results: Iterable[Any], name: str) -> Iterable[Plain]:
    return (row for result in results for row in result.get(name, []))


def _rate(rows: Sequence[Plain]) -> float | None:
    """Bytes a second of the largest measurement."""
    rows = _largest(rows)
    return median(row["bytes"] / row["seconds"] for row in rows) if rows else None


def _largest(rows: Sequence[Plain]) -> list[Plain]:
    most = max((row["bytes"] for row in rows), default=0)
    return [row for row in rows if row["bytes"] == most]


def _tier(rows: Sequence[Plain], ceiling: float, source: str) -> Plain:
    rates = [row["bytes"] / row["seconds"] for row in rows]
    spread = stdev(rates) / median(rates) if len(rates) > 1 else 0.0
    return {
        "efficiency": min(1.0, median(rates) / ceiling),
        "cv": round(spread, 4),
        "source": f"{source}; {len(rows)} loads of {rows[0]['checkpoint']}",
    }


def _whole(result: Plain) -> bool:
    """Whether an engine was measured with all of its shape's layers."""
    return "engine" in result and result["layers"] == result["of_layers"]


def _shape(engine: Plain, source: str) -> Plain:
    steps = [(row["sequences"], row["seconds"]) for row in engine["decode"]]
    prompts = [(row["tokens"], row["seconds"]) for row in engine["prefill"]]
    base_s, per_sequence_s = _line(steps)
    return {
        "shape": f"{engine['shape']}@torch",
        "engine": ENGINE,
        "step_s": base_s,
        "per_sequence_s": per_sequence_s,
        "per_prefill_token_s": max(_line(prompts)[1], 1e-12),
        "source": f"{source}; context {engine['decode'][0]['context']} tokens",
    }


def _line(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Constant and slope by least squares; the one positive, the other not negative."""
    counts, seconds = [count for count, _ in points], [taken for _, taken in points]
    slope, constant = (float(one) for one in np.polyfit(counts, seconds, 1))
    return max(constant, min(seconds) / 2), max(slope, 0.0)


def read_base(path: Path) -> Plain:
    """A profile to start from. Raises StoreError for a file that is none."""
    try:
        found: Plain = json.loads(path.read_text())
        found["links"], found["loads"], found["what"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: not a profile: {error}") from None
    return found
