import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from traces.formats.content import Content
from traces.schema import TraceError

TEXT = b"arrived_at,num_prefill_tokens,num_decode_tokens\n" + b"0.5,10,20\n" * 5000


def _long_window(data: bytes) -> bytes:
    """As `zstd --long=31` packs a large file: the frame asks for a window of 2 GiB."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        1, window_log=31, enable_ldm=True, write_content_size=False
    )
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    "pack",
    [
        pytest.param(lambda data: data, id="plain"),
        pytest.param(gzip.compress, id="gzip"),
        pytest.param(zstandard.ZstdCompressor().compress, id="zstd"),
        pytest.param(
            lambda data: (
                zstandard.ZstdCompressor().compress(data[:7])
                + zstandard.ZstdCompressor().compress(data[7:])
            ),
            id="zstd frames",
        ),
    ],
)
def test_a_packed_file_reads_as_what_was_packed_whatever_its_name(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "trace"
    path.write_bytes(pack(TEXT))
    assert Content.of(path).data == TEXT


def test_a_frame_with_a_long_window_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "long.zst"
    path.write_bytes(_long_window(TEXT))
    assert zstandard.get_frame_parameters(path.read_bytes()).window_size == 2**31
    assert Content.of(path).data == TEXT


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize("kept", [6, 40])
def test_a_packed_file_that_is_cut_short_is_refused(
    tmp_path: Path, pack: Callable[[bytes], bytes], kept: int
) -> None:
    path = tmp_path / "cut.bin"
    path.write_bytes(pack(TEXT)[:kept])
    with pytest.raises(TraceError, match=r"cut\.bin: cannot be unpacked"):
        Content.of(path)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"absent\.csv: cannot be read: No such file"):
        Content.of(tmp_path / "absent.csv")


def test_bytes_that_are_no_text_are_refused_by_line() -> None:
    with pytest.raises(TraceError, match="odd, line 3: not UTF-8"):
        Content("odd", b"a\nb\n\xff\n").check_text()


def test_the_stem_has_neither_folder_nor_endings() -> None:
    assert Content("some/where/trace.jsonl.zst", b"").stem == "trace"
