"""The command line as a whole: help, and what it must not import for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hotbed.small import hotbed

COMMANDS = ["simulate", "compare", "capacity", "rerun", "policies", "traces", "bench"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_commands_help_has_an_example(command: str) -> None:
    assert command in hotbed("--help").stdout
    if command not in ("traces", "bench"):  # which have commands of their own
        assert f"hotbed {command} " in hotbed(command, "--help").stdout.replace("│", "")


def test_help_imports_nothing_slow() -> None:
    program = (
        "import sys, json\n"
        "from typer.testing import CliRunner\n"
        "from hotbed.__main__ import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "slow = ('pandas', 'matplotlib', 'pyarrow', 'numpy', 'simpy', 'pydantic')\n"
        "print(json.dumps([name for name in slow if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert json.loads(done.stdout) == []


def test_traces_are_handed_on_to_their_own_commands(tmp_path: Path) -> None:
    result = hotbed("traces", "list", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "no such folder" in result.stderr
    assert hotbed("traces", "synth", "--help").exit_code == 0
