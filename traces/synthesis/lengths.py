"""Prompt and output lengths: named mixes of parametric fits, and lists read from a CSV.

Knows token counts; does not know models, times or requests. The named parts:

gsm8k     Log-normal fits to the training questions and their reference answers without
          calculator marks (github.com/openai/grade-school-math, MIT) in a 32k SentencePiece
          vocabulary: means 63.3 and 96.1, standard deviations of the logarithm 0.35 and 0.44.
          A reference answer is not a model's answer; no chat template is counted.
sharegpt  Means 161.3 and 338.0 of first turns as Kwon et al. publish them (vLLM, SOSP 2023,
          fig. 11). That paper gives no spread: 1.62 and 1.01 are the standard deviations of the
          log lengths of the multi-turn ShareGPT sample of Sarathi-Serve
          (github.com/microsoft/sarathi-serve), taken over.
chat      Azure's conversation trace of November 2023 (github.com/Azure/AzurePublicDataset,
          CC-BY-4.0; Patel et al., Splitwise, ISCA 2024): means 1154.7 and 211.1, standard
          deviations of the logarithm 0.99 and 0.86. The data have modes that no log-normal has.

Means are those of the law before rounding and before the cut to the context.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from traces.schema import TraceError, refusal
from traces.synthesis.limits import require, require_count, require_positive
from traces.synthesis.popularity import draw
from traces.workload import LengthSample

Tokens = NDArray[np.int64]

TOKEN_LIMIT = 2**31 - 1


class Lognormal(msgspec.Struct, frozen=True, tag="lognormal", forbid_unknown_fields=True):
    """Tokens of a log-normal law given by its mean and the sd of its (natural) logarithm."""

    mean_tokens: float
    log_sd: float

    def __post_init__(self) -> None:
        require_positive("mean_tokens", self.mean_tokens)
        require(0 <= self.log_sd <= 5, "log_sd", self.log_sd, "a number from 0 to 5")

    def draw(self, rng: np.random.Generator, size: int) -> Tokens:
        """int64, each at least 1. The mean fixes mu = ln(mean) - log_sd^2 / 2."""
        mu = math.log(self.mean_tokens) - self.log_sd**2 / 2
        tokens = np.rint(rng.lognormal(mu, self.log_sd, size))
        return np.clip(tokens, 1, TOKEN_LIMIT).astype(np.int64)


class Uniform(msgspec.Struct, frozen=True, tag="uniform", forbid_unknown_fields=True):
    """Whole tokens from `low` to below `high`, each as likely."""

    low: int
    high: int

    def __post_init__(self) -> None:
        require_count("low", self.low)
        require(self.low < self.high <= TOKEN_LIMIT, "high", self.high, f"more than {self.low}")

    def draw(self, rng: np.random.Generator, size: int) -> Tokens:
        return rng.integers(self.low, self.high, size)


TokenLaw: TypeAlias = Lognormal | Uniform


class LengthPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One dataset of a mix. `name` becomes the slo_class of its requests; `weight` its share."""

    name: str
    prompt: TokenLaw
    output: TokenLaw
    weight: float = 1.0

    def __post_init__(self) -> None:
        require(bool(self.name), "name of a length part", self.name, "a non-empty text")
        require_positive(f"weight of length part {self.name!r}", self.weight)


class LengthMix(msgspec.Struct, frozen=True, tag="mix", forbid_unknown_fields=True):
    """Each request draws its part by weight, then both lengths of that part independently."""

    parts: tuple[LengthPart, ...]
    context_tokens: int = 2048

    def __post_init__(self) -> None:
        require(len(self.parts) > 0, "parts", self.parts, "one length part or more")
        require_count("context_tokens", self.context_tokens, 2)

    @property
    def name(self) -> str:
        return "+".join(part.name for part in self.parts)


class CsvLengths(msgspec.Struct, frozen=True, tag="csv", forbid_unknown_fields=True):
    """Pairs of a CSV's rows, drawn with replacement. `name` becomes the slo_class."""

    path: str
    prompt_column: str
    output_column: str
    name: str = "csv"
    context_tokens: int = 2048

    def __post_init__(self) -> None:
        require(bool(self.name), "name of the CSV lengths", self.name, "a non-empty text")
        require_count("context_tokens", self.context_tokens, 2)


Lengths: TypeAlias = LengthMix | CsvLengths

GSM8K = LengthPart("gsm8k", Lognormal(63.3, 0.35), Lognormal(96.1, 0.44))
SHAREGPT = LengthPart("sharegpt", Lognormal(161.3, 1.62), Lognormal(338.0, 1.01))
CHAT = LengthPart("chat", Lognormal(1154.7, 0.99), Lognormal(211.1, 0.86))
# Sheng et al., S-LoRA, MLSys 2024: both lengths U[8, 512).
S_LORA = LengthPart("s-lora", Uniform(8, 512), Uniform(8, 512))

PARTS = {part.name: part for part in (GSM8K, SHAREGPT, CHAT, S_LORA)}


def mix_of(names: str, context_tokens: int = 2048) -> LengthMix:
    """The mix written "gsm8k+sharegpt", equal weights. Raises TraceError on an unknown name."""
    wanted = names.split("+")
    for name in wanted:
        require(name in PARTS, "lengths", name, f"parts of {', '.join(PARTS)} joined by '+'")
    return LengthMix(tuple(PARTS[name] for name in wanted), context_tokens)


@dataclass(frozen=True, slots=True)
class DrawnLengths:
    """int64 columns of shape (requests,), the part of each request, and how many were cut."""

    prompt_tokens: Tokens
    output_tokens: Tokens
    part: Tokens
    part_names: tuple[str, ...]
    cut: int


def draw_lengths(rng: np.random.Generator, lengths: Lengths, size: int) -> DrawnLengths:
    """Lengths with prompt + output <= context_tokens; a prompt loses its excess before an output.

    Raises TraceError where a CSV cannot be used.
    """
    names: tuple[str, ...]
    if isinstance(lengths, CsvLengths):
        sample = read_lengths(lengths)
        rows = rng.integers(0, len(sample.prompt_tokens), size)
        prompt = sample.prompt_tokens[rows].astype(np.int64)
        output = sample.output_tokens[rows].astype(np.int64)
        names, part = (lengths.name,), np.zeros(size, dtype=np.int64)
    else:
        names = tuple(each.name for each in lengths.parts)
        part = draw(rng, np.array([each.weight for each in lengths.parts]), size)
        prompt, output = _of_parts(rng, lengths, part)
    long = prompt + output > lengths.context_tokens
    output = np.minimum(output, lengths.context_tokens - 1)
    prompt = np.minimum(prompt, lengths.context_tokens - output)
    return DrawnLengths(prompt, output, part, names, int(long.sum()))


def length_sample(lengths: Lengths, size: int, rng: np.random.Generator) -> LengthSample:
    """The same as a list of pairs, to complete a trace that has no lengths."""
    drawn = draw_lengths(rng, lengths, size)
    prompt, output = drawn.prompt_tokens.astype(np.int32), drawn.output_tokens.astype(np.int32)
    return LengthSample("+".join(drawn.part_names), prompt, output)


def read_lengths(lengths: CsvLengths) -> LengthSample:
    """The two columns of the CSV (any compression pandas knows). Raises TraceError."""
    path = Path(lengths.path)
    columns = [lengths.prompt_column, lengths.output_column]
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        line = str(error).splitlines()[0]
        raise TraceError(f"{path}: not a readable CSV of lengths: {line}") from error
    for name in columns:
        if name not in table:
            known = ", ".join(str(column) for column in table)
            raise refusal(str(path), None, name, "no such column", f"one of {known}")
    prompt, output = (_tokens(table, name, str(path)) for name in columns)
    return LengthSample(lengths.name, prompt, output)


def _of_parts(rng: np.random.Generator, mix: LengthMix, part: Tokens) -> tuple[Tokens, Tokens]:
    prompt, output = np.empty_like(part), np.empty_like(part)
    for index, law in enumerate(mix.parts):
        rows = np.flatnonzero(part == index)
        prompt[rows] = law.prompt.draw(rng, len(rows))
        output[rows] = law.output.draw(rng, len(rows))
    return prompt, output


def _tokens(table: pd.DataFrame, column: str, file: str) -> NDArray[np.int32]:
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)
    bad = ~((values >= 1) & (values <= TOKEN_LIMIT) & (values == np.floor(values)))
    if bad.any():
        row = int(bad.argmax())
        found = table[column].tolist()[row]
        raise refusal(file, row + 1, column, found, "a whole number of 1 or more")
    return values.astype(np.int32)
