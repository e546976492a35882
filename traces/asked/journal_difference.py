"""What tells two journals apart: headers field by field, where they part, and whom it helped.

Knows headers, entries and run records; no file, no terminal. `left` and `right` are the two.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
import numpy as np

from fleet.journal import Difference, Entry, Header
from traces.collector import Recorder
from traces.metrics import ttft_s
from traces.record import Bools, Floats, Ints, Outcome, Requests, RunRecord

#: Times to the first token that differ by less are the same, seconds.
SAME_S: Final = 1e-6
#: How many of the requests that moved most are named.
MOVERS: Final = 10
ABSENT: Final = "(absent)"


class FieldDifference(msgspec.Struct, frozen=True):
    """One field of the headers, by dotted path, as JSON on each side."""

    path: str
    left: str
    right: str


class Parting(msgspec.Struct, frozen=True):
    """The first line after the header that differs. `what`: event, commands, or end of one.

    The sides are whole lines; where only the commands differ, they are those, after `event`.
    """

    line: int
    what: str
    at: float | None  # seconds since the run began, of the left line (or the right, if it ended)
    event: str
    left: str
    right: str


class Tally(msgspec.Struct, frozen=True):
    """How often one kind of event or command occurs on each side."""

    kind: str
    left: int
    right: int


class Mover(msgspec.Struct, frozen=True):
    """A request and its time to the first token on each side, seconds; None unless finished."""

    request: int
    model: str
    left_ttft_s: float | None
    right_ttft_s: float | None
    left_outcome: str
    right_outcome: str


class Paired(msgspec.Struct, frozen=True):
    """The same requests on both sides, by time to the first token: `better` is sooner on the right.

    `gained` finished on the right only, `lost` on the left only, `neither` on no side.
    """

    requests: int
    better: int
    worse: int
    same: int
    gained: int
    lost: int
    neither: int
    mean_change_s: float | None  # right - left, over those finished on both
    movers: tuple[Mover, ...]


def header_differences(left: Header, right: Header) -> list[FieldDifference]:
    """Every field in which they differ, in the order of the left one."""
    return list(_differences("", msgspec.to_builtins(left), msgspec.to_builtins(right)))


def _differences(path: str, left: Any, right: Any) -> Iterator[FieldDifference]:
    if left == right:
        return
    if isinstance(left, dict) and isinstance(right, dict):
        for key in dict.fromkeys((*left, *right)):
            ours = left.get(key, msgspec.UNSET)
            theirs = right.get(key, msgspec.UNSET)
            yield from _differences(f"{path}.{key}" if path else str(key), ours, theirs)
    elif _listed(left) and _listed(right) and len(left) == len(right):
        for index, (ours, theirs) in enumerate(zip(left, right, strict=True)):
            yield from _differences(f"{path}[{index}]", ours, theirs)
    elif _listed(left) and _listed(right):
        yield FieldDifference(path, f"{len(left)} entries", f"{len(right)} entries")
    else:
        yield FieldDifference(path, _shown(left), _shown(right))


def _listed(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _shown(value: Any) -> str:
    return ABSENT if value is msgspec.UNSET else msgspec.json.encode(value).decode()


_entry = msgspec.json.Decoder(Entry)


def parting(difference: Difference) -> Parting:
    """What a differing line says: another event, or other commands after the same event."""
    left, right = _decoded(difference.left), _decoded(difference.right)
    entry = left or right
    event = "" if entry is None else type(entry.event).__name__
    at = None if entry is None else entry.event.at
    if left is None or right is None or left.event != right.event:
        what = "end" if left is None or right is None else "event"
        return Parting(difference.line, what, at, event, difference.left, difference.right)
    given = (msgspec.json.encode(side.commands).decode() for side in (left, right))
    return Parting(difference.line, "commands", at, event, *given)


def _decoded(text: str) -> Entry | None:
    """None for the line that is not there."""
    try:
        return _entry.decode(text)
    except msgspec.DecodeError:
        return None


class Counted:
    """Counts one journal by kind of event and command, and records the run, as it is read."""

    def __init__(self, header: Header) -> None:
        setup = header.setup
        self.events: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self._recorder = Recorder(setup.nodes, (*setup.models, *setup.adapters))

    def read(self, entries: Iterable[Entry]) -> RunRecord:
        """To the end; the record of the run."""
        observe = self._recorder.observe
        for entry in entries:
            self.events[type(entry.event).__name__] += 1
            self.commands.update([type(command).__name__ for command in entry.commands])
            observe(entry.event, entry.commands)
        return self._recorder.record()


def tallies(left: Counter[str], right: Counter[str]) -> list[Tally]:
    """Every kind that either side has, the most frequent first."""
    kinds = sorted(left | right, key=lambda kind: (-left[kind] - right[kind], kind))
    return [Tally(kind, left[kind], right[kind]) for kind in kinds]


def paired(left: RunRecord, right: RunRecord, movers: int = MOVERS) -> Paired | None:
    """The same requests on both sides; None where they are not the same requests."""
    ours, theirs = left.requests, right.requests
    if not _same_requests(ours, theirs):
        return None
    before, after = ttft_s(ours), ttft_s(theirs)
    both = ours.finished & theirs.finished
    change = np.where(both, after - before, 0.0)
    return Paired(
        requests=len(ours),
        better=_count(both & (change < -SAME_S)),
        worse=_count(both & (change > SAME_S)),
        same=_count(both & (np.abs(change) <= SAME_S)),
        gained=_count(theirs.finished & ~ours.finished),
        lost=_count(ours.finished & ~theirs.finished),
        neither=_count(~ours.finished & ~theirs.finished),
        mean_change_s=float(change[both].mean()) if both.any() else None,
        movers=tuple(_mover(row, left, (before, after), theirs) for row in _most(change, movers)),
    )


def _same_requests(ours: Requests, theirs: Requests) -> bool:
    names = ("id", "model", "adapter", "tenant", "prompt_tokens", "arrived_at")
    return all(np.array_equal(getattr(ours, name), getattr(theirs, name)) for name in names)


def _count(mask: Bools) -> int:
    return int(np.count_nonzero(mask))


def _most(change: Floats, most: int) -> Ints:
    """Rows that moved most, none of those that did not."""
    order = np.argsort(-np.abs(change), kind="stable")[:most]
    moved: Ints = order[np.abs(change[order]) > SAME_S]
    return moved


def _mover(row: int, left: RunRecord, ttft: tuple[Floats, Floats], theirs: Requests) -> Mover:
    ours = left.requests
    return Mover(
        request=int(ours.id[row]),
        model=left.model_name(int(ours.model[row])),
        left_ttft_s=_known(float(ttft[0][row])),
        right_ttft_s=_known(float(ttft[1][row])),
        left_outcome=Outcome(ours.outcome[row]).name.lower(),
        right_outcome=Outcome(theirs.outcome[row]).name.lower(),
    )


def _known(seconds: float) -> float | None:
    return None if np.isnan(seconds) else seconds
