"""Where the CPU time of a run goes, by module.

cProfile charges a fixed price to every call, so that many small calls weigh more than they do
without it: shares, not seconds. Time in built-in functions and in libraries goes to the module
of the project that called them.
"""

import cProfile
import pstats
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("fleet", "policies", "sim", "traces", "hotbed")

#: A function as pstats knows it: file, line, name.
Function = tuple[str, int, str]


def shares(profile: cProfile.Profile) -> dict[str, float]:
    """Module -> its share of the profiled CPU time, largest first; they sum to 1."""
    stats: dict[Function, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    return module_shares(stats)


def module_shares(stats: dict[Function, Any]) -> dict[str, float]:
    """Own time by module; a foreign function's is shared out over its callers' own modules."""
    seconds: dict[str, float] = defaultdict(float)
    for function, (_, _, own_s, _, callers) in stats.items():
        module = module_of(function)
        if module is not None:
            seconds[module] += own_s
            continue
        for caller, (_, _, caller_own_s, _) in callers.items():
            seconds[module_of(caller) or "other libraries"] += caller_own_s
    total = sum(seconds.values()) or 1.0
    ordered = sorted(seconds.items(), key=lambda item: -item[1])
    return {name: round(own_s / total, 4) for name, own_s in ordered}


def module_of(function: Function) -> str | None:
    """ "sim.engine" of a function there; None for one that is not the project's."""
    try:
        path = Path(function[0]).relative_to(ROOT)
    except ValueError:
        return None
    return ".".join(path.with_suffix("").parts) if path.parts[0] in PACKAGES else None
