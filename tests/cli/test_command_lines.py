from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import environment, run, run_in_terminal
from tests.cli.running_program import plain

COMMANDS = [
    "dev", "serve", "routes", "call", "publish", "subscribe", "register", "sessions", "keygen",
]  # fmt: skip
# Importing these takes most of the time that a command needs.
SLOW_MODULES = {
    "anyio",
    "nacl",
    "starlette",
    "uvicorn",
    "websockets",
    "wampasgi.application",
    "wampasgi.client",
}


def test_help_of_a_command_imports_nothing_slow() -> None:
    # All of them in one process, which has imported none of these before.
    program = (
        "import sys\nfrom wampasgi.cli import main\n"
        f"for command in {COMMANDS!r}:\n"
        "    sys.argv = ['wampasgi', command, '--help']\n"
        "    try:\n        main()\n    except SystemExit as ended:\n        assert not ended.code\n"
        f"    slow = {SLOW_MODULES} & sys.modules.keys()\n"
        "    assert not slow, (command, slow)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=30
    )

    assert ended.returncode == 0, ended.stderr
    for command in COMMANDS:
        assert f"Usage: wampasgi {command}" in ended.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_option_is_answered_with_the_nearest_name(command: str, tmp_path: Path) -> None:
    ended = run(command, "--hlep", cwd=tmp_path)

    assert (ended.status, ended.stdout) == (2, "")
    assert "--help" in ended.stderr


@pytest.mark.parametrize("command", ["call", "publish", "subscribe", "register"])
def test_missing_argument_is_a_usage_error(command: str, tmp_path: Path) -> None:
    ended = run(command, cwd=tmp_path)

    assert (ended.status, ended.stdout) == (2, "")
    assert "Missing argument" in ended.stderr


def test_connection_options_have_a_frame_of_their_own_in_a_terminal(tmp_path: Path) -> None:
    ended = run_in_terminal("call", "--help", cwd=tmp_path, env=environment(COLUMNS="100"))

    assert "─ Connection ─" in plain(ended.stdout)
    assert "─ Options ─" in plain(ended.stdout)
