from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.cli.conftest import Environment
from tests.cli.program import run
from tests.cli.running_program import Running
from tests.clients.server_process import ServerProcess, start_server

Variables = dict[str, str]


def test_events_are_lines_of_json_in_a_pipe(
    at_server: Variables, tmp_path: Path, server: ServerProcess
) -> None:
    with Running("subscribe", "news.said", "--count", "2", cwd=tmp_path, env=at_server) as program:
        server.wait_for_note("subscribed news.said")
        run("call", "news.tell", "hello", "2", cwd=tmp_path, env=at_server)
        ended = program.end()

    assert (ended.status, ended.stderr) == (0, "")
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [(event["topic"], event["args"], event["kwargs"]) for event in events] == [
        ("news.said", ["hello"], {"number": 0}),
        ("news.said", ["hello"], {"number": 1}),
    ]
    assert all(event["publication"] for event in events)
    server.wait_for_note("unsubscribed news.said")


def test_raw_events_are_their_values(at_server: Variables, tmp_path: Path, server: ServerProcess) -> None:
    arguments = ("subscribe", "news.raw", "news.other", "-n", "2", "-o", "raw")
    with Running(*arguments, cwd=tmp_path, env=at_server) as program:
        for topic in "news.raw", "news.other":
            server.wait_for_note(f"subscribed {topic}")
            run("publish", topic, "two words", cwd=tmp_path, env=at_server)
        ended = program.end()

    assert (ended.status, ended.stdout) == (0, "two words\ntwo words\n")


def test_events_of_a_pattern_are_shown_in_a_terminal_until_ctrl_c(
    at_server: Variables, tmp_path: Path
) -> None:
    arguments = ("subscribe", "news.", "--match", "prefix")
    with Running(*arguments, cwd=tmp_path, env=at_server, terminal=True) as program:
        program.wait_for("Subscribed to news.. Ctrl-C ends it.")
        run("publish", "news.shown", "\\1\x1b[2J", "when=[1, 2]", cwd=tmp_path, env=at_server)
        program.wait_for("news.shown")
        program.wait_for("1\\u001b[2J when=[1, 2]")
        program.interrupt()
        ended = program.end()

    assert ended.status == 130
    assert ended.stdout.endswith("Interrupted.\n")


def test_retained_events_come_first(at_server: Variables, tmp_path: Path) -> None:
    run("publish", "news.kept", "old", "--retain", cwd=tmp_path, env=at_server)

    with_it = run("subscribe", "news.kept", "--retained", "-n", "1", "-o", "raw", cwd=tmp_path, env=at_server)

    assert (with_it.status, with_it.stdout) == (0, "old\n")


def test_refused_subscription_gives_the_status_4(at_server: Variables, tmp_path: Path) -> None:
    ended = run("subscribe", "news.said", "other.topic", cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout) == (4, "")
    assert json.loads(ended.stderr)["error"] == "wamp.error.not_authorized"


def test_pattern_that_is_not_allowed_is_a_usage_error(at_server: Variables, tmp_path: Path) -> None:
    ended = run("subscribe", "news..said", cwd=tmp_path, env=at_server)
    unknown = run("subscribe", "news", "--match", "prefiks", cwd=tmp_path, env=at_server)

    assert ended.status == unknown.status == 2
    assert "TOPIC: 'news..said' is not a valid URI" in ended.stderr


def test_subscription_continues_after_a_restart_of_the_server(env: Environment, tmp_path: Path) -> None:
    app = "tests.cli.served_app:app"
    first = start_server("uvicorn", app, tmp_path)
    variables = env(WAMPASGI_URL=first.url, COLUMNS="100")
    arguments = ("subscribe", "news.after", "-n", "1")
    try:
        with Running(*arguments, cwd=tmp_path, env=variables, terminal=True) as program:
            program.wait_for("Subscribed to")
            first.stop()
            program.wait_for("The connection is lost.")
            second = start_server("uvicorn", app, tmp_path, port=first.port)
            try:
                program.wait_for("Connected again.")
                run("publish", "news.after", "back", cwd=tmp_path, env=variables)
                ended = program.end()
            finally:
                second.stop()
    finally:
        first.kill()

    assert ended.status == 0
    assert "back" in ended.stdout


def test_session_that_the_router_closes_gives_the_status_3(
    at_server: Variables, tmp_path: Path, server: ServerProcess
) -> None:
    with Running("subscribe", "news.killed", cwd=tmp_path, env=at_server) as program:
        server.wait_for_note("subscribed news.killed")
        listed = json.loads(run("sessions", cwd=tmp_path, env=at_server).stdout)
        for session in listed:
            run("sessions", "--kill", str(session["session"]), cwd=tmp_path, env=at_server)
        ended = program.end()

    assert ended.status == 3
    assert json.loads(ended.stderr)["error"] == "wamp.close.killed"


def test_termination_unsubscribes_and_ends_the_program(
    at_server: Variables, tmp_path: Path, server: ServerProcess
) -> None:
    with Running("subscribe", "news.ended", cwd=tmp_path, env=at_server) as program:
        server.wait_for_note("subscribed news.ended")
        program.signal(signal.SIGTERM)
        ended = program.end()

    assert (ended.status, ended.stderr) == (143, "")
    server.wait_for_note("unsubscribed news.ended")
