"""The table of the terminal."""

from rich.console import Console

from traces.comparison import Measure, Row
from traces.statistics import compare
from traces.tables import comparison_table


def test_policies_are_rows_and_intervals_lie_below_the_means() -> None:
    ttft = Measure("latency.ttft_s.p99", "TTFT p99", "s")
    share = Measure("cold.ratio", "Cold requests", "%", percent=True)
    rows = [
        Row(ttft, compare({"a": [1.0, 2.0, 3.0, 2.0, 2.0], "b": [9.0, 9.0, 9.0, 9.0, 9.0]})),
        Row(share, compare({"a": [0.5, 0.5, 0.5, 0.5, 0.5], "b": [None] * 5})),
    ]
    console = Console(width=80, record=True, force_terminal=False)
    console.print(comparison_table(rows))
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert lines[0] == "policy TTFT p99 (s) Cold requests (%)"
    assert lines[1] == "a 2 50"
    assert lines[2].endswith("[50,50]")
    assert lines[3] == "b 9 -"
    assert lines[4] == "[9,9]"


def test_a_table_of_nothing_is_empty() -> None:
    assert comparison_table([]).row_count == 0
