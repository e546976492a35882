"""The readers on the publishers' own files. They need HOTBED_DATA, a folder with those files."""

import json
import os
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from traces.describing.describe_jobs import describe_jobs
from traces.formats import mooncake, normalised
from traces.formats.column_map import ColumnMap
from traces.formats.content import Content
from traces.formats.detect import (
    Format,
    detect,
    read_clients,
    read_function_minutes,
    read_jobs,
    read_workload,
)
from traces.sessions import predecessors
from traces.synthesis.clients import ClientData
from traces.synthesis.recipe import Family, ServeGen
from traces.synthesis.servegen import servegen
from traces.workload import Workload

DATA = Path(os.environ.get("HOTBED_DATA", ""))
pytestmark = pytest.mark.skipif(
    "HOTBED_DATA" not in os.environ, reason="HOTBED_DATA names no folder with public traces"
)


def _file(name: str) -> Path:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{name} is not under HOTBED_DATA")
    return path


def _read(name: str) -> Workload:
    work = read_workload(_file(name))
    work.validate()
    return work


@pytest.mark.parametrize(
    ("name", "requests", "span_s", "models", "adapters", "tenants"),
    [
        ("azure_llm_2023_conv", 19_366, 3502, 1, 0, 0),
        ("gentd26_dev", 17_764, 1_494_128, 80, 296, 3_044),
        ("gentd26_busiest_day_24x_llm_lengths", 1_885, 3579, 37, 53, 367),
        ("mooncake_conversation", 12_031, 3537, 1, 0, 0),
        ("paper_osdi24_m32_rps0.2_cv8_1h", 481, 3531, 16, 0, 0),
        ("paper_osdi24_m32_rps0.8_cv8_1h", 2_739, 3596, 28, 0, 0),
        ("paper_osdi24_m32_rps1.4_cv8_1h", 4_958, 3598, 31, 0, 0),
        ("weka_claude_code_dev", 36_032, 297_115, 6, 0, 0),
    ],
)
def test_a_normalised_trace_has_the_counts_of_its_card(
    name: str, requests: int, span_s: int, models: int, adapters: int, tenants: int
) -> None:
    work = _read(f"normalized/{name}.parquet")
    assert (len(work), round(work.duration_s)) == (requests, span_s)
    assert len(work.models()) == models
    assert len(work.adapters()) == adapters
    assert len(work.tenants()) == tenants


def test_the_meta_data_of_the_normalised_traces_is_kept() -> None:
    busiest = _read("normalized/gentd26_busiest_day_24x_llm_lengths.parquet").meta
    assert busiest.time_compression == 24
    assert busiest.synthetic_fields == ("prompt_tokens", "output_tokens")
    assert _read("normalized/mooncake_conversation.parquet").meta.time_quantum_us == 3_000_000
    assert _read("normalized/gentd26_dev.parquet").meta.time_quantum_us == 1_000_000
    paper = _read("normalized/paper_osdi24_m32_rps0.8_cv8_1h.parquet").meta
    assert (paper.seed, paper.notes["cv"], paper.notes["rps"]) == (1, "8", "0.8")


def test_gentd26_joins_requests_with_one_to_six_adapters() -> None:
    work = _read("normalized/gentd26_dev.parquet")
    sizes = work.frame["adapter_ids"].map(len)
    # 16.8 % in the whole trace, of which this is a part.
    assert 0.1 < (sizes > 0).mean() < 0.25
    assert 2 <= sizes.max() <= 6
    assert "17 requests name no model" in work.meta.notes["model_id"]


def test_the_azure_csv_and_its_normalised_form_are_the_same_requests() -> None:
    raw = _read("raw/AzureLLMInferenceTrace_conv.csv")
    assert len(raw) == 19_366
    assert raw.frame["prompt_tokens"].mean() == pytest.approx(1154.7, abs=0.1)
    assert raw.frame["output_tokens"].mean() == pytest.approx(211.126, abs=0.001)
    ours = raw.frame.drop(columns="model_id")
    theirs = _read("normalized/azure_llm_2023_conv.parquet").frame.drop(columns="model_id")
    pd.testing.assert_frame_equal(ours, theirs)


def test_the_mooncake_file_and_its_normalised_form_are_the_same_requests() -> None:
    raw = _read("raw/mooncake_conversation_trace.jsonl.zst")
    assert len(raw) == 12_031
    assert raw.frame["arrival_us"].nunique() == 1_180
    assert len({block for ids in raw.frame["prefix_hash_ids"] for block in ids}) == 182_790
    assert raw.meta.time_quantum_us == 3_000_000
    ours = raw.frame.drop(columns="model_id")
    theirs = _read("normalized/mooncake_conversation.parquet").frame.drop(columns="model_id")
    pd.testing.assert_frame_equal(ours, theirs)


def test_jittered_mooncake_stamps_no_longer_come_in_batches() -> None:
    raw = _read("raw/mooncake_conversation_trace.jsonl.zst")
    gaps = np.diff(raw.frame["arrival_us"])
    assert (gaps == 0).mean() > 0.9
    spread = raw.jitter(seed=1)
    assert (np.diff(spread.frame["arrival_us"]) == 0).mean() < 0.01
    assert abs(spread.duration_s - raw.duration_s) < 3.0


def test_the_gentd26_csv_begins_as_its_normalised_form() -> None:
    raw = _read("raw/gentd26_lora_request_trace_first500.csv")
    theirs = _read("normalized/gentd26_dev.parquet").frame.head(500)
    assert len(raw) == 500
    for column in ("arrival_us", "tenant_id", "model_id", "service_s", "status"):
        assert raw.frame[column].tolist() == theirs[column].tolist()
    extra = raw.frame["extra"].map(json.loads)
    for mine, other in zip(extra, theirs["extra"].map(json.loads), strict=True):
        assert {key: mine.get(key) for key in other} == other


def test_the_functions_of_2019_have_the_counts_of_their_card() -> None:
    minutes = read_function_minutes(_file("raw/dirigent500_invocations.csv"))
    assert minutes.counts.shape == (500, 480)
    assert (minutes.invocations, minutes.first_minute) == (3_037_902, 480)
    assert int(minutes.counts.sum(axis=1).max()) == pytest.approx(1.91552e6, abs=5)
    day = read_function_minutes(_file("normalized/azure_functions_2019_minutes_dev.parquet"))
    assert day.counts.shape == (1_036, 1_440)
    assert day.invocations == 1_004_050


def test_a_csv_of_nobodys_standard_is_read_by_a_map() -> None:
    columns = ColumnMap.parse(
        "arrival_ms=arrival_ms,prompt_tokens=prompt_tokens,output_tokens=output_tokens"
    )
    path = _file("raw/column_map_example_first100.csv")
    by_ms = read_workload(path, columns=columns)
    assert len(by_ms) == 100
    assert by_ms.frame["arrival_us"].tolist()[:3] == [0, 233_880, 234_381]
    assert by_ms.frame["prompt_tokens"].tolist()[:3] == [1911, 642, 468]
    stamped = ColumnMap.parse("arrival_timestamp=source_timestamp")
    by_stamp = read_workload(path, columns=stamped)
    assert by_stamp.frame["arrival_us"].tolist() == by_ms.frame["arrival_us"].tolist()


def test_the_csv_and_the_mooncake_form_of_one_workload_agree() -> None:
    table = _read("bench/w_10000.csv")
    lines = _read("bench/moon_10000.jsonl")
    assert len(table) == len(lines) == 10_000
    assert table.frame["prompt_tokens"].tolist() == lines.frame["prompt_tokens"].tolist()
    # The JSONL has whole milliseconds, rounded down.
    floored = table.frame["arrival_us"] // 1_000 * 1_000
    assert floored.tolist() == lines.frame["arrival_us"].tolist()


def test_a_real_trace_survives_both_writers(tmp_path: Path) -> None:
    work = _read("normalized/gentd26_busiest_day_24x_llm_lengths.parquet")
    normalised.write(work, tmp_path / "a.parquet")
    again = normalised.read(Content.of(tmp_path / "a.parquet"))
    pd.testing.assert_frame_equal(again.frame, work.frame)
    assert again.meta == work.meta
    mooncake.write(work, tmp_path / "a.jsonl")
    lines = mooncake.read(Content.of(tmp_path / "a.jsonl"), "unused").frame
    kept = [name for name in work.frame if name not in ("status", "extra")]
    pd.testing.assert_frame_equal(lines[kept], work.frame[kept])


def test_parquet_files_are_told_apart() -> None:
    told = {path.name: _told(path) for path in sorted(_file("README.md").parent.rglob("*.parquet"))}
    assert told["gentd26_lora_update_latency.parquet"] is None
    assert told["philly_jobs_dev.parquet"] == Format.JOBS
    assert told["alibaba_openb_pods.parquet"] == Format.JOBS
    assert sum(kind == Format.NORMALISED for kind in told.values()) >= 8


def _told(path: Path) -> Format | None:
    try:
        return detect(Content.of(path))
    except ValueError:
        return None


def test_azure_functions_2021_has_the_counts_of_its_card() -> None:
    work = _read("raw/azure2021_first998.csv")
    assert (len(work), len(work.models()), len(work.tenants())) == (998, 49, 21)
    minutes = read_function_minutes(_file("raw/azure2021_first998.csv"))
    assert (minutes.invocations, minutes.minutes) == (998, 108)
    top = minutes.counts.sum(axis=1).max() / minutes.invocations
    assert top == pytest.approx(0.1743, abs=1e-4)


def test_weka_sessions_follow_each_other_and_share_prefixes() -> None:
    work = _read("raw/weka_sessions_20.jsonl")
    frame = work.frame
    assert (len(work), frame["session_id"].nunique()) == (116, 20)
    before = predecessors(frame)
    assert (before >= 0).sum() == 96
    # What a turn shares with the one before, of what that one had: prompts grow at their end.
    shared, had = 0, 0
    for row in np.flatnonzero(before >= 0):
        ids, last = (frame["prefix_hash_ids"].iloc[number] for number in (row, before[row]))
        same = [a == b for a, b in zip(ids, last, strict=False)]
        shared += same.index(False) if False in same else len(same)
        had += len(last)
    assert shared / had > 0.9
    # Ids are local to a session: no two sessions have one in common.
    of: list[set[int]] = [
        {number for ids in cells for number in ids}
        for _, cells in frame.groupby("session_id")["prefix_hash_ids"]
    ]
    assert len(set().union(*of)) == sum(map(len, of))


@pytest.mark.parametrize(
    ("name", "jobs", "tenants", "one_gpu"),
    [("philly_jobs_dev", 64_483, 13, 60_522), ("alibaba_openb_pods", 7_255, 0, 6_129)],
)
def test_training_jobs_have_the_counts_of_their_cards(
    name: str, jobs: int, tenants: int, one_gpu: int
) -> None:
    seen = describe_jobs(read_jobs(_file(f"normalized/{name}.parquet")))
    assert (seen.jobs, seen.tenants) == (jobs, tenants)
    assert {of.gpus: of.jobs for of in seen.gpu_counts}[1] == one_gpu


def _servegen() -> ClientData:
    rates = _file("normalized/servegen_client_rates_dev.parquet")
    return read_clients(rates, _file("normalized/servegen_length_quantiles_dev.parquet"))


def test_servegen_s_clients_have_the_counts_of_their_card() -> None:
    data = _servegen()
    windows = data.windows
    sizes = {s: sum(c.source == s for c in windows.clients) for s in windows.sources}
    assert sizes == {"m-large": 162, "m-mid": 109, "m-small": 43}
    assert windows.windows * windows.window_s == 7 * 86_400
    mended, filled = windows.mended()
    assert filled == 21  # of m-mid: an aggregate of exactly 0 is missing telemetry
    assert data.lengths is not None
    assert len(data.lengths) == 123 + 69 + 30
    assert mended.rate_rps.sum() > windows.rate_rps.sum()


def test_servegen_s_clients_ask_as_recorded() -> None:
    """Rates, shares, burstiness and lengths of a scaled-down morning."""
    data = _servegen()
    recipe = ServeGen(rate_rps=20.0, start_s=36_000.0, span_s=3600.0, families=(Family("m", 4),))
    works = [servegen(msgspec.structs.replace(recipe, seed=seed), data) for seed in range(5)]
    sizes = [len(work) for work in works]
    assert np.mean(sizes) == pytest.approx(72_000, rel=0.03)
    rates = data.windows.rate_rps[:, 60:66].sum(axis=1)
    top = data.windows.clients[int(rates.argmax())]
    name = f"{top.source}/client-{top.number:03d}"
    share = np.mean([(work.frame["tenant_id"] == name).mean() for work in works])
    assert share == pytest.approx(rates.max() / rates.sum(), rel=0.05)
    prompts = works[0].frame["prompt_tokens"][works[0].frame["tenant_id"] == name]
    tables = data.lengths or {}
    if top in tables:
        table = tables[top]
        held = np.searchsorted(table.from_s, 36_000, side="right") - 1
        assert prompts.median() == pytest.approx(table.prompt_tokens[held, 2], rel=0.1)
