"""A file's bytes, unpacked: gzip and Zstandard are told by their first bytes, not by a name.

It knows nothing of what the bytes say.
"""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import zstandard

from traces.schema import TraceError

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# Archives made with `zstd --long=31` need a window of 2 GiB; without this the default is 128 MiB.
ZSTD_MAX_WINDOW_BYTES = 2**31


@dataclass(frozen=True, slots=True)
class Content:
    """`file` is the name for messages, `data` the unpacked bytes."""

    file: str
    data: bytes

    @classmethod
    def of(cls, path: Path) -> "Content":
        """Raises TraceError where the file cannot be read or unpacked."""
        try:
            packed = path.read_bytes()
        except OSError as error:
            raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from None
        return cls(str(path), _unpacked(str(path), packed))

    @property
    def name(self) -> str:
        """Without its folder, so that no result depends on where a file lies."""
        return Path(self.file).name

    @property
    def stem(self) -> str:
        """The name without folder and endings: the trace's name where the file gives none."""
        return self.name.split(".")[0] or self.name

    def check_text(self) -> None:
        """Raise TraceError, naming the line, where the bytes are not UTF-8 text."""
        try:
            self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = self.data.count(b"\n", 0, error.start) + 1
            raise TraceError(f"{self.file}, line {line}: not UTF-8 text") from None


def _unpacked(file: str, packed: bytes) -> bytes:
    try:
        if packed.startswith(GZIP_MAGIC):
            return gzip.decompress(packed)
        if packed.startswith(ZSTD_MAGIC):
            return _unpacked_frames(packed)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise TraceError(f"{file}: cannot be unpacked: {' '.join(str(error).split())}") from None
    return packed


def _unpacked_frames(packed: bytes) -> bytes:
    """Frame by frame: zstandard's stream reader would take a cut file for a whole one."""
    unpacker = zstandard.ZstdDecompressor(max_window_size=ZSTD_MAX_WINDOW_BYTES)
    parts = []
    while packed:
        frame = unpacker.decompressobj()
        parts.append(frame.decompress(packed))
        if not frame.eof:
            raise EOFError("the last Zstandard frame is cut short")
        packed = frame.unused_data
    return b"".join(parts)
