"""Which loaders run here: `python -m runtime.loaders.probing` prints it as a line of JSON.

In a process of its own, because asking imports every package.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runtime.loaders.formats import Format, LoaderError

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Probed:
    """`missing` says why it does not run here; None where it does."""

    formats: frozenset[Format]
    missing: str | None


def probe() -> dict[str, Probed]:
    """Every loader by name, in the registry's order. Raises LoaderError where there is no torch."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    done = subprocess.run(
        [sys.executable, "-m", "runtime.loaders.probing"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise LoaderError(f"loaders need the packages of requirements-live.lock: {lines[-1]}")
    found: Mapping[str, dict[str, object]] = json.loads(done.stdout.splitlines()[-1])
    return {name: _probed(facts) for name, facts in found.items()}


def _probed(facts: Mapping[str, object]) -> Probed:
    formats, missing = facts["formats"], facts["missing"]
    assert isinstance(formats, list)
    assert missing is None or isinstance(missing, str)
    return Probed(frozenset(formats), missing)


def main() -> None:
    from runtime.loaders.registry import loader, names

    found = {}
    for name in names():
        one = loader(name)
        found[name] = {"formats": sorted(one.formats()), "missing": one.missing()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
