"""Length laws keep their stated means, the context and the pairs of a file."""

import math
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from fleet.streams import Streams
from traces.schema import TraceError
from traces.synthesis.lengths import (
    CHAT,
    GSM8K,
    PARTS,
    SHAREGPT,
    CsvLengths,
    LengthMix,
    LengthPart,
    Lognormal,
    Uniform,
    draw_lengths,
    length_sample,
    mix_of,
    read_lengths,
)

NO_LIMIT = 10_000_000


@pytest.mark.parametrize("part", [GSM8K, CHAT, SHAREGPT], ids=lambda part: str(part.name))
def test_a_fit_has_its_stated_mean_and_spread(part: LengthPart) -> None:
    for law in (part.prompt, part.output):
        assert isinstance(law, Lognormal)
        tokens = law.draw(Streams(1).array("law"), 200_000)
        error = tokens.std() / math.sqrt(len(tokens))
        assert tokens.mean() == pytest.approx(law.mean_tokens, abs=5 * error + 0.05)
        if law.mean_tokens > 300:  # rounding to whole tokens does not reach the logarithm
            assert np.log(tokens).std() == pytest.approx(law.log_sd, rel=0.01)


def test_uniform_lengths_leave_out_their_upper_end() -> None:
    tokens = Uniform(8, 12).draw(Streams(2).array("uniform"), 2000)
    assert set(tokens.tolist()) == {8, 9, 10, 11}


def test_a_mix_draws_its_parts_by_weight_and_says_which() -> None:
    parts = (
        LengthPart("short", Uniform(1, 2), Uniform(1, 2), weight=3.0),
        LengthPart("long", Uniform(50, 51), Uniform(70, 71), weight=1.0),
    )
    drawn = draw_lengths(Streams(3).array("mix"), LengthMix(parts), 40_000)
    assert drawn.part_names == ("short", "long")
    assert drawn.part.mean() == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 40_000))
    assert (drawn.prompt_tokens == np.where(drawn.part == 1, 50, 1)).all()
    assert (drawn.output_tokens == np.where(drawn.part == 1, 70, 1)).all()


def test_what_exceeds_the_context_is_cut_from_the_prompt_first_and_counted() -> None:
    part = LengthPart("long", Uniform(90, 91), Uniform(40, 41))
    drawn = draw_lengths(Streams(4).array("cut"), LengthMix((part,), context_tokens=100), 10)
    assert set(drawn.prompt_tokens.tolist()) == {60}
    assert set(drawn.output_tokens.tolist()) == {40}
    assert drawn.cut == 10
    tight = draw_lengths(Streams(4).array("cut"), LengthMix((part,), context_tokens=30), 10)
    assert set(tight.prompt_tokens.tolist()) == {1}
    assert set(tight.output_tokens.tolist()) == {29}


def test_the_context_holds_for_every_named_part() -> None:
    mix = LengthMix(tuple(PARTS.values()), context_tokens=512)
    drawn = draw_lengths(Streams(5).array("all"), mix, 20_000)
    assert (drawn.prompt_tokens + drawn.output_tokens).max() <= 512
    assert min(drawn.prompt_tokens.min(), drawn.output_tokens.min()) >= 1
    assert 0 < drawn.cut < 20_000


def test_a_mix_is_written_with_plus_signs_and_an_unknown_part_is_named() -> None:
    assert mix_of("gsm8k+sharegpt").parts == (GSM8K, SHAREGPT)
    with pytest.raises(TraceError, match=r"lengths: 'gsm' is not allowed: expected parts of gsm8k"):
        mix_of("gsm+chat")


def test_rows_of_a_file_are_drawn_as_pairs(tmp_path: Path) -> None:
    path = tmp_path / "lengths.csv.gz"
    pd.DataFrame({"id": [0, 1, 2], "in": [10, 20, 30], "out": [1, 2, 3]}).to_csv(path, index=False)
    lengths = CsvLengths(str(path), "in", "out", name="mine")
    drawn = draw_lengths(Streams(6).array("csv"), lengths, 500)
    assert (drawn.prompt_tokens == 10 * drawn.output_tokens).all()
    assert set(drawn.output_tokens.tolist()) == {1, 2, 3}
    assert drawn.part_names == ("mine",)
    assert length_sample(lengths, 7, Streams(6).array("csv")).prompt_tokens.shape == (7,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("in,out\n3,4\n5,x\n", "row 2, column 'out': 'x' is not allowed"),
        ("in,out\n3,0\n", "row 1, column 'out': 0 is not allowed"),
        ("in,put\n3,4\n", "column 'out': 'no such column' is not allowed: expected one of in, put"),
        ("", "not a readable CSV of lengths"),
    ],
)
def test_a_bad_file_of_lengths_is_refused_with_row_and_column(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "lengths.csv"
    path.write_text(text)
    with pytest.raises(TraceError) as refused:
        read_lengths(CsvLengths(str(path), "in", "out"))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_lengths_are_read_back_from_their_json() -> None:
    mix = LengthMix((GSM8K, LengthPart("flat", Uniform(1, 9), Uniform(1, 9))), 1024)
    assert msgspec.json.decode(msgspec.json.encode(mix), type=LengthMix) == mix
