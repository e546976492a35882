import pytest

from traces.formats.content import Content
from traces.formats.csv_table import CsvTable
from traces.schema import TraceError


def _table(text: str) -> CsvTable:
    return CsvTable.of(Content("made.csv", text.encode()))


def test_cells_are_stripped_and_empty_ones_are_missing() -> None:
    table = _table("\ufeffname , n\r\n a b ,1\r\n,2\r\n")
    assert table.names == ["name", "n"]
    assert table.texts("name") == ["a b", None]
    assert len(table) == 2


def test_whole_numbers_may_be_written_with_a_point() -> None:
    assert _table("n\n42\n7.0\n").whole_numbers("n").tolist() == [42, 7]


def test_optional_numbers_may_be_missing() -> None:
    values = _table("n,m\n1.5,x\n,y\n").numbers("n", optional=True).tolist()
    assert values[0] == 1.5
    assert values[1] != values[1]


def test_stamps_of_a_ten_millionth_of_a_second_are_exact() -> None:
    table = _table("t\n2023-11-16 18:15:46.6805900\n2023-11-16 18:15:47\n")
    first, second = table.stamps_ns("t").tolist()
    assert second - first == 319_410_000


def test_stamps_with_a_zone_are_the_same_instants() -> None:
    naive = _table("t\n2024-05-12 08:00:00\n").stamps_ns("t")
    zoned = _table("t\n2024-05-12 10:00:00+02:00\n").stamps_ns("t")
    assert naive.tolist() == zoned.tolist()


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("n\n1\nx\n", "made.csv, row 2, column 'n': 'x'"),
        ("n\n1\n-1\n", "made.csv, row 2, column 'n': '-1'"),
        ("n\n1.0\n1.5\n", "made.csv, row 2, column 'n': '1.5'"),
        ("n,m\n1,a\n,b\n", "made.csv, row 2, column 'n': ''"),
        ("n\n1\n\nnan\n", "made.csv, row 2, column 'n': 'nan'"),
        ("n\n1e300\n", "made.csv, row 1, column 'n': '1e300'"),
    ],
)
def test_a_cell_that_is_no_whole_number_is_refused(text: str, where: str) -> None:
    with pytest.raises(TraceError) as caught:
        _table(text).whole_numbers("n")
    assert str(caught.value).startswith(f"{where} is not allowed")


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("t\n2023-11-16 18:15:46\nlater\n", 2),
        ("t\n2023-11-16 18:15:46\n2023-11-16 18:15:46Z\n", 2),
        ("t\nlater\n2023-11-16 18:15:46\n", 1),
    ],
)
def test_a_stamp_unlike_the_others_is_refused(text: str, row: int) -> None:
    with pytest.raises(TraceError, match=f"row {row}, column 't'"):
        _table(text).stamps_ns("t")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", "made.csv, row 2: '1 cells' is not allowed: expected 2 cells"),
        ("a,b\n1,2,3\n", "made.csv, row 1: '3 cells' is not allowed: expected 2 cells"),
        ("a,a\n1,2\n", "made.csv, column 'a': 'the name' is not allowed"),
        ("", "made.csv: empty"),
        ("\n\n", "made.csv: empty"),
    ],
)
def test_a_table_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(TraceError) as caught:
        _table(text)
    assert str(caught.value).startswith(message)


def test_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(TraceError, match=r"column 'x'.*expected a, b"):
        _table("a,b\n1,2\n").texts("x")
