"""Mooncake JSONL: one request a line, `timestamp` in ms, lengths and ids of 512-token blocks.

The format of the public Mooncake traces (Qin et al., FAST 2025; kvcache-ai/Mooncake), which AIPerf,
GuideLLM, SGLang and Dynamo replay. Following AIPerf, `session_id` and `delay` (ms after the
previous turn) may be there, and `extra` is merged into the request's body: `extra.model` names the
adapter, or the base model where there is none. Keys that those tools pass over carry what else a
workload knows. It knows no other format.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from traces.formats import stamps
from traces.formats.content import Content
from traces.schema import TraceError, refusal
from traces.workload import TraceMeta, Workload

BLOCK_TOKENS = 512
MS_US = 1_000
INT64: Final = (-(2**63), 2**63 - 1)
# Key in a line -> column, for what is carried as it is.
CARRIED_TEXTS = ("session_id", "tenant_id", "slo_class")
CARRIED_NUMBERS = ("turn", "block_size")
KEYS: Final = frozenset(
    (
        *("timestamp", "input_length", "output_length", "hash_ids", "delay", "extra", "model_id"),
        *("adapter_ids", "adapter_scales", *CARRIED_TEXTS, *CARRIED_NUMBERS),
    )
)


def read(content: Content, model: str) -> Workload:
    """`model` names the base model of requests that name none.

    A line that names `extra.model` alone asks for that model; with another `model_id` beside it,
    for that adapter of this base. A later turn may have a `delay` instead of a timestamp: it is
    placed that long after the turn before it. Raises TraceError with line and key.
    """
    lines = _Lines(content.file, model)
    for row, record in _records(content):
        lines.add(row, record)
    return lines.workload(content)


def write(workload: Workload, path: Path) -> None:
    """Dropped, because no server is to see them: request ids, service times, status and `extra`.

    Raises TraceError where a request has no token counts.
    """
    for column in ("prompt_tokens", "output_tokens"):
        _check_no_gap(workload, column)
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        for line in _lines(workload):
            file.write(encoder.encode(line) + b"\n")


def _check_no_gap(workload: Workload, column: str) -> None:
    gaps = np.ones(len(workload), dtype=bool)
    if column in workload.frame:
        gaps = workload.frame[column].isna().to_numpy()
    if gaps.any():
        allowed = "a token count (draw the missing ones from a list of lengths first)"
        file = workload.meta.source or "workload"
        raise refusal(file, int(gaps.argmax()) + 1, column, None, allowed)


def _lines(workload: Workload) -> Iterator[dict[str, Any]]:
    frame = workload.frame
    names = [str(name) for name in frame]
    cells = [frame[name].astype(object).where(frame[name].notna(), None) for name in names]
    for row in zip(*cells, strict=True):
        yield _line(dict(zip(names, row, strict=True)))


def _line(request: dict[str, Any]) -> dict[str, Any]:
    adapters = request["adapter_ids"]
    line: dict[str, Any] = {
        "timestamp": _ms(request["arrival_us"]),
        "input_length": request["prompt_tokens"],
        "output_length": request["output_tokens"],
    }
    line["hash_ids"] = request.get("prefix_hash_ids")
    think_us = request.get("think_time_us")
    line["delay"] = None if think_us is None else _ms(think_us)
    line |= {key: request.get(key) for key in CARRIED_TEXTS + CARRIED_NUMBERS}
    line["extra"] = {"model": adapters[0] if adapters else request["model_id"]}
    line["model_id"] = request["model_id"]
    # One adapter is told by extra.model alone, unless it is called like its base.
    if len(adapters) > 1 or adapters == (request["model_id"],):
        line["adapter_ids"] = adapters
    line["adapter_scales"] = request.get("adapter_scales")
    return {key: value for key, value in line.items() if value is not None}


def _ms(us: int) -> int | float:
    """Whole where it is whole; a double holds the microseconds of 285 years."""
    return us // MS_US if us % MS_US == 0 else us / MS_US


def _records(content: Content) -> Iterator[tuple[int, dict[str, Any]]]:
    """Lines counted from 1; empty ones are passed over, but counted."""
    decoder = msgspec.json.Decoder()
    for row, line in enumerate(content.data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            record = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise TraceError(f"{content.file}, row {row}: no JSON: {error}") from None
        if not isinstance(record, dict):
            raise refusal(content.file, row, None, record, "a JSON object")
        yield row, record


@dataclass(slots=True)
class _Lines:
    """The columns as they are filled, line by line."""

    file: str
    model: str
    columns: dict[str, list[Any]] = field(default_factory=dict)
    used: dict[str, None] = field(default_factory=dict)
    ignored: dict[str, None] = field(default_factory=dict)
    session_at_us: dict[str, int] = field(default_factory=dict)
    models_missing: bool = False
    stamps_missing: bool = False

    def add(self, row: int, record: dict[str, Any]) -> None:
        for key in record:
            (self.used if key in KEYS else self.ignored)[key] = None
        line = _Line(self.file, row, record)
        texts = {key: line.text(key) for key in CARRIED_TEXTS}
        think_us = line.us("delay")
        arrival_us = line.us("timestamp")
        session = texts["session_id"]
        if arrival_us is None:
            if think_us is None or session not in self.session_at_us:
                allowed = "a time in ms (or a delay, in a later turn of a session)"
                raise refusal(self.file, row, "timestamp", None, allowed)
            arrival_us = self.session_at_us[session] + think_us
            self.stamps_missing = True
        if session is not None:
            self.session_at_us[session] = arrival_us
        model, adapters = self._asked(line)
        self._append(
            {
                "arrival_us": arrival_us,
                "think_time_us": think_us,
                "model_id": model,
                "adapter_ids": adapters,
                "adapter_scales": line.items("adapter_scales", (int, float), "numbers"),
                "prompt_tokens": line.whole("input_length", required=True),
                "output_tokens": line.whole("output_length", required=True),
                "prefix_hash_ids": line.items("hash_ids", (int,), "64-bit integers"),
                **texts,
                **{key: line.whole(key) for key in CARRIED_NUMBERS},
            }
        )

    def workload(self, content: Content) -> Workload:
        size = len(self.columns.get("arrival_us", ()))
        if not size:
            raise TraceError(f"{self.file}: empty, expected one JSON object a line")
        self._default_block_size()
        stamps_us = np.array(self.columns["arrival_us"], dtype=np.int64)
        meta = TraceMeta(
            source=content.name,
            trace_id=content.stem,
            time_quantum_us=stamps.quantum_us(stamps_us, stamps.MILLISECOND_US),
            columns_used=tuple(self.used),
            columns_ignored=tuple(self.ignored),
        )
        if self.models_missing:
            meta = meta.with_synthetic("model_id")
        if self.stamps_missing:
            meta = meta.with_synthetic("arrival_us").noted(
                "closed_loop", "turns without a timestamp are placed `delay` after the one before"
            )
        columns = self.columns | {
            "request_id": np.arange(size),
            "arrival_us": stamps.since_start(stamps_us),
        }
        return Workload.of(columns, meta, self.file)

    def _append(self, cells: dict[str, Any]) -> None:
        for name, cell in cells.items():
            self.columns.setdefault(name, []).append(cell)

    def _asked(self, line: "_Line") -> tuple[str, tuple[str, ...]]:
        """The base model and its adapters."""
        named = line.extra_model()
        base = line.text("model_id")
        adapters = line.items("adapter_ids", (str,), "texts")
        if base is None and named is None:
            self.models_missing = True
        if adapters is not None:
            return base or self.model, adapters
        if base is None:
            return named or self.model, ()
        return base, () if named in (None, base) else (str(named),)

    def _default_block_size(self) -> None:
        """The format's block is 512 tokens where a line with block ids does not say otherwise."""
        self.columns["block_size"] = [
            BLOCK_TOKENS if size is None and ids is not None else size
            for size, ids in zip(
                self.columns["block_size"], self.columns["prefix_hash_ids"], strict=True
            )
        ]


@dataclass(frozen=True, slots=True)
class _Line:
    """One line's values, each refused by its key where it is of another type."""

    file: str
    row: int
    record: dict[str, Any]

    def us(self, key: str) -> int | None:
        value = self.record.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
            raise refusal(self.file, self.row, key, value, "a time of 0 or more in ms")
        return value * MS_US if isinstance(value, int) else round(value * MS_US)

    def whole(self, key: str, *, required: bool = False) -> int | None:
        value = self.record.get(key)
        if value is None and not required:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
            raise refusal(self.file, self.row, key, value, "a whole number of 0 or more")
        return value

    def text(self, key: str) -> str | None:
        value = self.record.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if value is not None and not (isinstance(value, str) and value):
            raise refusal(self.file, self.row, key, value, "a non-empty text")
        return value

    def items(self, key: str, kinds: tuple[type, ...], allowed: str) -> tuple[Any, ...] | None:
        value = self.record.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(type(item) in kinds for item in value):
            raise refusal(self.file, self.row, key, value, f"a list of {allowed}")
        if kinds == (int,) and value and not INT64[0] <= min(value) <= max(value) <= INT64[1]:
            raise refusal(self.file, self.row, key, value, f"a list of {allowed}")
        return tuple(value)

    def extra_model(self) -> str | None:
        extra = self.record.get("extra")
        if extra is None:
            return None
        if not isinstance(extra, dict):
            raise refusal(self.file, self.row, "extra", extra, "a JSON object")
        model = extra.get("model")
        if model is not None and not (isinstance(model, str) and model):
            raise refusal(self.file, self.row, "extra.model", model, "a non-empty text")
        return model
