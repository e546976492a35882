import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hotbed.tracing.traces import app, span_text
from tests.traces.tenants import length_columns, parquet, rate_columns
from traces.formats import jobs, normalised
from traces.formats.detect import read_jobs, read_workload
from traces.jobs import Jobs
from traces.workload import TraceMeta

MOONCAKE = "".join(
    json.dumps({"timestamp": 1000 * at, "input_length": 10 + at, "output_length": 5}) + "\n"
    for at in range(40)
)
PLAIN_CSV = "when,who,size\n0,a,5\n1.5,b,6\n"


def _run(*words: str | Path | float, data: Path | None = None) -> Result:
    variables = {"HOTBED_DATA": None if data is None else str(data), "COLUMNS": "160"}
    return CliRunner(env=variables).invoke(app, [str(word) for word in words])


def _refusal(result: Result) -> str:
    """The one line on standard error of a refused command."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


@pytest.fixture
def moon(tmp_path: Path) -> Path:
    path = tmp_path / "moon.jsonl"
    path.write_text(MOONCAKE)
    return path


@pytest.mark.parametrize("command", ["list", "describe", "convert", "synth"])
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    result = _run(command, "--help")
    assert result.exit_code == 0
    assert f"hotbed traces {command}" in " ".join(result.stdout.split())


def test_list_shows_every_trace_under_a_folder(tmp_path: Path, moon: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "again.jsonl.gz").write_bytes(gzip.compress(MOONCAKE.encode()))
    (tmp_path / "functions.csv").write_text("HashFunction,1,2\nf,1,2\ng,0,4\n")
    (tmp_path / "other.csv").write_text(PLAIN_CSV)
    (tmp_path / "notes.txt").write_text("no trace")
    seen = json.loads(_run("list", tmp_path, "--json").stdout)
    assert [item["file"] for item in seen["traces"]] == [
        "deep/again.jsonl.gz",
        "functions.csv",
        "moon.jsonl",
    ]
    assert seen["traces"][1] == {
        "file": "functions.csv", "format": "azure-functions", "count": 7, "holds": "requests",
        "span_s": 120.0, "models": 2, "adapters": 0,
    }  # fmt: skip
    assert seen["traces"][2]["count"] == 40
    assert [item["file"] for item in seen["refused"]] == ["other.csv"]
    table = _run("list", tmp_path, "--all").stdout
    assert "moon.jsonl" in table
    assert "no known request trace" in table


def test_list_looks_where_hotbed_data_says(moon: Path) -> None:
    assert "moon.jsonl" in _run("list", data=moon.parent).stdout
    assert "HOTBED_DATA" in _refusal(_run("list"))
    assert "no such folder" in _refusal(_run("list", moon.parent / "absent"))


def test_describe_names_the_columns_that_were_used(moon: Path) -> None:
    shown = _run("describe", moon).stdout
    assert "timestamp, input_length, output_length" in " ".join(shown.split())
    seen = json.loads(_run("describe", moon, "--json").stdout)
    assert seen["description"]["requests"] == 40
    assert seen["description"]["provenance"]["synthetic_fields"] == ["model_id"]
    assert seen["plots"] == []


def test_describe_draws_its_plots_and_says_where(moon: Path, tmp_path: Path) -> None:
    seen = json.loads(_run("describe", moon, "--plots", tmp_path / "plots", "--json").stdout)
    assert len(seen["plots"]) >= 3
    for path in seen["plots"]:
        assert Path(path).read_bytes().startswith(b"\x89PNG")


def test_convert_goes_through_both_formats_and_back(moon: Path, tmp_path: Path) -> None:
    parquet, lines = tmp_path / "a.parquet", tmp_path / "b.jsonl"
    assert _run("convert", moon, parquet, "--model", "opt").exit_code == 0
    assert _run("convert", parquet, lines).exit_code == 0
    there, back = read_workload(parquet), read_workload(lines)
    assert there.models() == ("opt",)
    assert there.frame.equals(back.frame)


def test_convert_cuts_jitters_scales_and_limits_in_this_order(moon: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    result = _run(
        "convert", moon, out, "--start-s", 10, "--duration-s", 20, "--jitter-seed", 3,
        "--compress", 4, "--limit", 15, "--json",
    )  # fmt: skip
    seen = json.loads(result.stdout)
    assert (seen["requests"], seen["meta"]["time_compression"]) == (15, 4.0)
    assert list(seen["meta"]["notes"]) == ["slice", "jitter", "limit"]
    work = read_workload(out)
    assert work.frame["prompt_tokens"].tolist() == list(range(20, 35))
    assert work.duration_s == pytest.approx(14 / 4, abs=0.26)


def test_convert_reads_any_csv_by_a_map_and_draws_lengths(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(PLAIN_CSV)
    (tmp_path / "lengths.csv").write_text("p,o\n7,8\n")
    out = tmp_path / "out.jsonl"
    result = _run(
        "convert", tmp_path / "in.csv", out, "--map", "arrival_s=when,tenant_id=who",
        "--lengths", f"{tmp_path / 'lengths.csv'}:p:o",
    )  # fmt: skip
    assert result.exit_code == 0
    assert "synthetic: model_id, prompt_tokens, output_tokens" in result.stdout
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["tenant_id"] for line in lines] == ["a", "b"]
    assert {(line["input_length"], line["output_length"]) for line in lines} == {(7, 8)}


def test_bad_input_is_one_line_and_exit_code_two(moon: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text(MOONCAKE + '{"timestamp": 1, "input_length": "x", "output_length": 1}\n')
    assert "broken.jsonl, row 41, column 'input_length': 'x'" in _refusal(_run("describe", broken))
    out = tmp_path / "out.parquet"
    assert "cannot be read" in _refusal(_run("convert", tmp_path / "absent", out))
    assert "do you mean 'mooncake'" in _refusal(_run("describe", moon, "--from-format", "moncake"))
    assert "'.txt' is not allowed" in _refusal(_run("convert", moon, tmp_path / "out.txt"))
    assert "compress: -1.0" in _refusal(_run("convert", moon, out, "--compress", -1))
    assert "do you mean 'arrival_s'" in _refusal(_run("convert", moon, out, "--map", "arival_s=t"))
    assert not out.exists()


def test_a_refused_conversion_leaves_the_old_file_alone(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(PLAIN_CSV)
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    result = _run("convert", tmp_path / "in.csv", out, "--map", "arrival_s=when")
    assert "column 'prompt_tokens'" in _refusal(result)
    assert out.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.jsonl"]
    assert "cannot be written" in _refusal(
        _run("convert", tmp_path / "in.csv", tmp_path / "no" / "o.parquet", "--map",
             "arrival_s=when")
    )  # fmt: skip


def test_synth_writes_the_recipe_that_was_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "s.parquet"
    words = ("synth", "osdi24", "--rate", 2, "--models", "opt-6.7b=3,opt-13b=2", "--cv", 2)
    result = _run(*words, "--duration-s", 1200, "--seed", 5, "--out", out, "--json")
    seen = json.loads(result.stdout)
    assert seen["meta"]["seed"] == 5
    work = read_workload(out)
    assert len(work) == seen["requests"] > 500
    asked = {"opt-6.7b-00", "opt-6.7b-01", "opt-6.7b-02", "opt-13b-00", "opt-13b-01"}
    assert set(work.models()) <= asked
    again = tmp_path / "again.parquet"
    _run(*words, "--duration-s", 1200, "--seed", 5, "--out", again)
    assert again.read_bytes() == out.read_bytes()


def test_synth_takes_popularity_from_functions(tmp_path: Path) -> None:
    minutes = ",".join(str(minute) for minute in range(1, 21))
    busy, idle = ",".join(["9"] * 20), ",".join(["0"] * 20)
    (tmp_path / "f.csv").write_text(f"HashFunction,{minutes}\nf,{busy}\ng,{idle}\n")
    out = tmp_path / "s.parquet"
    result = _run(
        "synth", "osdi24", "--functions", tmp_path / "f.csv", "--models", "2", "--cv", 1,
        "--duration-s", 1200, "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert len(read_workload(out).models()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["osdi42"], "recipe 'osdi42' is not allowed: expected one of osdi24"),
        (["poisson", "--cv", "3"], "cv: 3.0"),
        (["osdi24", "--tenants", "5"], "recipe 'osdi24' has no tenants"),
        (["poisson", "--models", "opt"], "models: 'opt' is not allowed"),
        (["poisson", "--lengths", "novels"], "lengths: 'novels'"),
        (["poisson", "--lengths", "a.csv"], "expected FILE.csv:PROMPT:OUTPUT"),
        (["poisson", "--rate", "-1"], "rate_rps: -1.0"),
    ],
)
def test_synth_refuses_what_a_recipe_does_not_allow(
    tmp_path: Path, words: list[str], message: str
) -> None:
    assert message in _refusal(_run("synth", *words, "--out", tmp_path / "s.parquet"))


def test_synth_draws_adapters_and_tenants(tmp_path: Path) -> None:
    out = tmp_path / "s.jsonl"
    result = _run(
        "synth", "diurnal", "--rate", 0.5, "--duration-s", 1800, "--models", 4, "--adapters", 3,
        "--tenants", 6, "--lengths", "chat", "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    work = read_workload(out)
    assert work.adapters()
    assert 1 < len(work.tenants()) <= 6
    assert set(work.frame["slo_class"]) == {"chat"}


def test_a_span_reads_in_its_largest_unit() -> None:
    spans = [0.0, 59.94, 90.0, 7200.0, 18 * 86_400.0]
    assert [span_text(span) for span in spans] == ["0.0 s", "59.9 s", "1.5 min", "2.0 h", "18.0 d"]


def test_the_writer_is_told_by_the_format_where_the_ending_says_nothing(
    moon: Path, tmp_path: Path
) -> None:
    out = tmp_path / "trace"
    assert _run("convert", moon, out, "--format", "normalised").exit_code == 0
    assert len(read_workload(out)) == 40
    assert "azure-llm" in _refusal(_run("convert", moon, out, "--format", "azure-llm"))
    assert normalised.META_KEY in out.read_bytes()


@pytest.fixture
def training(tmp_path: Path) -> Path:
    path = tmp_path / "training.parquet"
    columns = {
        "job_id": range(6),
        "submit_us": [row * 60_000_000 for row in range(6)],
        "num_gpus": [1, 2, 1, 16, 0, 1],
        "duration_s": [600.0] * 6,
    }
    jobs.write(Jobs.of(columns, TraceMeta(source="made")), path)
    return path


def test_training_jobs_are_listed_described_and_converted(training: Path) -> None:
    (item,) = json.loads(_run("list", training.parent, "--json").stdout)["traces"]
    assert (item["format"], item["count"], item["holds"]) == ("jobs", 6, "jobs")
    assert "6 jobs" in _run("list", training.parent).stdout
    assert "GPUs busy on average" in _run("describe", training).stdout
    seen = json.loads(_run("describe", training, "--json").stdout)["description"]
    assert seen["jobs"] == 6
    out = training.with_name("half.parquet")
    words = ("--gpus", 4, "--load", 0.5, "--json")
    said = json.loads(_run("convert", training, out, *words).stdout)
    assert said["jobs"] == 4
    assert read_jobs(out).load(4) == pytest.approx(0.5)


def test_training_jobs_have_no_plots_and_no_other_file_format(training: Path) -> None:
    plots = _run("describe", training, "--plots", training.parent / "plots")
    assert "plots are of requests" in _refusal(plots)
    other = _run("convert", training, training.with_name("jobs.jsonl"))
    assert "training jobs are written as .parquet" in _refusal(other)


def test_sessions_are_given_a_clock_and_a_context(tmp_path: Path) -> None:
    source = tmp_path / "weka.jsonl"
    turn = {"t": 0.0, "model": "m", "in": 900, "out": 4, "hash_ids": [1, 2, 3]}
    lines = [{"id": f"s{n}", "block_size": 64, "requests": [turn | {"out": n}]} for n in range(9)]
    source.write_text("\n".join(json.dumps(line) for line in lines))
    out = tmp_path / "out.parquet"
    words = ("--sessions-per-s", 0.5, "--context", 200, "--json")
    said = json.loads(_run("convert", source, out, *words).stdout)
    assert said["meta"]["synthetic_fields"] == ["arrival_us"]
    work = read_workload(out)
    assert work.frame["arrival_us"].nunique() == 9
    assert set(work.frame["prefix_hash_ids"].map(len)) == {3}
    assert (work.frame["prompt_tokens"] + work.frame["output_tokens"]).max() == 200
    seen = json.loads(_run("describe", out, "--json").stdout)["description"]["sessions"]
    assert (seen["sessions"], seen["waiting_share"]) == (9, 0.0)
    assert "turns a session" in _run("describe", out).stdout


def test_clients_are_drawn_from_their_tables(tmp_path: Path) -> None:
    rates, lengths = tmp_path / "rates.parquet", tmp_path / "lengths.parquet"
    rates.write_bytes(parquet(**rate_columns()).data)
    lengths.write_bytes(parquet(**length_columns()).data)
    (item,) = json.loads(_run("list", tmp_path, "--json").stdout)["traces"]
    assert (item["count"], item["holds"], item["span_s"]) == (3, "clients", 1800.0)
    assert "rates of clients, no requests" in _run("describe", rates).stdout
    sources = json.loads(_run("describe", rates, "--json").stdout)["description"]["sources"]
    assert [of["clients"] for of in sources] == [2, 1]
    assert "draw requests with" in _refusal(_run("convert", rates, tmp_path / "x.parquet"))
    out = tmp_path / "out.parquet"
    words = ("--rate", 2, "--models", "big=1", "--duration-s", 1800, "--clients", rates, "--json")
    refused = _run("synth", "servegen", "--out", out, *words)
    assert (
        "families: ['big'] is not allowed: expected a model for clients of small" in refused.stderr
    )
    words = ("--rate", 2, "--models", "m=2", "--duration-s", 1800, "--clients", rates, "--json")
    said = json.loads(_run("synth", "servegen", "--out", out, *words).stdout)
    assert (said["models"], said["tenants"]) == (2, 3)
    assert "2 expected" in said["meta"]["notes"]["realised_rate"]
    missing = _run("synth", "servegen", "--out", out, *words, "--client-lengths", lengths)
    assert "client lengths: none of small" in _refusal(missing)
    assert "expected a file with the clients' rates" in _refusal(
        _run("synth", "servegen", "--out", out)
    )
