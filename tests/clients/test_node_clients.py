from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import GOODBYE_APP, SERVED_APP, StartServer
from tests.clients.server_process import BOTH_TRANSPORTS, ServerProcess
from tests.npm_packages import install_packages

# The first run installs the clients.
pytestmark = pytest.mark.timeout(240)

RUN_TIMEOUT = 20.0

SCRIPTS = Path(__file__).with_name("node")

Steps = dict[str, Any]


@pytest.fixture(scope="module")
def installed(request: pytest.FixtureRequest) -> Path:
    """The folder whose node_modules contains the clients."""
    return install_packages(request, SCRIPTS / "package.json", purpose="clients for Node")


def run_client(installed: Path, client: str, *arguments: str) -> Steps:
    """Run a client and return its reports by step."""
    ended = subprocess.run(
        ["node", str(SCRIPTS / f"{client}_client.mjs"), str(installed), *arguments],
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT,
        check=False,
    )
    assert ended.returncode == 0, f"{client} failed after\n{ended.stdout}with\n{ended.stderr}"
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    return {line["step"]: line["value"] for line in lines}


CLIENTS = [(client, format) for client in ("autobahn", "wampy") for format in ("json", "msgpack", "cbor")]


@pytest.fixture(scope="module", params=CLIENTS, ids="-".join)
def calls(installed: Path, server: ServerProcess, request: pytest.FixtureRequest) -> Steps:
    """The reports of a client about its calls."""
    client, serializer = request.param
    return run_client(installed, client, server.url, serializer, "calls") | {"serializer": serializer}


@pytest.fixture(scope="module", params=CLIENTS, ids="-".join)
def events(installed: Path, server: ServerProcess, request: pytest.FixtureRequest) -> Steps:
    """The reports of a client about its subscriptions and publications."""
    client, serializer = request.param
    return run_client(installed, client, server.url, serializer, "events")


def positional(result: Any) -> Any:
    """Return the only positional value of a result; autobahn-js unwraps it, wampy does not."""
    return result["args"][0] if isinstance(result, dict) else result


def test_session_uses_the_serializer_of_the_client(calls: Steps) -> None:
    assert calls["joined"]["protocol"] == f"wamp.2.{calls['serializer']}"
    assert 1 <= calls["joined"]["id"] <= 2**53


def test_call_accepts_args_and_kwargs(calls: Steps) -> None:
    assert positional(calls["result"]) == 5


def test_call_accepts_kwargs_alone(calls: Steps) -> None:
    assert positional(calls["kwargs alone"]) == 9


def test_echoed_payload_is_unchanged(calls: Steps) -> None:
    assert calls["echo"] == {"args": [1, "Zoë", None], "kwargs": {"deep": [{"a": 1.5}]}}


def test_echoed_date_is_a_date_again_if_the_format_has_dates(calls: Steps) -> None:
    assert calls["date"] == {"isDate": calls["serializer"] != "json", "date": "2026-11-22T12:00:00.500Z"}


def test_unknown_procedure_is_an_error(calls: Steps) -> None:
    assert calls["unknown"]["error"] == "wamp.error.no_such_procedure"


def test_error_names_the_invalid_argument(calls: Steps) -> None:
    assert calls["invalid argument"]["error"] == "wamp.error.invalid_argument"
    assert calls["invalid argument"]["kwargs"]["errors"][0]["argument"] == "a"


def test_application_error_keeps_its_payload(calls: Steps) -> None:
    assert calls["application error"] == {
        "error": "com.example.out_of_stock",
        "args": ["bolts"],
        "kwargs": {"left": 0},
    }


def test_progress_reports_come_before_the_result(calls: Steps) -> None:
    assert calls["progress"]["progress"] == [
        {"args": [2], "kwargs": {"done": 0}},
        {"args": [1], "kwargs": {"done": 1}},
    ]
    assert positional(calls["progress"]["result"]) == "lift-off"


def test_goodbye_of_the_client_closes_the_session(calls: Steps, server: ServerProcess) -> None:
    assert calls["closed"] == "wamp.close.goodbye_and_out"
    server.wait_for_note(f"closed {calls['joined']['id']}")


def test_event_of_the_server_reaches_the_subscriber(events: Steps) -> None:
    assert events["event"] == {"args": ["rain"], "kwargs": {"until": "noon"}}


def test_acknowledged_publication_reaches_the_servers_subscriber(events: Steps) -> None:
    assert 1 <= events["published"] <= 2**53
    assert events["seen by the server"] == {"args": ["sensors.attic", 21.5], "kwargs": {"unit": "F"}}


def test_publication_without_permission_is_refused(events: Steps) -> None:
    assert events["refused"] == "wamp.error.not_authorized"


# Calls from client to client


@pytest.fixture(scope="module", params=["json", "msgpack"])
def routed(installed: Path, server: ServerProcess, request: pytest.FixtureRequest) -> Steps:
    """The reports of autobahn-js and wampy about calling each other; autobahn-js uses this serializer."""
    return run_client(installed, "routed", server.url, request.param)


def test_each_library_calls_a_procedure_of_the_other(routed: Steps) -> None:
    assert routed["wampy answers autobahn"] == {
        "args": [1, "Zoë", "clients.wampy.echo"],
        "kwargs": {"deep": [{"a": 1.5}]},
    }
    assert routed["autobahn answers wampy"] == [5]


def test_progress_of_a_callee_that_cannot_be_interrupted_reaches_the_caller(routed: Steps) -> None:
    assert routed["progress"] == ["half", "all"]


def test_error_of_one_library_reaches_the_other(routed: Steps) -> None:
    assert routed["error"] == {"error": "com.example.failed", "args": ["no"], "kwargs": {"code": 7}}


def test_server_calls_a_client_in_javascript(routed: Steps) -> None:
    assert routed["server asks"] == "Delete? Yes."


# Shutdown


@contextmanager
def reconnecting_client(installed: Path, url: str, library: str) -> Iterator[Iterator[tuple[str, Any]]]:
    """Start a client, and yield the iterator of its steps; at the end, the client is killed."""
    command = ["node", str(SCRIPTS / "reconnect_client.mjs"), str(installed), url, library]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = map(json.loads, process.stdout)
        try:
            yield ((line["step"], line["value"]) for line in lines)
        finally:
            process.kill()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", BOTH_TRANSPORTS)
@pytest.mark.parametrize("library", ["autobahn", "wampy"])
def test_client_reconnects_after_a_restart_of_the_server(
    library: str, kind: str, installed: Path, own_server: StartServer
) -> None:
    before = own_server(kind, SERVED_APP)
    with reconnecting_client(installed, before.url, library) as steps:
        assert next(steps)[0] == "joined 1"
        before.stop()
        own_server(kind, SERVED_APP, port=before.port)

        assert next(steps)[0] == "joined 2"
        assert next(steps) == ("sum", 5)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", BOTH_TRANSPORTS)
@pytest.mark.parametrize("library", ["autobahn", "wampy"])
def test_client_does_not_reconnect_after_a_goodbye(
    library: str, kind: str, installed: Path, own_server: StartServer
) -> None:
    server = own_server(kind, GOODBYE_APP)
    with reconnecting_client(installed, server.url, library) as steps:
        assert next(steps)[0] == "joined 1"
        server.stop()

        assert next(steps) == ("gave up", True)
