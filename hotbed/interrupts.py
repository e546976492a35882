"""Ctrl-C as a flag: a run stops between two events, so that what it has written is whole."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130  # the shell's exit code for a program that Ctrl-C ended


class Stopped(Exception):  # noqa: N818 - not an error: what has been done stands
    """The run was asked to stop, and did."""


class Interrupt:
    """Set by the first Ctrl-C; a second one is Python's own KeyboardInterrupt."""

    def __init__(self) -> None:
        self.asked = False

    def check(self) -> None:
        if self.asked:
            raise Stopped


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Within it Ctrl-C only sets the flag."""
    interrupt = Interrupt()

    def ask(signum: int, frame: FrameType | None) -> None:
        if interrupt.asked:
            raise KeyboardInterrupt
        interrupt.asked = True

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
