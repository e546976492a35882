from pathlib import Path

import pytest

from hotbed.tracing.trace_listing import Found, Refused, scan
from traces.schema import TraceError


def test_traces_are_found_and_other_files_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("arrived_at,num_prefill_tokens,num_decode_tokens\n2,3,4\n")
    (tmp_path / "b.json").write_text('{"a": 1}')
    (tmp_path / "c.py").write_text("no trace by its name")
    found, refused = scan(tmp_path)
    assert found == Found("a.csv", "vidur", 1, "requests", 2.0, 1, 0)
    assert isinstance(refused, Refused)
    assert refused.file == "b.json"
    assert "no known request trace" in refused.reason


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such folder"):
        list(scan(tmp_path / "absent"))
