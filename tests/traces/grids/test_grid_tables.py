"""A grid in the terminal."""

from rich.console import Console
from rich.table import Table

from tests.traces.gridded import Level, grid
from traces.grids.contest import contests_of
from traces.grids.grid import ATTAINMENT, TTFT_P99
from traces.grids.grid_tables import ROWS, measure_table, winners_table


def printed(table: Table) -> str:
    screen = Console(width=120, no_color=True)
    with screen.capture() as captured:
        screen.print(table)
    return captured.get()


def test_winners_have_their_ties_and_cells_without_one_say_so() -> None:
    runs = grid({"a": Level(saturates_at=2.0), "b": Level(saturates_at=2.0)}, loads=(1.0, 2.0))
    text = printed(winners_table([contests_of(runs, ATTAINMENT), contests_of(runs, TTFT_P99)]))
    assert "tied with 1 more" in text
    assert "nobody settled" in text


def test_a_measures_table_marks_ties_and_saturation_and_shows_the_first_rows() -> None:
    levels = {f"p{i:02d}": Level(0.9, saturates_at=2.0) for i in range(ROWS + 3)}
    runs = grid(levels, loads=(1.0, 2.0))
    text = printed(measure_table(contests_of(runs, ATTAINMENT), list(levels)))
    assert len([line for line in text.splitlines() if line.startswith("p")]) == ROWS
    assert "=†" in text
    assert "never settled" in printed(measure_table(contests_of(runs, TTFT_P99), list(levels)))
