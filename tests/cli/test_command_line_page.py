"""Tests of docs/command-line.md: each command after a dollar sign prints what the page shows.

The commands run in a pseudo terminal of 100 columns, one after the other, while the app of the page is
served. Numbers, names and times that differ each time are not compared.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Environment
from tests.cli.program import ROOT, run_in_terminal, without_coverage
from tests.cli.running_program import Running, plain
from tests.clients.server_process import start_server
from tests.test_docs import blocks_of

PAGE = ROOT / "docs" / "command-line.md"
BLOCKS = list(blocks_of(PAGE, PAGE.read_text(encoding="utf-8")))
# IDs, times, and names that the router makes up.
VARYING = re.compile(
    r"\b\d{9,}\b|\b\d\d:\d\d:\d\d\b|(?<![\w-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])[\w-]{16}(?![\w-])"
)


def examples() -> Iterator[tuple[str, str]]:
    """Yield the commands of the page with their outputs."""
    for block in BLOCKS:
        if block.code.startswith("$ "):
            for example in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
                command, _, output = example.partition("\n")
                yield command, output


def comparable(output: str) -> list[str]:
    """Return the lines of an output without what varies, and without the widths of columns that vary."""
    lines = [VARYING.sub("*", line) for line in output.splitlines()]
    return [re.sub(r" {2,}", "  ", re.sub("─+", "─", line)).strip() for line in lines if line.strip()]


def outputs(program: Path, env: Environment, folder: Path, url: str) -> Iterator[tuple[str, str, str]]:
    """Yield each command with the output that the page shows and the output that it has."""
    # Other tests run the same code.
    variables = without_coverage(env(COLUMNS="100", WAMPASGI_URL=url, PATH=f"{program.parent}:/usr/bin:/bin"))
    for command, expected in examples():
        if "|" in command:
            words = ["sh", "-c", command]
            with Running(*words, cwd=folder, env=variables, terminal=True, program=()) as running:
                ended = running.end()
        else:
            ended = run_in_terminal(*shlex.split(command)[1:], cwd=folder, env=variables)
        yield command, expected, plain(ended.stdout)


# Each of the commands starts a program.
@pytest.mark.timeout(180)
def test_page_shows_the_outputs_of_its_commands(
    env: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [app] = [block for block in BLOCKS if block.file_name == "shop.py"]
    (tmp_path / "shop.py").write_text(app.code)
    program = tmp_path / "bin" / "wampasgi"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m wampasgi "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    server = start_server("uvicorn", "shop:app", tmp_path)
    try:
        compared = list(outputs(program, env, tmp_path, server.url))
    finally:
        server.stop()

    assert len(compared) > 10
    for command, expected, actual in compared:
        assert comparable(actual) == comparable(expected), f"$ {command}\n{actual}"
