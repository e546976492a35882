"""Alibaba GenTD26, the timed request file of the 2026 GenAI cluster trace.

One line a request: `gmt_create` (whole seconds), `groupId` (the tenant),
`checkpoint_model_version_id` (the base model), `exec_time_seconds`, status, and the number, but not
the names, of its LoRAs (alibaba/clusterdata, cluster-trace-v2026-GenAI; Lin et al., SoCC 2025). It
is image generation: there are no tokens, lengths are characters. The adapter sets are in the
normalised parquet. It knows no other format.
"""

import json
from typing import Any, Final

import numpy as np

from traces.formats import stamps
from traces.formats.content import Content
from traces.formats.csv_table import CsvTable
from traces.workload import TraceMeta, Workload, name_missing_models

STAMP: Final = "gmt_create"
MODEL: Final = "checkpoint_model_version_id"
LORAS: Final = "num_lora"
NEEDED: Final = frozenset((STAMP, MODEL))
# Column of the file -> column of the schema.
TEXTS: Final = {"groupId": "tenant_id", "predict_status": "status"}
SERVICE_S: Final = "exec_time_seconds"
# Column of the file -> key in `extra`.
EXTRA_NUMBERS: Final = {
    "num_inference_steps": "steps",
    "num_images_per_prompt": "images",
    "prompt_length": "prompt_chars",
    LORAS: "loras",
}
EXTRA_TYPE: Final = "predict_type"


def read(content: Content) -> Workload:
    """Token counts are absent: draw them with `Workload.with_lengths`. Raises TraceError."""
    table = CsvTable.of(content)
    stamps_us = table.stamps_ns(STAMP) // 1_000
    models, meta = name_missing_models(table.texts(MODEL), _meta(content, table))
    columns: dict[str, Any] = {
        "request_id": np.arange(len(table)),
        "arrival_us": stamps_us - stamps_us.min(initial=2**63 - 1),
        "model_id": models,
        "extra": _extra(table),
    }
    columns |= {name: table.texts(key) for key, name in TEXTS.items() if key in table.names}
    if SERVICE_S in table.names:
        columns["service_s"] = table.numbers(SERVICE_S, optional=True)
    return Workload.of(columns, meta, content.file)


def _meta(content: Content, table: CsvTable) -> TraceMeta:
    known = {STAMP, MODEL, SERVICE_S, EXTRA_TYPE, *TEXTS, *EXTRA_NUMBERS}
    meta = TraceMeta(
        source="Alibaba GenTD26 (alibaba/clusterdata, cluster-trace-v2026-GenAI)",
        licence="no licence file; its README allows research and study",
        trace_id=content.stem,
        time_quantum_us=stamps.SECOND_US,
        columns_used=tuple(name for name in table.names if name in known),
        columns_ignored=tuple(name for name in table.names if name not in known),
    )
    if LORAS in table.names:
        with_loras = int((table.numbers(LORAS, optional=True) > 0).sum())
        if with_loras:
            meta = meta.noted("adapters", f"{with_loras} requests used LoRAs that are not named")
    return meta


def _extra(table: CsvTable) -> list[str | None]:
    """What the schema has no column for, as JSON; empty cells are left out."""
    size = len(table)
    numbers = {
        key: table.numbers(name, optional=True)
        for name, key in EXTRA_NUMBERS.items()
        if name in table.names
    }
    kinds = table.texts(EXTRA_TYPE) if EXTRA_TYPE in table.names else [None] * size
    made: list[str | None] = []
    for row, kind in enumerate(kinds):
        facts: dict[str, Any] = {} if kind is None else {"type": kind}
        for key, column in numbers.items():
            if not np.isnan(column[row]):
                facts[key] = int(column[row])
        made.append(json.dumps(facts) if facts else None)
    return made
