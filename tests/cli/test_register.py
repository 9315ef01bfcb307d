from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import environment, run
from tests.cli.running_program import Running
from tests.clients.server_process import ServerProcess

Variables = dict[str, str]

PROGRAM = """
import json, os, sys
call = json.load(sys.stdin)
{}
"""


def registered(at_server: Variables, tmp_path: Path, procedure: str, code: str, *options: str) -> Running:
    command = registration(procedure, code, *options)
    return Running(*command, cwd=tmp_path, env=at_server, terminal=True)


def registration(procedure: str, code: str, *options: str) -> tuple[str, ...]:
    return ("register", procedure, *options, "--", sys.executable, "-c", PROGRAM.format(code))


# The code of the program by the procedure that it answers, and the result of the procedure.
RESULTS: dict[str, tuple[str, object]] = {
    "tools.sum": ("print(sum(call['args']) + call['kwargs']['more'])", 6),
    "tools.text": ("print('not JSON')", "not JSON"),
    "tools.nothing": ("", None),
    "tools.bytes": ("sys.stdout.buffer.write(bytes([255]))", "\x00/w=="),
    "tools.bytes_in_json": ("print(json.dumps(['\\0/w==']))", ["\x00/w=="]),
    "tools.nan": ("print(json.dumps(float('nan')))", "NaN"),
    "tools.procedure": (
        "print(json.dumps([call['procedure'], os.environ['WAMPASGI_PROCEDURE']]))",
        ["tools.procedure"] * 2,
    ),
    "tools.environment": (
        "print(json.dumps([name for name in os.environ if name in ('WAMPASGI_TICKET', 'WAMPASGI_URL')]))",
        [],
    ),
}
ERRORS: dict[str, tuple[str, str, list[object]]] = {
    "tools.failing": ("sys.exit(3)", "wamp.error.runtime_error", ["the program ended with the status 3"]),
    "tools.refusing": (
        "print(json.dumps({'error': 'com.example.no', 'args': [1]})); sys.exit(1)",
        "com.example.no",
        [1],
    ),
    "tools.odd": (
        "print('{\"error\": 5}'); sys.exit(1)",
        "wamp.error.runtime_error",
        ["the program ended with the status 1"],
    ),
    "tools.spaced": (
        'print(\'{"error": "not a URI"}\'); sys.exit(1)',
        "wamp.error.runtime_error",
        ["the program ended with the status 1"],
    ),
    "tools.deep": (
        "print(100_000 * '[')",
        "wamp.error.runtime_error",
        ["the output of the program cannot be sent: it is nested too deeply"],
    ),
}


@pytest.fixture(scope="module")
def answering(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A program that answers all procedures of RESULTS and ERRORS."""
    codes = {name: code for name, (code, *_) in {**RESULTS, **ERRORS}.items()}
    url = server.url.replace("://", "://user:secret@")
    variables = environment(WAMPASGI_URL=url, WAMPASGI_TICKET="secret", COLUMNS="100")
    command = registration("tools.", f"exec({codes!r}[call['procedure']])", "--match", "prefix")
    folder = tmp_path_factory.mktemp("program")
    with Running(*command, cwd=folder, env=variables, terminal=True) as program:
        program.wait_for("Registered tools..")
        yield


@pytest.mark.usefixtures("answering")
@pytest.mark.parametrize("procedure", RESULTS)
def test_output_of_the_program_is_the_result(at_server: Variables, tmp_path: Path, procedure: str) -> None:
    ended = run("call", procedure, "1", "2", "more=3", cwd=tmp_path, env=at_server)

    assert ended.status == 0, ended.stderr
    assert json.loads(ended.stdout) == RESULTS[procedure][1]


@pytest.mark.usefixtures("answering")
@pytest.mark.parametrize("procedure", ERRORS)
def test_program_that_fails_raises_an_error(at_server: Variables, tmp_path: Path, procedure: str) -> None:
    ended = run("call", procedure, cwd=tmp_path, env=at_server)

    assert ended.status == 1
    failure = json.loads(ended.stderr)
    assert [failure["error"], failure["args"]] == [*ERRORS[procedure][1:]]


def test_program_that_ignores_its_input_is_answered(at_server: Variables, tmp_path: Path) -> None:
    command = ("register", "tools.ignorant", "--", sys.executable, "-c", "print(1)")
    with Running(*command, cwd=tmp_path, env=at_server, terminal=True) as program:
        program.wait_for("Registered")
        (tmp_path / "large").write_text(json.dumps("x" * 200_000))
        ended = run("call", "tools.ignorant", "@large", cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout) == (0, "1\n"), ended.stderr


def test_canceled_call_kills_the_program(at_server: Variables, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    code = f"import time; file = open({str(fifo)!r}, 'w'); time.sleep(60)"
    with registered(at_server, tmp_path, "tools.slow", code) as program:
        program.wait_for("Registered")
        with Running("call", "tools.slow", cwd=tmp_path, env=at_server) as caller:
            # It can be opened when the program has opened it, and ends when the program has ended.
            with fifo.open() as opened_by_program:
                caller.interrupt()
                assert opened_by_program.read() == ""
            called = caller.end()

    assert called.status == 130


def test_termination_kills_the_program(at_server: Variables, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    code = f"import time; file = open({str(fifo)!r}, 'w'); time.sleep(60)"
    with registered(at_server, tmp_path, "tools.terminated", code) as program:
        program.wait_for("Registered")
        with Running("call", "tools.terminated", cwd=tmp_path, env=at_server) as caller:
            with fifo.open() as opened_by_program:
                program.signal(signal.SIGTERM)
                assert opened_by_program.read() == ""
            called = caller.end()
        ended = program.end()

    assert ended.status == 143
    assert called.status == 1


def test_unknown_program_is_a_usage_error(at_server: Variables, tmp_path: Path) -> None:
    ended = run("register", "tools.x", "--", "no-such-program", cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout) == (2, "")
    assert "there is no program 'no-such-program'" in ended.stderr


@pytest.fixture(scope="module")
def exact(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A program that answers `tools.exact` with the names of keyword arguments, one call after the other."""
    code = "print(json.dumps(sorted(call['kwargs'])))"
    command = registration("tools.exact", code, "--concurrency", "1")
    variables, folder = environment(WAMPASGI_URL=server.url), tmp_path_factory.mktemp("exact")
    with Running(*command, cwd=folder, env=variables, terminal=True) as program:
        program.wait_for("Registered")
        yield


@pytest.mark.usefixtures("exact")
def test_procedure_that_exists_is_an_error(at_server: Variables, tmp_path: Path) -> None:
    ended = run("register", "tools.exact", "--", "true", cwd=tmp_path, env=at_server)

    assert ended.status == 1
    assert json.loads(ended.stderr)["error"] == "wamp.error.procedure_already_exists"


@pytest.mark.usefixtures("exact")
def test_calls_beyond_the_concurrency_wait(at_server: Variables, tmp_path: Path) -> None:
    ended = run("call", "tools.exact", "--repeat", "6", "--concurrency", "6", cwd=tmp_path, env=at_server)

    assert ended.status == 0, ended.stdout
    assert json.loads(ended.stdout)["calls"] == 6


@pytest.mark.usefixtures("exact")
def test_all_names_of_keyword_arguments_reach_the_program(at_server: Variables, tmp_path: Path) -> None:
    names = ("args", "invocation", "self", "session")

    ended = run("call", "tools.exact", *(f"{name}=1" for name in names), cwd=tmp_path, env=at_server)

    assert json.loads(ended.stdout) == list(names)
