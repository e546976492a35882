"""Pages that lie apart in a memfd, seen side by side: no byte is copied.

Every run of pages is mapped behind the one before it. The addresses are not the region's own: a
device copies from the region's (they are the ones that are pinned), readers of bytes from these.
"""

import errno
from collections.abc import Sequence

from runtime.store.errors import StoreError
from runtime.store.memory.mapped import Mapped
from runtime.store.memory.pages import PAGE_BYTES, Run


def stitch(fd: int, runs: Sequence[Run], *, writable: bool = True) -> Mapped:
    """A range of addresses that shows the runs of pages of a memfd in the order given.

    Raises StoreError where the process may not have that many mappings, or not such a one.
    """
    mapped = Mapped(sum(run.pages for run in runs) * PAGE_BYTES)
    offset = 0
    try:
        for run in runs:
            size = run.pages * PAGE_BYTES
            mapped.place(
                offset,
                size,
                descriptor=fd,
                file_offset_bytes=run.first * PAGE_BYTES,
                writable=writable,
            )
            offset += size
    except OSError as error:
        hint = "; raise vm.max_map_count" if error.errno == errno.ENOMEM else ""
        raise StoreError(f"cannot map pages (runs: {len(runs)}): {error.strerror}{hint}") from None
    return mapped
