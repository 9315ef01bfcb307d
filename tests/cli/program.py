"""Runs the command line as a program, in a pipe or in a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 30

# Variables of the test run that would change the output.
_FOREIGN = ("CI", "COLUMNS", "FORCE_COLOR", "GITHUB_ACTIONS", "NO_COLOR", "PY_COLORS", "TERM")


@dataclass(frozen=True)
class Ended:
    """The output and the exit status of a program. In a terminal, all of its output is ``stdout``."""

    status: int
    stdout: str
    stderr: str


def environment(**variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return {**inherited, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **variables}


def run(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Ended:
    """Run ``wampasgi`` with pipes."""
    ended = subprocess.run(
        [sys.executable, "-m", "wampasgi", *arguments],
        cwd=cwd,
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def run_in_terminal(*arguments: str, cwd: Path) -> Ended:
    """Run ``wampasgi`` in a pseudo terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "wampasgi", *arguments],
        cwd=cwd,
        env=environment(COLUMNS="100"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        output = b"".join(iter(lambda: _read(terminal.fileno()), b""))
    return Ended(process.wait(TIMEOUT), output.decode().replace("\r\n", "\n"), "")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        # Linux reports the end of a terminal's output as an error.
        return b""
