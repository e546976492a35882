"""WEKA agentic sessions: one coding conversation a line, its turns with prefix block ids.

The format of callanjfox/kv-cache-tester, which GuideLLM, AIPerf and inference-perf replay:
`{id, models, block_size, hash_id_scope, requests: [{t, model, in, out, hash_ids, think_time,
api_time, ...}]}`, times in seconds since the session began. A sub-agent is an item with `requests`
of its own. Sessions have no common clock: each begins at time 0 until somebody draws when
(`traces.sessions.begin`). It knows no other format.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeAlias

import msgspec
import numpy as np

from traces.formats import stamps
from traces.formats.content import Content
from traces.schema import TraceError
from traces.sessions import PART_OF
from traces.workload import TraceMeta, Workload

SOURCE: Final = "WEKA agentic coding sessions (callanjfox/kv-cache-tester)"
LICENCE: Final = "Apache-2.0"
MARKS: Final = frozenset(("id", "block_size", "requests"))
US_PER_S = 1_000_000
#: Ids of one session are local to it, and get a range of their own here.
LOCAL = "local"

Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Tokens: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
BlockId: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]


class Turn(msgspec.Struct, frozen=True):
    """A request, or with `requests` a sub-agent that made them. Times in seconds."""

    t: Seconds
    model: str | None = None
    input: Tokens | None = msgspec.field(default=None, name="in")
    output: Tokens | None = msgspec.field(default=None, name="out")
    hash_ids: tuple[BlockId, ...] | None = None
    think_time: Seconds | None = None
    api_time: Seconds | None = None
    stop: str | None = None
    requests: "tuple[Turn, ...] | None" = None


class Session(msgspec.Struct, frozen=True):
    """One line of the file."""

    id: str
    requests: tuple[Turn, ...]
    block_size: Annotated[int, msgspec.Meta(gt=0, lt=2**15)]
    models: tuple[str, ...] = ()
    hash_id_scope: str = LOCAL


USED: Final = (
    *("id", "block_size", "hash_id_scope", "models"),
    *(f"requests.{name}" for name in Turn.__struct_encode_fields__),
)


def read(content: Content, model: str) -> Workload:
    """`model` names the base of turns that name none. Raises TraceError with row and key."""
    rows = _Rows(content.file, model)
    twins: set[bytes] = set()
    for row, session in _sessions(content):
        turns = msgspec.json.encode(session.requests)
        if turns in twins:
            rows.duplicates += 1
            continue
        twins.add(turns)
        rows.add_session(row, session)
    return rows.workload(content)


def _sessions(content: Content) -> Iterator[tuple[int, Session]]:
    """Lines from 1; a file of one session may spread over many."""
    for row, text in enumerate(_texts(content), start=1):
        if not text.strip():
            continue
        try:
            yield row, msgspec.json.decode(text, type=Session)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise TraceError(f"{content.file}, row {row}: {error}") from None


def _texts(content: Content) -> list[bytes]:
    lines = content.data.split(b"\n")
    first = next((line for line in lines if line.strip()), b"")
    try:
        msgspec.json.decode(first)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [content.data]
    return lines


@dataclass(slots=True)
class _Rows:
    """The columns as they are filled, session by session."""

    file: str
    model: str
    columns: dict[str, list[Any]] = field(default_factory=dict)
    next_id: int = 0
    sessions: int = 0
    duplicates: int = 0
    agents: int = 0
    derived: int = 0
    unnamed: bool = False

    def add_session(self, row: int, session: Session) -> None:
        self.sessions += 1
        shift = self.next_id if session.hash_id_scope == LOCAL else 0
        asked = _Asked(row, session, shift, session.models[0] if session.models else None)
        self._add_turns(asked, session.id, session.requests)

    def _add_turns(self, asked: "_Asked", name: str, turns: tuple[Turn, ...]) -> None:
        """A sub-agent's turns are a part of the session, beside its own."""
        number = agents = 0
        before: Turn | None = None
        for turn in turns:
            if turn.requests is not None:
                agents += 1
                self.agents += 1
                self._add_turns(asked, f"{name}{PART_OF}agent-{agents}", turn.requests)
                continue
            self._add(asked, name, turn, (number, before))
            number, before = number + 1, turn

    def _add(self, asked: "_Asked", name: str, turn: Turn, place: tuple[int, Turn | None]) -> None:
        if turn.input is None or turn.output is None:
            raise TraceError(
                f"{self.file}, row {asked.row}: turn {place[0] + 1} of session {name!r} has no "
                "'in' or 'out': expected token counts"
            )
        model = turn.model or asked.model
        self.unnamed |= model is None
        ids = None if turn.hash_ids is None else tuple(i + asked.shift for i in turn.hash_ids)
        self.next_id = max(self.next_id, max(ids, default=-1) + 1) if ids else self.next_id
        cells = {
            "session_id": name,
            "turn": place[0],
            "arrival_us": round(turn.t * US_PER_S),
            "think_time_us": self._think_us(turn, place[1]),
            "model_id": model or self.model,
            "prompt_tokens": turn.input,
            "output_tokens": turn.output,
            "block_size": None if ids is None else asked.session.block_size,
            "prefix_hash_ids": ids,
            "service_s": turn.api_time,
            "status": turn.stop or None,
        }
        for key, cell in cells.items():
            self.columns.setdefault(key, []).append(cell)

    def _think_us(self, turn: Turn, before: Turn | None) -> int | None:
        """As recorded, else from the end of the turn before to the beginning of this one."""
        if turn.think_time is not None:
            return round(turn.think_time * US_PER_S)
        if before is None:
            return None
        self.derived += 1
        return max(0, round((turn.t - before.t - (before.api_time or 0.0)) * US_PER_S))

    def workload(self, content: Content) -> Workload:
        if not self.sessions or not self.columns:
            raise TraceError(f"{self.file}: empty, expected one session with requests a line")
        arrivals_us = np.array(self.columns["arrival_us"], dtype=np.int64)
        meta = TraceMeta(
            source=SOURCE,
            licence=LICENCE,
            trace_id=content.stem,
            time_quantum_us=stamps.quantum_us(arrivals_us, stamps.MILLISECOND_US),
            columns_used=USED,
        ).noted("clock", "every session begins at time 0: draw when they begin before a replay")
        meta = self._noted(meta)
        columns = self.columns | {"request_id": np.arange(len(arrivals_us))}
        return Workload.of(columns, meta, self.file)

    def _noted(self, meta: TraceMeta) -> TraceMeta:
        if self.unnamed:
            meta = meta.with_synthetic("model_id")
        if self.duplicates:
            meta = meta.noted("duplicates", f"{self.duplicates} left out: equal to another session")
        if self.derived:
            meta = meta.with_synthetic("think_time_us").noted(
                "think_time", f"{self.derived} from the end of the turn before, others recorded"
            )
        if self.agents:
            meta = meta.noted(
                "sub_agents", f"{self.agents}, each a part of its session from its recorded time on"
            )
        return meta


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the turns of one session share."""

    row: int
    session: Session
    shift: int
    model: str | None
