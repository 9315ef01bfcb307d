from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.program import run, run_in_terminal
from tests.cli.running_program import Running, plain

Variables = dict[str, str]


def test_sessions_are_listed(at_server: Variables, tmp_path: Path) -> None:
    ended = run("sessions", cwd=tmp_path, env=at_server)

    [own] = json.loads(ended.stdout)
    assert (ended.status, ended.stderr) == (0, "")
    assert own["authrole"] == "anonymous"
    assert own["session"] > 0


def test_sessions_are_a_table_in_a_terminal(at_server: Variables, tmp_path: Path) -> None:
    ended = run_in_terminal("sessions", cwd=tmp_path, env=at_server)

    header, *rows = [line.split() for line in plain(ended.stdout).splitlines() if line.strip(" ─")]
    assert ended.status == 0
    assert header == ["session", "authid", "authrole", "authmethod", "authprovider"]
    assert rows[-1][2] == "anonymous"


def test_roles_select_sessions(at_server: Variables, tmp_path: Path) -> None:
    ended = run("sessions", "--role", "admin", cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout) == (0, "[]\n")


def test_sessions_are_closed_with_a_reason_even_if_one_does_not_exist(
    at_server: Variables, tmp_path: Path
) -> None:
    kill = ("sessions", "--reason", "com.example.bye", "--message", "good night")
    with Running("subscribe", "news.victim", cwd=tmp_path, env=at_server, terminal=True) as victim:
        victim.wait_for("Subscribed")
        listed = json.loads(run("sessions", cwd=tmp_path, env=at_server).stdout)
        ids = ["5", *(str(session["session"]) for session in listed)]
        killed = run(*kill, *(f"--kill={session_id}" for session_id in ids), cwd=tmp_path, env=at_server)
        ended = victim.end()

    assert killed.status == 1
    assert "no other session 5 on this realm" in json.loads(killed.stderr)["message"]
    assert ended.status == 3
    assert "com.example.bye" in ended.stdout


def test_unknown_session_is_an_error(at_server: Variables, tmp_path: Path) -> None:
    ended = run("sessions", "--kill", "5", cwd=tmp_path, env=at_server)

    assert ended.status == 1
    assert json.loads(ended.stderr)["error"] == "wamp.error.no_such_session"


def test_realm_without_the_meta_api_gives_the_status_4(at_server: Variables, tmp_path: Path) -> None:
    ended = run("sessions", "--realm", "closed", cwd=tmp_path, env=at_server)

    assert ended.status == 4


@pytest.mark.parametrize("options", [["--reason", "a.b"], ["--message", "x"], ["--kill", "1", "--role", "x"]])
def test_options_that_do_not_fit_together_are_a_usage_error(
    at_server: Variables, tmp_path: Path, options: list[str]
) -> None:
    assert run("sessions", *options, cwd=tmp_path, env=at_server).status == 2
