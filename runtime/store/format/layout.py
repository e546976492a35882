"""Where extents lie in a data file: large ones at a disk block, small ones close together."""

from collections.abc import Sequence

from runtime.store.format.index import ALIGN_BYTES, SMALL_ALIGN_BYTES
from runtime.store.format.sources import Extent


def rounded(size_bytes: int, align_bytes: int) -> int:
    """The next multiple of `align_bytes`."""
    return -(-size_bytes // align_bytes) * align_bytes


def place(extents: Sequence[Extent]) -> tuple[list[int], int]:
    """The offset of each extent, and the size of the file, in bytes.

    An extent of a block or more begins at a block; hundreds of small ones (an adapter's) would
    waste most of a block each, and take steps of SMALL_ALIGN_BYTES.
    """
    offsets, end = [], 0
    for extent in extents:
        align = ALIGN_BYTES if extent.size_bytes >= ALIGN_BYTES else SMALL_ALIGN_BYTES
        offsets.append(rounded(end, align))
        end = offsets[-1] + extent.size_bytes
    return offsets, rounded(end, ALIGN_BYTES)
