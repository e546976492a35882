"""Sessions: which turn follows which, when sessions begin, and how long prompts fit a context.

It knows the columns of a workload. It does not know when a turn will be over: who replays a trace
in a closed loop finds that out, and sends the next turn a think time later.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fleet.streams import Streams
from traces.schema import TraceError, canonical_frame, refusal
from traces.synthesis.limits import require_positive
from traces.workload import US_PER_S, Workload

NOBODY = -1
#: A session called "a/b" is a part of session "a" (a sub-agent's turns): they begin together.
PART_OF = "/"


def turns_before(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Shape (requests,): the row of the turn before in each row's session, or `NOBODY`.

    By the turns' numbers where they have any, else by arrival.
    """
    before = np.full(len(frame), NOBODY, dtype=np.int64)
    if "session_id" not in frame:
        return before
    session = pd.factorize(frame["session_id"])[0]
    turn = np.zeros(len(frame), dtype=np.int64)
    if "turn" in frame:
        turn = frame["turn"].fillna(0).to_numpy(dtype=np.int64)
    order = np.lexsort((np.arange(len(frame)), turn, session))
    same = (session[order[1:]] == session[order[:-1]]) & (session[order[1:]] >= 0)
    before[order[1:][same]] = order[:-1][same]
    return before


def predecessors(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Shape (requests,): the row whose end each row waits for, or `NOBODY`.

    A row waits where it has a think time and its session a turn before it. What has no think
    time keeps its own time.
    """
    if "think_time_us" not in frame:
        return np.full(len(frame), NOBODY, dtype=np.int64)
    return np.where(frame["think_time_us"].isna(), NOBODY, turns_before(frame))


def begin(workload: Workload, sessions_per_s: float, seed: int) -> Workload:
    """Sessions begin as a Poisson process of that rate, in an order that is drawn as well.

    For traces whose sessions have no common clock: the distances within a session are kept, and
    `arrival_us` becomes a synthetic field. Raises TraceError where a request has no session.
    """
    require_positive("sessions_per_s", sessions_per_s)
    frame = workload.frame
    if "session_id" not in frame or frame["session_id"].isna().any():
        file = workload.meta.source or "workload"
        row = (
            0 if "session_id" not in frame else int(frame["session_id"].isna().to_numpy().argmax())
        )
        raise refusal(file, row + 1, "session_id", None, "a session, to draw when it begins")
    whole = frame["session_id"].str.split(PART_OF, n=1).str[0]
    codes, names = pd.factorize(whole, sort=True)
    rng = Streams(seed).array("traces/sessions")
    starts_s = np.cumsum(rng.exponential(1 / sessions_per_s, len(names)))
    starts_us = np.rint(starts_s * US_PER_S).astype(np.int64)[rng.permutation(len(names))]
    arrivals_us = frame["arrival_us"].to_numpy()
    first_us = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(first_us, codes, arrivals_us)
    moved = frame.assign(arrival_us=arrivals_us - first_us[codes] + starts_us[codes])
    meta = workload.meta.with_synthetic("arrival_us").noted(
        "sessions", f"{len(names)} begin as a Poisson process of {sessions_per_s:g}/s, seed {seed}"
    )
    return Workload(canonical_frame(moved, meta.source or "workload"), meta)


def fit(workload: Workload, context_tokens: int) -> Workload:
    """Outputs, then prompts, cut to what a context of so many tokens holds; the meta says how many.

    A prompt keeps its beginning, and with it the ids of the blocks that are still whole. Raises
    TraceError for a context below 2 tokens and for requests without token counts.
    """
    if context_tokens < 2:
        raise TraceError(f"context: {context_tokens} is not allowed: expected 2 tokens or more")
    prompts, outputs = (_counts(workload, name) for name in ("prompt_tokens", "output_tokens"))
    kept_outputs = np.minimum(outputs, context_tokens - 1)
    kept_prompts = np.minimum(prompts, context_tokens - kept_outputs)
    cut = (kept_prompts < prompts) | (kept_outputs < outputs)
    if not cut.any():
        return workload
    frame = workload.frame.assign(
        prompt_tokens=pd.array(kept_prompts, dtype="Int32"),
        output_tokens=pd.array(kept_outputs, dtype="Int32"),
    )
    if "prefix_hash_ids" in frame:
        frame["prefix_hash_ids"] = _whole_blocks(frame)
    note = f"{int(cut.sum())} of {len(frame)} requests cut to {context_tokens} tokens"
    return Workload(frame, workload.meta.noted("context", note))


def shrink(workload: Workload, divisor: int) -> Workload:
    """Token counts and block sizes divided, for models whose context is so much shorter.

    Prompts keep what they share, and as many blocks; a count is rounded, and at least 1. Raises
    TraceError for a divisor below 1, for requests without token counts, and where blocks of a
    prompt do not divide into whole tokens.
    """
    if divisor < 1:
        raise TraceError(f"shrink: {divisor} is not allowed: expected a divisor of 1 or more")
    if divisor == 1:
        return workload
    columns: dict[str, Any] = {
        name: pd.array(np.maximum(np.rint(_counts(workload, name) / divisor), 1), dtype="Int32")
        for name in ("prompt_tokens", "output_tokens")
    }
    frame = workload.frame
    if "block_size" in frame:
        sizes = frame["block_size"]
        uneven = (sizes % divisor != 0).fillna(False).to_numpy(dtype=bool)
        if uneven.any():
            size = int(sizes[int(uneven.argmax())])
            raise TraceError(
                f"shrink: {divisor} is not allowed: expected a divisor of {size}-token blocks"
            )
        columns["block_size"] = sizes // divisor
    note = f"token counts and blocks divided by {divisor}"
    return Workload(frame.assign(**columns), workload.meta.noted("shrink", note))


def _counts(workload: Workload, name: str) -> NDArray[np.int64]:
    frame = workload.frame
    if name not in frame or frame[name].isna().any():
        raise TraceError(
            f"{workload.meta.source or 'workload'}: requests have no {name}: expected token "
            "counts (draw the missing ones from a list of lengths first)"
        )
    return np.asarray(frame[name].to_numpy(dtype=np.int64))


def _whole_blocks(frame: pd.DataFrame) -> "pd.Series[Any]":
    """Ids of the blocks that lie in the prompt as a whole."""
    cells = np.empty(len(frame), dtype=object)
    sizes = frame.get("block_size", pd.Series(pd.NA, index=frame.index, dtype="Int16"))
    rows = zip(frame["prefix_hash_ids"], sizes, frame["prompt_tokens"], strict=True)
    for row, (ids, size, prompt_tokens) in enumerate(rows):
        known = ids is not None and size is not pd.NA and size > 0
        cells[row] = ids[: prompt_tokens // size] if known else ids
    return pd.Series(cells, index=frame.index, dtype=object)
