"""One contiguous view of what is held somewhere, for as long as somebody looks at it.

A mapping knows its bytes, not where they come from or who counts that they are in use.
"""

from runtime.store.closing import Closing
from runtime.store.errors import StoreError
from runtime.store.memory.mapped import Exporter


class Mapping(Closing):
    """`size_bytes` contiguous bytes at `address`, seen without a copy through `view`.

    Closing gives up the bytes; slices, arrays and tensors made from the view stay valid beyond it
    and keep the bytes in use until the last of them is gone.
    """

    def __init__(self, exporter: Exporter, address: int, size_bytes: int) -> None:
        self.address = address
        self.size_bytes = size_bytes
        self._view: memoryview | None = exporter.view()

    @property
    def view(self) -> memoryview:
        """The bytes, flat. Raises StoreError once closed."""
        if self._view is None:
            raise StoreError("this mapping is closed: map the name again")
        return self._view

    @property
    def closed(self) -> bool:
        return self._view is None

    def close(self) -> None:
        """Give up the view; a second time does nothing."""
        view, self._view = self._view, None
        if view is None:
            return
        try:
            view.release()
        except BufferError:
            pass  # an array or tensor was made from it and lives on: so do the bytes
