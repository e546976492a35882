"""The report needs nothing but itself, and says what was run."""

import json
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from tests.traces.small_cloud import SmallCloud
from traces.comparison import Run, run_of
from traces.metrics import summarise
from traces.report import Results, Study, write_report
from traces.summary import Slo

STUDY = Study(
    title="Two <policies> compared",
    scenario="small.yaml",
    trace="made by a test",
    command="hotbed compare small.yaml --seeds 5",
    parameters={"nodes": {"gpus": 2, "kind": "A40"}, "seed": 7},
    synthetic_fields=["arrival times"],
    notes=["Nothing here was measured."],
)


@cache
def made_runs() -> tuple[Run, ...]:
    """Five seeds of two policies that differ in what they keep in DRAM."""
    runs = []
    for policy, dram_share in (("hoarding", 1.0), ("forgetful", 0.0)):
        for seed in range(5):
            cloud = SmallCloud(nodes=1, gpus=2, models=4, dram_share=dram_share, ssd_share=0.0)
            record = cloud.run(60, 0.1, seed)
            runs.append(run_of(policy, seed, record, summarise(record, Slo(7.5, 0.2))))
    return tuple(runs)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(tmp_path_factory.mktemp("report"), STUDY, made_runs())


class Links(HTMLParser):
    """Collects whatever a browser would fetch, and checks that tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_nothing_is_fetched_from_anywhere(report: Path) -> None:
    text = report.read_text()
    links = Links()
    links.feed(text)
    assert links.open == []
    assert len(links.sources) >= 4
    assert all(source.startswith("data:image/png;base64,") for source in links.sources)
    assert not re.search(r"https?://|@import|url\(", text)


def test_it_says_what_was_run_and_how_to_run_it_again(report: Path) -> None:
    text = report.read_text()
    for said in (
        "Two &lt;policies&gt; compared",
        "hotbed compare small.yaml --seeds 5",
        "nodes.gpus",
        "arrival times",
        "Nothing here was measured.",
        "0, 1, 2, 3, 4",
    ):
        assert said in text


def test_real_differences_are_said_in_words(report: Path) -> None:
    text = report.read_text()
    assert "TTFT p99: hoarding is best at " in text
    assert re.search(r"hoarding \(\S+ \[\S+ \S+\] s\) is lower than forgetful \(by ", text)


def test_the_data_beside_it_reads_back(report: Path) -> None:
    data = (report.parent / "results.json").read_bytes()
    assert "NaN" not in data.decode()
    results = msgspec.json.decode(data, type=Results)
    assert [run.summary for run in results.runs] == [run.summary for run in made_runs()]
    assert json.loads(data)["study"]["parameters"]["nodes"]["kind"] == "A40"


def test_one_policy_alone_has_no_section_of_differences(tmp_path: Path) -> None:
    alone = [run for run in made_runs() if run.policy == "hoarding"]
    text = write_report(tmp_path, STUDY, alone[:1]).read_text()
    assert "Which differences are real" not in text
    assert "1 policy," in text
