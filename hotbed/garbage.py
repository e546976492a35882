"""Rarer garbage collection while a run lasts.

A run makes few cycles and many long-lived objects, so that the collector finds nothing and looks
often: its default thresholds suit short programs.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG, MIDDLE, OLD = 100_000, 20, 50


@contextmanager
def collected_rarely() -> Iterator[None]:
    """What exists already is left out altogether until the end, which restores everything."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
