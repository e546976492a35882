"""Things that are closed at the end of a `with` block."""

from types import TracebackType
from typing import Self


class Closing:
    """Has a `close` that may be called twice; a `with` block calls it, however the block ends."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
