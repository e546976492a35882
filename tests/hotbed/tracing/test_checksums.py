"""The lock file of fetched traces."""

from pathlib import Path

import pytest

from hotbed.tracing.checksums import LOCK, Locked, read_lock, write_lock
from traces.schema import TraceError

ONE = Locked("https://host/b.csv", "ab" * 32, 7)


def test_what_is_locked_is_read_again_in_order_of_names(tmp_path: Path) -> None:
    assert read_lock(tmp_path) == {}
    write_lock(tmp_path, {"b.csv": ONE, "a.csv": ONE})
    assert read_lock(tmp_path) == {"a.csv": ONE, "b.csv": ONE}
    text = (tmp_path / LOCK).read_text()
    assert text.index("a.csv") < text.index('"b.csv"')
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_another_file_of_that_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text('{"a.csv": {"url": 1}}')
    with pytest.raises(TraceError, match="no lock file of traces: Expected `str`, got `int`"):
        read_lock(tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="cannot be written"):
        write_lock(tmp_path / "absent", {})
