"""Random workloads for the tests of the formats: any cell that the schema allows."""

from typing import Any

from hypothesis import strategies as st

from traces.workload import TraceMeta, Workload

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
SCALES = st.floats(-4, 4, width=32)
INT64 = st.integers(-(2**63), 2**63 - 1)
# Mooncake's times are milliseconds in a double: exact to a microsecond for a century.
ARRIVALS_US = st.integers(0, 3 * 10**15)


def optional(cells: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | cells


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    adapters = tuple(draw(st.lists(NAMES, max_size=3)))
    sized = st.lists(SCALES, min_size=len(adapters), max_size=len(adapters))
    return {
        "arrival_us": draw(ARRIVALS_US),
        "tenant_id": draw(optional(NAMES)),
        "session_id": draw(optional(NAMES)),
        "turn": draw(optional(st.integers(0, 2**31 - 1))),
        "think_time_us": draw(optional(ARRIVALS_US)),
        "model_id": draw(NAMES),
        "adapter_ids": adapters,
        "adapter_scales": draw(optional(sized.map(tuple))),
        "prompt_tokens": draw(st.integers(0, 2**31 - 1)),
        "output_tokens": draw(st.integers(0, 2**31 - 1)),
        "prefix_hash_ids": draw(optional(st.lists(INT64, max_size=3).map(tuple))),
        "slo_class": draw(optional(NAMES)),
        "service_s": draw(optional(st.floats(0, 1e6, width=32))),
        "status": draw(optional(NAMES)),
        "extra": draw(optional(NAMES)),
    }


METAS = st.builds(
    TraceMeta,
    source=NAMES,
    licence=st.text(max_size=5),
    trace_id=NAMES,
    time_quantum_us=st.integers(0, 10**9),
    time_compression=st.floats(0.01, 1e4),
    synthetic_fields=st.lists(st.sampled_from(["model_id", "arrival_us"]), unique=True).map(tuple),
    seed=optional(st.integers(0, 2**63)),
    notes=st.dictionaries(NAMES, st.text(max_size=5), max_size=2),
)


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    rows = draw(st.lists(requests(), min_size=1, max_size=6))
    ids = draw(st.lists(st.integers(0, 2**63 - 1), unique=True, min_size=len(rows), max_size=6))
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return Workload.of(columns | {"request_id": ids[: len(rows)]}, draw(METAS))


def small(**columns: Any) -> Workload:
    """Requests at given columns; ids count up, the model is m where none is given."""
    size = len(next(iter(columns.values())))
    filled = {"request_id": range(size), "model_id": ["m"] * size} | columns
    return Workload.of(filled, TraceMeta(source="made"))
