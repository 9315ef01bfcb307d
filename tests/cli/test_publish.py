from __future__ import annotations

import json
from pathlib import Path

from tests.cli.program import run, run_in_terminal
from tests.clients.server_process import ServerProcess

Variables = dict[str, str]


def test_publication_id_is_written_in_a_pipe(
    at_server: Variables, tmp_path: Path, server: ServerProcess
) -> None:
    ended = run("publish", "news.received", "007", cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stderr) == (0, "")
    assert json.loads(ended.stdout) > 0
    # The subscriber on the server takes a text, so it is not a number.
    server.wait_for_note("received '007' False")


def test_publication_is_reported_in_a_terminal(at_server: Variables, tmp_path: Path) -> None:
    ended = run_in_terminal("publish", "news.said", "x", cwd=tmp_path, env=at_server)

    assert ended.status == 0
    assert ended.stdout.startswith("Published to news.said as publication ")


def test_refused_event_gives_the_status_4(at_server: Variables, tmp_path: Path) -> None:
    ended = run("publish", "weather.changed", "x", cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout) == (4, "")
    assert json.loads(ended.stderr)["error"] == "wamp.error.not_authorized"


def test_event_without_acknowledgement_has_no_output(
    at_server: Variables, tmp_path: Path, server: ServerProcess
) -> None:
    ended = run("publish", "news.received", "quiet", "--no-acknowledge", cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout, ended.stderr) == (0, "", "")
    server.wait_for_note("received 'quiet' False")


def test_argument_that_no_subscriber_takes_is_a_usage_error(at_server: Variables, tmp_path: Path) -> None:
    ended = run("publish", "news.received", "x", "texd=y", cwd=tmp_path, env=at_server)

    assert ended.status == 2
    assert "news.received has no parameter 'texd'. Did you mean 'text'?" in ended.stderr
