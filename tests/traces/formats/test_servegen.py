"""ServeGen's two tables."""

from typing import Any

import pytest

from tests.traces.tenants import length_columns, parquet, rate_columns
from traces.formats.detect import Format, detect, read_clients, read_content
from traces.formats.servegen import read_lengths, read_rates
from traces.schema import TraceError
from traces.synthesis.clients import Client


def test_rates_become_a_grid_of_clients_and_windows() -> None:
    windows = read_rates(parquet(**rate_columns()))
    assert windows.clients == (Client("big", 0), Client("big", 7), Client("small", 0))
    assert windows.window_s == 600
    assert windows.rate_rps.tolist() == [[2.0, 0, 0], [0, 0, 1.0], [0.5, 0, 0]]
    assert windows.shape[:, 0].tolist() == [1.0, 1.0, 0.6]
    assert windows.weibull.sum(axis=1).tolist() == [0, 0, 1]
    assert windows.meta.columns_ignored == ("cv", "scale")


def test_lengths_are_those_of_clients_with_prompts_and_outputs() -> None:
    tables = read_lengths(parquet(**length_columns()))
    assert list(tables) == [Client("big", 0)]
    table = tables[Client("big", 0)]
    # At 21,600 s there are no output lengths.
    assert table.from_s.tolist() == [0]
    assert table.prompt_tokens.tolist() == [[10, 20, 30, 40, 50, 60, 70, 80]]
    assert table.output_tokens.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]]


def test_both_tables_are_told_from_content_and_hold_no_requests(tmp_path: Any) -> None:
    rates, lengths = parquet(**rate_columns()), parquet(**length_columns())
    assert (detect(rates), detect(lengths)) == (Format.CLIENT_WINDOWS, Format.CLIENT_LENGTHS)
    for content in (rates, lengths):
        with pytest.raises(TraceError, match="from which `hotbed traces synth servegen` draws"):
            read_content(content, detect(content), "m", 0)
    paths = [tmp_path / "rates.parquet", tmp_path / "lengths.parquet"]
    for path, content in zip(paths, (rates, lengths), strict=True):
        path.write_bytes(content.data)
    assert read_clients(paths[0]).lengths is None
    assert list(read_clients(*paths).lengths or ()) == [Client("big", 0)]
    with pytest.raises(TraceError, match="a client-lengths file: expected client-windows"):
        read_clients(paths[1])


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("rate_rps", 0, -1.0, "row 1, column 'rate_rps': -1.0 is not allowed"),
        ("rate_rps", 1, float("nan"), "row 2, column 'rate_rps': nan is not allowed"),
        ("pattern", 3, "Pareto", "row 4, column 'pattern': 'Pareto' is not allowed"),
        ("pattern", 3, None, "row 4, column 'pattern': None is not allowed"),
        ("shape", 0, 0.0, "row 1, column 'shape': 0.0 is not allowed"),
        ("t_s", 2, 950, "row 2, column 't_s': 600 is not allowed: expected a multiple"),
        ("t_s", 1, 0, "row 2, column 't_s': 'the window' is not allowed"),
        ("t_s", 3, 600 * 100_000, "row 4, column 't_s': 60000000 is not allowed: expected fewer"),
        ("client", 3, 0.5, "row 4, column 'client': 0.5 is not allowed"),
        ("model", 2, None, "row 3, column 'model': None is not allowed"),
    ],
)
def test_a_bad_cell_of_the_rates_is_refused_with_its_place(
    column: str, row: int, value: Any, message: str
) -> None:
    columns = rate_columns()
    if isinstance(value, float):
        columns[column] = [float(cell) for cell in columns[column]]
    columns[column][row] = value
    with pytest.raises(TraceError) as caught:
        read_rates(parquet(**columns))
    assert message in str(caught.value)


def test_bad_lengths_are_refused() -> None:
    falling = length_columns() | {"p95": [0.5] * 4}
    with pytest.raises(TraceError, match=r"row 1, column 'p5': 10.0 is not allowed: expected quan"):
        read_lengths(parquet(**falling))
    twice = length_columns() | {"t_s": [0, 0, 0, 0]}
    with pytest.raises(TraceError, match="expected each client and time once"):
        read_lengths(parquet(**twice))
    texts = length_columns() | {"p5": ["a"] * 4}
    with pytest.raises(TraceError, match=r"column 'p5': .* expected a finite number"):
        read_lengths(parquet(**texts))


def test_a_table_without_a_column_or_a_row_is_refused() -> None:
    columns = rate_columns()
    del columns["shape"]
    with pytest.raises(TraceError, match="column 'shape': 'no such column'"):
        read_rates(parquet(**columns))
    with pytest.raises(TraceError, match="'no row' is not allowed"):
        read_rates(parquet(**{name: [] for name in rate_columns()}))
