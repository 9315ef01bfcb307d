from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Environment, Write
from tests.cli.program import environment, run, run_in_terminal
from tests.cli.running_program import Running, plain

APP = """
from typing import Any

from wampasgi import Application, Progress

app = Application()


@app.procedure("values.json")
async def give_json() -> Any:
    return {"key\\x9b": ["\\x9b31m", "\\u202e", "\\x1b[31m"]}


@app.procedure("values.text")
async def give_text() -> str:
    return "ä→"


@app.procedure("values.steps")
async def take_steps():
    yield Progress([1, 2])
    yield "done"
"""


def program(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a shell command in which ``$W`` is ``wampasgi``."""
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(W=f"{sys.executable} -m wampasgi", **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("words", [["routes"], ["schema"], ["keygen", "k"]])
def test_output_that_nobody_reads_ends_the_program(tmp_path: Path, write: Write, words: list[str]) -> None:
    write("main.py", APP)
    reader, writer = os.pipe()
    os.close(reader)

    with os.fdopen(writer, "wb") as output:
        ended = subprocess.run(
            [sys.executable, "-m", "wampasgi", *words],
            cwd=tmp_path,
            env=environment(),
            stdout=output,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )

    assert ended.returncode == 141
    assert b"Traceback" not in ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", ["routes", "schema", "call --app main:app values.text"])
def test_output_that_cannot_be_written_is_an_error(tmp_path: Path, write: Write, words: str) -> None:
    write("main.py", APP)

    ended = program(f"$W {words} > /dev/full", tmp_path)

    assert (ended.returncode, ended.stderr) == (
        1,
        b"standard output cannot be written: No space left on device\n",
    )


def test_closed_streams_are_as_empty_ones(tmp_path: Path, write: Write) -> None:
    write("main.py", APP)

    ended = program("$W call --app main:app nothing - <&- >&- 2>&-", tmp_path)

    assert (ended.returncode, ended.stdout, ended.stderr) == (1, b"", b"")


def test_dash_as_a_file_is_standard_output(tmp_path: Path, write: Write) -> None:
    write("main.py", APP)

    for command in ["schema"], ["generate", "typescript"]:
        named, unnamed = run(*command, "-o", "-", cwd=tmp_path), run(*command, cwd=tmp_path)
        checked = run(*command, "-o", "-", "--check", cwd=tmp_path)

        assert (named.status, named.stdout) == (0, unnamed.stdout)
        assert checked.status == 2
        assert "name it with -o FILE" in checked.stderr
    assert not (tmp_path / "-").exists()


@pytest.fixture
def in_memory(env: Environment, tmp_path: Path, write: Write) -> dict[str, str]:
    write("main.py", APP)
    return env(COLUMNS="100")


def in_terminal(folder: Path, variables: dict[str, str], procedure: str) -> str:
    return run_in_terminal("call", "--app", "main:app", procedure, cwd=folder, env=variables).stdout


def test_control_characters_in_json_do_not_reach_the_terminal(
    in_memory: dict[str, str], tmp_path: Path
) -> None:
    shown = plain(in_terminal(tmp_path, in_memory, "values.json"))

    assert shown.isascii()
    for escaped in (r"key\u009b", r"\u009b31m", r"\u202e", r"\u001b[31m"):
        assert escaped in shown


def test_characters_that_the_terminal_does_not_have_are_escaped(
    in_memory: dict[str, str], tmp_path: Path
) -> None:
    arguments = ("call", "--app", "main:app", "values.text")
    variables = {**in_memory, "PYTHONIOENCODING": "latin-1"}
    with Running(*arguments, cwd=tmp_path, env=variables, terminal=True) as program:
        ended = program.end()

    # The terminal of the test reads UTF-8.
    assert ended.stdout == "\ufffd\\u2192\n"


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_switched_off(
    in_memory: dict[str, str], tmp_path: Path, variables: dict[str, str]
) -> None:
    shown = in_terminal(tmp_path, {**in_memory, **variables}, "nothing")

    assert "\x1b[31m" not in shown
    assert plain(shown).startswith("Error: wamp.error.no_such_procedure")


def test_terminal_that_cannot_move_its_cursor_has_no_progress_bar(
    in_memory: dict[str, str], tmp_path: Path
) -> None:
    shown = in_terminal(tmp_path, {**in_memory, "TERM": "dumb"}, "values.steps")

    assert shown == "done\n"
