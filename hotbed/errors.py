"""Bad input at the command line: one line on standard error, exit code 2."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

BAD_INPUT = 2


@contextmanager
def one_line_errors(command: str) -> Iterator[None]:
    """For the border only, where names, files and values come in: within a run an error is a bug.

    Every refusal of this project is a ValueError; files that cannot be opened are OSErrors.
    """
    try:
        yield
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        refuse(command, f"{name}{error.strerror or error}")
    except ValueError as error:
        refuse(command, str(error))


def refuse(command: str, message: str) -> NoReturn:
    """Say it in one line and exit."""
    typer.echo(f"hotbed {command}: {' '.join(message.split())}", err=True)
    raise typer.Exit(BAD_INPUT)
