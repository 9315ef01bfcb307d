from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.conftest import Environment
from tests.cli.program import run
from tests.cli.served_app import TICKET
from wampasgi.cli.failures import Status, failure_of, status_of_errors
from wampasgi.errors import ConnectionClosed, LocalProtocolError, RemoteProtocolError

Variables = dict[str, str]


def test_server_that_is_not_there_gives_the_status_3(env: Environment, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{unused.getsockname()[1]}/"
        ended = run("call", "math.add", "--url", url, cwd=tmp_path, env=env())

    assert (ended.status, ended.stdout) == (Status.NOT_CONNECTED, "")
    failure = json.loads(ended.stderr)
    assert failure["error"] == "wamp.error.network_failure"
    assert failure["message"].startswith(f"there is no connection to {url}")


class _Refusing(BaseHTTPRequestHandler):
    """Answers with the status that the path names."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_error(int(self.path.removeprefix("/")))

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def http_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"ws://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("answer", "status"),
    [(404, Status.NOT_CONNECTED), (503, Status.NOT_CONNECTED), (401, Status.REFUSED), (403, Status.REFUSED)],
)
def test_status_depends_on_the_answer_of_a_server_that_opens_no_websocket(
    env: Environment, tmp_path: Path, http_server: str, answer: int, status: Status
) -> None:
    ended = run("call", "math.add", "--url", f"{http_server}/{answer}", cwd=tmp_path, env=env())

    assert ended.status == status
    assert f"HTTP status {answer}" in json.loads(ended.stderr)["message"]


def test_url_without_a_scheme_is_a_usage_error(env: Environment, tmp_path: Path) -> None:
    ended = run("call", "math.add", "--url", "http://127.0.0.1:8000", cwd=tmp_path, env=env())

    assert ended.status == Status.USAGE
    assert "use 'ws://127.0.0.1:8000'" in ended.stderr


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--ticket", "wrong", "--authid", "ann"], "wamp.error.authentication_failed"),
        (["--secret", "wrong", "--authid", "ann"], "wamp.error.authentication_failed"),
        ([], "wamp.error.no_matching_auth_method"),
    ],
)
def test_refused_login_gives_the_status_4(
    at_server: Variables, tmp_path: Path, options: list[str], error: str
) -> None:
    ended = run("call", "whoami", "--realm", "members", *options, cwd=tmp_path, env=at_server)

    assert (ended.status, ended.stdout) == (Status.REFUSED, "")
    assert json.loads(ended.stderr)["error"] == error


def test_call_without_permission_gives_the_status_4(at_server: Variables, tmp_path: Path) -> None:
    ended = run("call", "secret", "--realm", "closed", cwd=tmp_path, env=at_server)

    assert ended.status == Status.REFUSED
    assert json.loads(ended.stderr)["error"] == "wamp.error.not_authorized"


def test_unknown_realm_gives_the_status_3(env: Environment, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(
        "from wampasgi import Application, Realm\n"
        "app = Application([Realm('shop')], allow_default_realm=False)\n"
    )

    ended = run("call", "math.add", "--app", "main:app", "--realm", "shpo", cwd=tmp_path, env=env())

    assert ended.status == Status.NOT_CONNECTED
    assert json.loads(ended.stderr)["error"] == "wamp.error.no_such_realm"


def test_two_credentials_are_a_usage_error(at_server: Variables, tmp_path: Path) -> None:
    ended = run(
        "call", "x", "--ticket", TICKET, "--secret", "x", "--authid", "ann", cwd=tmp_path, env=at_server
    )

    assert ended.status == Status.USAGE
    assert "--secret and --ticket exclude each other" in ended.stderr


def test_text_that_no_message_can_carry_is_a_usage_error(at_server: Variables, tmp_path: Path) -> None:
    ended = run("call", "types.show", r'"\ud800"', cwd=tmp_path, env=at_server)

    assert ended.status == Status.USAGE
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConnectionClosed("wamp.close.killed", closed_by="server"), Status.NOT_CONNECTED),
        (ConnectionClosed("wamp.error.not_authorized", closed_by="server"), Status.REFUSED),
        (RemoteProtocolError("WELCOME must have a session ID"), Status.NOT_CONNECTED),
        (LocalProtocolError("a value cannot be serialized"), Status.USAGE),
    ],
)
def test_ends_of_sessions_have_a_status(error: Exception, status: Status) -> None:
    failure = failure_of(error)

    assert failure is not None
    assert (failure.status, failure.message) == (status, str(error))


def test_other_exceptions_are_no_failures() -> None:
    assert failure_of(KeyError("x")) is None


def test_status_of_several_errors_is_that_of_refusals_if_all_are() -> None:
    refusal = "wamp.error.not_authorized"

    assert status_of_errors([refusal]) is Status.REFUSED
    assert status_of_errors([refusal, "com.example.failed"]) is Status.ERROR
