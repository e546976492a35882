"""Names of checkpoints in a library: one segment or two, as `llama-8b` or `meta/llama-8b`."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runtime.store.errors import StoreError

MOST_CHARACTERS: Final = 96  # a segment; what is written beside it has a longer name
SEGMENT: Final = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{MOST_CHARACTERS - 1}}}")
PLAIN_FILES: Final = ("model", "adapter_model", "pytorch_model")  # say nothing of what is in them


def check_name(name: str) -> str:
    """The name. Raises StoreError for one that is not allowed."""
    segments = name.split("/")
    if len(segments) > 2 or not all(SEGMENT.fullmatch(one) for one in segments):
        raise StoreError(
            f"name {name!r}: expected NAME or ORG/NAME, each of letters, digits, '.', '_' and '-', "
            f"not beginning with '.' or '-', at most {MOST_CHARACTERS} characters"
        )
    return name


def name_of(source: str) -> str:
    """The name that a path or an address suggests. Raises StoreError where it suggests none.

    A folder's own name; ORG/NAME from Hugging Face's cache (models--ORG--NAME) and addresses.
    """
    parts = [part for part in (urlsplit(source).path or source).split("/") if part]
    if "://" not in source:
        parts = list(Path(source).absolute().parts)[1:]
    for part in reversed(parts):
        if part.startswith("models--"):
            return check_name("/".join(part.split("--")[1:3]))
    if "resolve" in parts[2:]:  # https://huggingface.co/ORG/NAME/resolve/REVISION
        return check_name("/".join(parts[parts.index("resolve") - 2 : parts.index("resolve")]))
    names = [part.removesuffix(".safetensors") for part in parts]
    while names and names[-1] in PLAIN_FILES and parts[len(names) - 1] not in PLAIN_FILES:
        names.pop()
    try:
        return check_name(names[-1] if names else "")
    except StoreError:
        raise StoreError(
            f"{source}: suggests no name that is allowed: give one by --name"
        ) from None


def near(name: str, known: Iterable[str]) -> str:
    """Words that name what may have been meant, or what there is."""
    names = sorted(known)
    if not names:
        return "there are none"
    folded = {one.casefold(): one for one in names}
    wanted = name.casefold()
    close = [folded[one] for one in get_close_matches(wanted, folded, n=3, cutoff=0.6)]
    close += [one for one in names if wanted in one.casefold().split("/") and one not in close]
    if close:
        return f"did you mean {' or '.join(close)}?"
    more = f" and {len(names) - 8} more" if names[8:] else ""
    return f"there are {', '.join(names[:8])}{more}"
