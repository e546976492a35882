"""What the benchmark runs: workload W for one model, and a crowd of models on many GPUs.

Columns and files only: it knows no controller, no engine and no clock.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from traces.formats.content import Content
from traces.formats.detect import DEFAULT_MODEL
from traces.formats.mooncake import BLOCK_TOKENS
from traces.formats.mooncake import read as read_mooncake
from traces.schema import TraceError
from traces.synthesis.lengths import LengthMix, LengthPart, Lognormal, draw_lengths
from traces.synthesis.renewal import equilibrium, steady

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

W_FILE: Final = "moon_10000.jsonl"
W_RATE_RPS: Final = 8.0
# Means and standard deviations of the lengths in the published sample of Azure's conversation
# trace of 2023 (CC-BY-4.0): 884 and 638 prompt tokens, 223 and 162 output tokens, 4,096 at most.
W_LENGTHS: Final = LengthMix(
    (LengthPart("azure-conv", Lognormal(884.1, 0.648), Lognormal(223.5, 0.650)),),
    context_tokens=4096,
)

CROWD_CV: Final = 8.0
CROWD_ZIPF: Final = 0.9
CROWD_PROMPT_TOKENS: Final = 256
CROWD_OUTPUT_TOKENS: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Requested:
    """Requests in order of arrival; every column has shape (n,), times in seconds from 0."""

    arrived_at: Floats
    model: Ints
    prompt_tokens: Ints
    output_tokens: Ints

    def __len__(self) -> int:
        return len(self.arrived_at)

    def first(self, n: int) -> "Requested":
        columns = (self.arrived_at, self.model, self.prompt_tokens, self.output_tokens)
        return Requested(*(column[:n] for column in columns))  # type: ignore[arg-type]


def find_w(trace_dir: Path | None) -> Path | None:
    """The file of workload W under `trace_dir`, else under $HOTBED_DATA; None without either.

    Raises TraceError where a folder that was named has none.
    """
    named = trace_dir or (Path(data) if (data := os.environ.get("HOTBED_DATA")) else None)
    if named is None:
        return None
    for path in (named / W_FILE, named / "bench" / W_FILE):
        if path.is_file():
            return path
    if trace_dir is None:
        return None
    raise TraceError(f"--trace-dir {trace_dir}: no {W_FILE} there or in its folder bench")


def read_w(path: Path) -> Requested:
    """Raises TraceError, one line."""
    frame = read_mooncake(Content.of(path), DEFAULT_MODEL).frame
    arrived_at = frame["arrival_us"].to_numpy() / 1e6
    return Requested(
        arrived_at,
        np.zeros(len(frame), np.int64),
        frame["prompt_tokens"].to_numpy(np.int64),
        frame["output_tokens"].to_numpy(np.int64),
    )


def synthetic_w(requests: int, seed: int) -> Requested:
    """Poisson arrivals at 8 a second, lengths with the moments of Azure's conversations."""
    rng = np.random.default_rng((seed, 0))
    lengths = draw_lengths(rng, W_LENGTHS, requests)
    arrived_at = np.cumsum(rng.exponential(1.0 / W_RATE_RPS, requests))
    model = np.zeros(requests, np.int64)
    return Requested(arrived_at, model, lengths.prompt_tokens, lengths.output_tokens)


def write_mooncake(requests: Requested, path: Path) -> None:
    """One line a request, with whole milliseconds and 512-token blocks that no two share.

    Without shared blocks no simulator can save prefill by a prefix cache.
    """
    encoder = msgspec.json.Encoder()
    columns = (requests.arrived_at, requests.prompt_tokens, requests.output_tokens)
    block = 0
    with path.open("wb") as file:
        for at, prompt, output in zip(*(column.tolist() for column in columns), strict=True):
            after = block + -(-prompt // BLOCK_TOKENS)
            line = {
                "timestamp": round(at * 1e3),
                "input_length": prompt,
                "output_length": output,
                "hash_ids": list(range(block, after)),
            }
            file.write(encoder.encode(line) + b"\n")
            block = after


def crowd(requests: int, span_s: float, models: int, seed: int) -> Requested:
    """About `requests` in `span_s` seconds on many models: Zipf popularity, each bursty (CV 8).

    Bursts and pauses of single models are what makes cold starts go on for the whole run.
    Lengths are geometric, of mean 256 and 64 tokens.
    """
    rng = np.random.default_rng((seed, 1))
    weight = 1.0 / np.arange(1, models + 1) ** CROWD_ZIPF
    rates = requests / span_s * weight / weight.sum()
    arrived = [equilibrium(rng, steady(float(rate), span_s), CROWD_CV) for rate in rates]
    model = np.repeat(np.arange(models), [len(points) for points in arrived])
    arrived_at = np.concatenate(arrived)
    order = np.argsort(arrived_at, kind="stable")
    return Requested(
        arrived_at[order],
        model[order],
        rng.geometric(1.0 / CROWD_PROMPT_TOKENS, len(order)),
        rng.geometric(1.0 / CROWD_OUTPUT_TOKENS, len(order)),
    )
