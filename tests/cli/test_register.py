from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.cli.program import run
from tests.cli.running_program import Running

Variables = dict[str, str]

PROGRAM = """
import json, os, sys
call = json.load(sys.stdin)
{}
"""


def registered(at_server: Variables, tmp_path: Path, procedure: str, code: str, *options: str) -> Running:
    command = (sys.executable, "-c", PROGRAM.format(code))
    return Running(
        *("register", procedure, *options, "--", *command), cwd=tmp_path, env=at_server, terminal=True
    )


@pytest.mark.parametrize(
    ("name", "code", "result"),
    [
        ("sum", "print(sum(call['args']) + call['kwargs']['more'])", 6),
        ("text", "print('not JSON')", "not JSON"),
        ("nothing", "", None),
        ("bytes", "sys.stdout.buffer.write(bytes([255]))", "\x00/w=="),
        (
            "procedure",
            "print(json.dumps([call['procedure'], os.environ['WAMPASGI_PROCEDURE']]))",
            ["tools.procedure"] * 2,
        ),
        ("environment", "print(json.dumps(os.environ.get('WAMPASGI_TICKET')))", None),
    ],
)
def test_output_of_the_program_is_the_result(
    at_server: Variables, tmp_path: Path, name: str, code: str, result: object
) -> None:
    procedure = f"tools.{name}"
    with registered({**at_server, "WAMPASGI_TICKET": "secret"}, tmp_path, procedure, code) as program:
        program.wait_for(f"Registered {procedure}.")
        ended = run("call", procedure, "1", "2", "more=3", cwd=tmp_path, env=at_server)

    assert ended.status == 0, ended.stderr
    assert json.loads(ended.stdout) == result


@pytest.mark.parametrize(
    ("name", "code", "error", "args"),
    [
        ("failing", "sys.exit(3)", "wamp.error.runtime_error", ["the program ended with the status 3"]),
        (
            "refusing",
            "print(json.dumps({'error': 'com.example.no', 'args': [1]})); sys.exit(1)",
            "com.example.no",
            [1],
        ),
        (
            "odd",
            "print('{\"error\": 5}'); sys.exit(1)",
            "wamp.error.runtime_error",
            ["the program ended with the status 1"],
        ),
    ],
)
def test_program_that_fails_raises_an_error(
    at_server: Variables, tmp_path: Path, name: str, code: str, error: str, args: list[object]
) -> None:
    with registered(at_server, tmp_path, f"tools.{name}", code) as program:
        program.wait_for("Registered")
        ended = run("call", f"tools.{name}", cwd=tmp_path, env=at_server)

    assert ended.status == 1
    assert json.loads(ended.stderr)["error"] == error
    assert json.loads(ended.stderr)["args"] == args


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


def test_procedure_that_exists_is_an_error(at_server: Variables, tmp_path: Path) -> None:
    with registered(at_server, tmp_path, "tools.taken", "") as program:
        program.wait_for("Registered")
        ended = run("register", "tools.taken", "--", "true", cwd=tmp_path, env=at_server)

    assert ended.status == 1
    assert json.loads(ended.stderr)["error"] == "wamp.error.procedure_already_exists"


def test_calls_beyond_the_concurrency_wait(at_server: Variables, tmp_path: Path) -> None:
    with registered(at_server, tmp_path, "tools.one", "print(1)", "--concurrency", "1") as program:
        program.wait_for("Registered")
        ended = run(
            *("call", "tools.one", "--repeat", "6", "--concurrency", "6"), cwd=tmp_path, env=at_server
        )

    assert ended.status == 0, ended.stdout
    assert json.loads(ended.stdout)["calls"] == 6


def test_all_names_of_keyword_arguments_reach_the_program(at_server: Variables, tmp_path: Path) -> None:
    names = ("args", "invocation", "self", "session")
    with registered(
        at_server, tmp_path, "tools.names", "print(json.dumps(sorted(call['kwargs'])))"
    ) as program:
        program.wait_for("Registered")
        ended = run("call", "tools.names", *(f"{name}=1" for name in names), cwd=tmp_path, env=at_server)

    assert json.loads(ended.stdout) == list(names)


def test_pattern_is_registered(at_server: Variables, tmp_path: Path) -> None:
    with registered(
        at_server, tmp_path, "tools.many.", "print(call['procedure'])", "--match", "prefix"
    ) as program:
        program.wait_for("Registered")
        ended = run("call", "tools.many.one", "-o", "raw", cwd=tmp_path, env=at_server)

    assert ended.stdout == "tools.many.one\n"
