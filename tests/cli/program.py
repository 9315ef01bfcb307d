"""Runs the command line: in this process, or as a program in pipes or in a terminal.

A process of its own takes half a second, most of it for imports. Tests use one only for what this process
cannot show: signals, pipes that end, locales, and imports of the command line itself.
"""

from __future__ import annotations

import importlib
import io
import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from unittest.mock import patch

import pytest

from wampasgi.cli import main

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


def without_coverage(variables: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which programs do not measure their coverage, which costs time."""
    return {name: value for name, value in variables.items() if not name.startswith("COVERAGE_")}


def run(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None, stdin: bytes = b"") -> Ended:
    """Run ``wampasgi`` in this process, without a terminal. The modules in ``cwd`` are imported anew."""
    streams = [_stream(stdin), _stream(), _stream()]
    status = _main(arguments, cwd, env, streams)
    return Ended(status, *(stream.buffer.getvalue().decode() for stream in streams[1:]))


def _main(
    arguments: Sequence[str], cwd: Path, env: Mapping[str, str] | None, streams: Sequence[TextIO]
) -> int:
    """Run ``wampasgi`` with these standard streams, and return its exit status."""
    stdin, stdout, stderr = streams
    with (
        _modules_of(cwd),
        patch.dict(os.environ, env or environment(), clear=True),
        patch.multiple(sys, argv=["wampasgi", *arguments], dont_write_bytecode=True),
        patch.multiple(sys, stdin=stdin, stdout=stdout, stderr=stderr),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    code = ended.value.code
    assert code is None or isinstance(code, int)
    return code or 0


class _Stream(io.TextIOWrapper):
    """A standard stream whose content a test gives or reads."""

    buffer: io.BytesIO


def _stream(data: bytes = b"") -> _Stream:
    return _Stream(io.BytesIO(data), encoding="utf-8", write_through=True)


@contextmanager
def _modules_of(folder: Path) -> Iterator[None]:
    """Be in a folder, and forget its modules afterwards."""
    known, path, before = set(sys.modules), list(sys.path), Path.cwd()
    importlib.invalidate_caches()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        sys.path[:] = path
        for name in set(sys.modules) - known:
            file = getattr(sys.modules[name], "__file__", None)
            if file is None or Path(file).is_relative_to(folder):
                del sys.modules[name]


def run_process(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Ended:
    """Run ``wampasgi`` as a program, with pipes."""
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


def run_in_terminal(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Ended:
    """Run ``wampasgi`` in this process, in a pseudo terminal."""
    ours, theirs = pty.openpty()
    with ThreadPoolExecutor(1) as reader, os.fdopen(ours, "rb", buffering=0):
        output = reader.submit(read_terminal, ours)
        with (
            open(theirs, encoding="utf-8") as stdin,
            open(os.dup(theirs), "w", encoding="utf-8") as stdout,
            open(os.dup(theirs), "w", encoding="utf-8") as stderr,
        ):
            status = _main(arguments, cwd, env or environment(COLUMNS="100"), [stdin, stdout, stderr])
        return Ended(status, output.result(TIMEOUT).decode().replace("\r\n", "\n"), "")


def read_terminal(ours: int) -> bytes:
    """Return the output of a pseudo terminal up to its end."""
    chunks = []
    while True:
        try:
            chunks.append(os.read(ours, 65536))
        except OSError:
            # Linux reports the end of a terminal's output as an error.
            return b"".join(chunks)
        if not chunks[-1]:
            return b"".join(chunks)
