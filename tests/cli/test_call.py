from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Environment, Write
from tests.cli.program import run, run_in_terminal
from tests.cli.running_program import Running
from tests.clients.server_process import ServerProcess

Variables = dict[str, str]


def test_result_is_json_in_a_pipe(at_server: Variables, tmp_path: Path) -> None:
    ended = run("call", "math.add", "1", "b=2", cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout, ended.stderr) == (0, "3\n", "")


def test_result_is_coloured_json_in_a_terminal(at_server: Variables, tmp_path: Path) -> None:
    ended = run_in_terminal("call", "values.several", cwd=tmp_path, env=at_server)

    assert ended.status == 0
    assert "\x1b[1;36m3" in ended.stdout
    assert "args" in ended.stdout


def test_text_is_shown_as_it_is_in_a_terminal(at_server: Variables, tmp_path: Path) -> None:
    ended = run_in_terminal("call", "text.join", "a", "b", cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout) == (0, "a-b\n")


def test_rows_are_a_table_in_a_terminal(at_server: Variables, tmp_path: Path) -> None:
    ended = run_in_terminal("call", "values.items", cwd=tmp_path, env=at_server)

    assert ended.status == 0
    lines = [line.split() for line in ended.stdout.splitlines() if line.strip()]
    assert [line for line in lines if line[0] in ("tea", "cake")] == [["tea", "2.5"], ["cake", "3.0"]]


def test_control_characters_of_a_result_do_not_reach_the_terminal(
    at_server: Variables, tmp_path: Path
) -> None:
    ended = run_in_terminal("call", "values.control", cwd=tmp_path, env=at_server)

    assert ended.stdout == "red \\u001b[31m\\u202e\n"


def test_values_that_are_not_a_single_argument_have_args_and_kwargs(
    at_server: Variables, tmp_path: Path
) -> None:
    several = run("call", "values.several", "-o", "jsonl", cwd=tmp_path, env=at_server)
    nothing = run("call", "values.nothing", cwd=tmp_path, env=at_server)

    assert several.stdout == '{"args": [1, 2], "kwargs": {"three": 3}}\n'
    assert nothing.stdout == "null\n"


def test_raw_output_has_text_without_quotes_and_bytes(at_server: Variables, tmp_path: Path) -> None:
    text = run("call", "text.join", "ä", "b", "-o", "raw", cwd=tmp_path, env=at_server)
    number = run("call", "math.add", "1", "-o", "raw", cwd=tmp_path, env=at_server)
    nothing = run("call", "values.nothing", "-o", "raw", cwd=tmp_path, env=at_server)
    as_json = run("call", "values.bytes", cwd=tmp_path, env=at_server)

    assert (text.stdout, number.stdout, nothing.stdout) == ("ä-b\n", "1\n", "")
    assert as_json.stdout == '"\\u0000AP8="\n'


def test_raw_bytes_are_written_as_they_are(at_server: Variables, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wampasgi", "call", "values.bytes", "-o", "raw"]
    output = subprocess.run(command, cwd=tmp_path, env=at_server, stdout=subprocess.PIPE, timeout=30).stdout

    assert output == b"\x00\xff"


def test_empty_result_is_shown_in_a_terminal(at_server: Variables, tmp_path: Path) -> None:
    ended = run_in_terminal("call", "values.nothing", cwd=tmp_path, env=at_server)

    assert "(no value)" in ended.stdout


def test_arguments_have_the_types_of_the_parameters(at_server: Variables, tmp_path: Path) -> None:
    ended = run(
        *(
            "call",
            "types.show",
            "7",
            "text=007",
            "number=1.5",
            "either=5",
            'item={"name": "tea", "price": 2}',
        ),
        *("flag=true", "-o", "jsonl"),
        cwd=tmp_path,
        env=at_server,
    )

    assert json.loads(ended.stdout) == {
        "value": 7,
        "text": "007",
        "number": 1.5,
        "either": 5,
        "item": {"name": "tea", "price": 2},
        "flag": True,
    }


def test_negative_numbers_are_arguments(at_server: Variables, tmp_path: Path) -> None:
    ended = run("call", "math.add", "-5", "b=-5", "--timeout", "5", cwd=tmp_path, env=at_server)
    spaced = run("call", "text.join", "-5", " -5", "  -5", "--", "-6", "-x", cwd=tmp_path, env=at_server)
    text = run("call", "text.join", "-5", "-x", cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout) == (0, "-10\n"), ended.stderr
    assert spaced.stdout == '"-5- -5-  -5--6--x"\n'
    assert text.status == 2
    assert "-x" in text.stderr


def test_arguments_come_from_files_and_from_standard_input(
    at_server: Variables, tmp_path: Path, write: Write
) -> None:
    write("item.json", '{"name": "tea", "price": 2}')
    (tmp_path / "data.bin").write_bytes(b"\xff\x00")

    ended = run(
        *("call", "types.show", "-", "item=@item.json", "data=@data.bin", "-o", "jsonl"),
        stdin=b"[1, 2]\n",
        cwd=tmp_path,
        env=at_server,
    )

    assert ended.status == 0, ended.stderr
    assert json.loads(ended.stdout) == {"value": [1, 2], "item": {"name": "tea", "price": 2}, "data": 2}


def test_error_is_json_in_a_pipe(at_server: Variables, tmp_path: Path) -> None:
    ended = run("call", "error.raise", "no", cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout) == (1, "")
    assert json.loads(ended.stderr) == {
        "error": "com.example.failed",
        "message": "com.example.failed: no, code=7",
        "args": ["no"],
        "kwargs": {"code": 7},
    }


def test_error_is_text_in_a_terminal(at_server: Variables, tmp_path: Path) -> None:
    ended = run_in_terminal("call", "error.raise", "no\x1b[2J", cwd=tmp_path, env=at_server)

    assert ended.status == 1
    assert ended.stdout.endswith("com.example.failed: no\\u001b[2J, code=7\n")


def test_invalid_arguments_are_listed_in_a_terminal(at_server: Variables, tmp_path: Path) -> None:
    ended = run_in_terminal("call", "types.restricted", "0", cwd=tmp_path, env=at_server)

    assert ended.status == 1
    assert ended.stdout.splitlines()[-1] == "  count: Input should be greater than or equal to 1"


def test_unknown_procedure_is_answered_with_the_nearest_names(at_server: Variables, tmp_path: Path) -> None:
    ended = run("call", "math.ad", cwd=tmp_path, env=at_server)
    in_terminal = run_in_terminal("call", "math.ad", cwd=tmp_path, env=at_server)

    assert ended.status == in_terminal.status == 1
    assert json.loads(ended.stderr)["error"] == "wamp.error.no_such_procedure"
    assert json.loads(ended.stderr)["suggestions"] == ["math.add"]
    assert in_terminal.stdout.endswith("Did you mean math.add?\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["math.add", "1", "c=2"], "math.add has no parameter 'c'."),
        (["text.join", "seperator=x"], "Did you mean 'separator'?"),
        (["math.add", "1", "2", "3"], "math.add takes at most 2 positional arguments, but 3 are given"),
        (["math.add", "b=1"], "math.add needs the argument 'a'"),
        (["math..add"], "PROCEDURE: 'math..add' is not a valid URI"),
        (["math.add", "@missing"], "missing cannot be read: No such file or directory."),
        (["math.add", "--concurrency", "2"], "--concurrency needs --repeat"),
        (["math.add", "--repeat", "2", "--progress"], "leave out --progress"),
        (["math.add", "-", "b=-"], "only one argument can be read from standard input"),
        (["math.add", "-", "--ticket", "-"], "cannot both be read from standard input"),
        (["math.add", "--timeout", "-5"], "--timeout"),
        (["types.show", 'item={"name"'], "is not valid JSON"),
    ],
)
def test_mistake_in_the_arguments_is_a_usage_error(
    at_server: Variables, tmp_path: Path, words: list[str], message: str
) -> None:
    ended = run("call", *words, cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout) == (2, "")
    assert ended.stderr.startswith("Usage: wampasgi call")
    assert message in " ".join(ended.stderr.split())


def test_progress_is_written_in_a_pipe_if_it_is_wanted(at_server: Variables, tmp_path: Path) -> None:
    without = run("call", "work.steps", "2", cwd=tmp_path, env=at_server)
    as_json = run("call", "work.steps", "2", "--progress", cwd=tmp_path, env=at_server)
    raw = run("call", "work.steps", "2", "--progress", "-o", "raw", cwd=tmp_path, env=at_server)

    assert without.stdout == '"done"\n'
    assert [json.loads(line) for line in as_json.stdout.splitlines()] == [
        {"progress": {"args": [1, 2], "kwargs": {}}},
        {"progress": {"args": [2, 2], "kwargs": {}}},
        {"result": "done"},
    ]
    assert raw.stdout.splitlines()[-1] == "done"


def test_progress_bar_is_shown_in_a_terminal_until_ctrl_c_cancels_the_call(
    at_server: Variables, tmp_path: Path, server: ServerProcess
) -> None:
    with Running("call", "work.endless", cwd=tmp_path, env=at_server, terminal=True) as program:
        program.wait_for("work.endless")
        program.wait_for('{"args": [1, 4]')
        program.interrupt()
        ended = program.end()

    assert ended.status == 130
    assert ended.stdout.endswith("Interrupted.\n")
    server.wait_for_note("ended")


def test_ctrl_c_in_a_pipe_cancels_the_call(
    at_server: Variables, tmp_path: Path, server: ServerProcess
) -> None:
    arguments = ("call", "work.endless", "--progress", "-o", "jsonl")
    with Running(*arguments, cwd=tmp_path, env=at_server) as program:
        program.wait_for('{"progress": {"args": [1, 4], "kwargs": {}}}\n')
        program.interrupt()
        ended = program.end()

    assert (ended.status, ended.stderr) == (130, "")
    server.wait_for_note("ended")


def test_timeout_is_an_error(at_server: Variables, tmp_path: Path) -> None:
    ended = run("call", "work.endless", "--timeout", "0.3", cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout) == (1, "")
    assert json.loads(ended.stderr)["error"] == "wamp.error.timeout"


def test_repeated_calls_are_measured(at_server: Variables, tmp_path: Path) -> None:
    ended = run("call", "math.add", "1", "--repeat", "30", "--concurrency", "4", cwd=tmp_path, env=at_server)
    in_terminal = run_in_terminal("call", "math.add", "1", "--repeat", "3", cwd=tmp_path, env=at_server)

    figures = json.loads(ended.stdout)
    assert ended.status == in_terminal.status == 0
    assert (figures["calls"], figures["errors"]) == (30, {})
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]
    assert "calls per second" in in_terminal.stdout


def test_failed_calls_are_counted(at_server: Variables, tmp_path: Path) -> None:
    ended = run("call", "error.raise", "x", "--repeat", "3", cwd=tmp_path, env=at_server)

    assert ended.status == 1
    assert json.loads(ended.stdout)["errors"] == {"com.example.failed": 3}


def test_app_is_called_in_memory(env: Environment, tmp_path: Path) -> None:
    ended = run("call", "--app", "tests.cli.served_app:app", "math.add", "1", "2", cwd=tmp_path, env=env())

    assert (ended.status, ended.stdout) == (0, "3\n"), ended.stderr


def test_output_that_nobody_reads_ends_the_program(at_server: Variables, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wampasgi", "call", "work.steps", "100000", "--progress"]
    program = subprocess.Popen(
        command, cwd=tmp_path, env=at_server, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout is not None
    with program:
        program.stdout.readline()
        program.stdout.close()
        assert program.stderr is not None
        errors = program.stderr.read()

    assert (program.returncode, errors) == (141, b"")
