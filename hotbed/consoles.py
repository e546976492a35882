"""The console that tables are printed to."""

import sys

from rich.console import Console

FILE_WIDTH = 120  # columns where there is no terminal to ask


def console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=FILE_WIDTH)
