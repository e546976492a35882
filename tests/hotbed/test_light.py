"""The simulator installs light: a run imports nothing of the live runtime."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "ray", "vllm", "transformers", "peft")


def test_a_simulation_imports_no_engine_and_no_cluster_runtime() -> None:
    tour = [str(ROOT / "examples/tour.yaml"), "--json", "--set", "workload.params.span_s=60"]
    script = (
        "import json, sys\n"
        "from hotbed.__main__ import app\n"
        f"app(['simulate', *{tour!r}], standalone_mode=False)\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert json.loads(run.stdout.splitlines()[-1]) == []
