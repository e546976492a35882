"""Each part of the benchmark in a process of its own: CPU time and peak memory are its alone.

`measure` is the parent's side; `python -m hotbed.bench.parts NAME JSON` is the child's, which
prints one line of JSON.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]


class PartError(RuntimeError):
    """A part's process failed; the message is its last line."""


def measure(name: str, words: Mapping[str, Any], *, profile: bool = False) -> dict[str, Any]:
    """What the part says of itself. Raises PartError."""
    command = [sys.executable, "-m", "hotbed.bench.parts", name, json.dumps(dict(words))]
    if profile:
        command.append("--profile")
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise PartError(f"{name}: {lines[-1]}")
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def main() -> None:
    name, words = sys.argv[1], json.loads(sys.argv[2])
    facts = profiled(name, words) if "--profile" in sys.argv[3:] else part(name)(**words)
    print(json.dumps(facts))


def part(name: str) -> Callable[..., dict[str, Any]]:
    from hotbed.bench import decisions, peers, policies, runs

    parts: dict[str, Callable[..., dict[str, Any]]] = {
        "w": runs.w,
        "fleet": runs.fleet,
        "decisions": decisions.decisions,
        "policy": policies.policy,
        "dynamo_mocker": peers.dynamo_mocker,
        "sched_sim": peers.sched_sim,
    }
    return parts[name]


def profiled(name: str, words: Mapping[str, Any]) -> dict[str, Any]:
    """Under cProfile while it is timed, with the share of each module in `cpu_shares`."""
    import cProfile

    from hotbed.bench.profile import shares

    profile = cProfile.Profile()
    facts = part(name)(**words, profile=profile)
    return facts | {"cpu_shares": shares(profile)}


if __name__ == "__main__":
    main()
