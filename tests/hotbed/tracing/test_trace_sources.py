"""The catalogue of public traces."""

import re
from urllib.parse import urlsplit

import pytest

from hotbed.tracing.trace_sources import SOURCES, Source, source_named
from traces.schema import TraceError


@pytest.mark.parametrize("source", SOURCES, ids=[source.name for source in SOURCES])
def test_a_source_has_an_address_that_cannot_change_what_it_gives(source: Source) -> None:
    parts = urlsplit(source.url)
    assert parts.scheme == "https"
    assert source.file
    assert source_named(source.name) is source
    if parts.netloc == "raw.githubusercontent.com":
        assert re.fullmatch(r"[0-9a-f]{40}", parts.path.split("/")[3])
    if source.sha256 is not None:
        assert re.fullmatch(r"[0-9a-f]{64}", source.sha256)
        assert source.size_bytes


def test_names_and_files_are_there_once() -> None:
    assert len({source.name for source in SOURCES}) == len(SOURCES)
    assert len({source.file for source in SOURCES}) == len(SOURCES)


def test_an_unknown_name_is_refused_with_the_near_miss() -> None:
    with pytest.raises(TraceError, match=r"'burstgtp' is not allowed \(do you mean 'burstgpt'\?\)"):
        source_named("burstgtp")
