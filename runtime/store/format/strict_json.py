"""Hooks for `json.loads`: what readers of the same text could take differently is refused."""

from typing import Any


def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are text and stand once. Raises ValueError."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        key.encode()  # half a surrogate pair is no text: UnicodeEncodeError is a ValueError
        if key in found:
            raise ValueError(f"{key!r} is there twice")
        found[key] = value
    return found


def no_constant(word: str) -> object:
    """NaN and the infinities are Python's, not JSON's. Raises ValueError."""
    raise ValueError(f"{word} is not JSON")
