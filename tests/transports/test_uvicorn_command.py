"""The command line of uvicorn: options, log, workers, signals, and errors at startup."""

from __future__ import annotations

import http.client
import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.clients.server_process import ServerProcess
from tests.transports import differences
from tests.transports.application_server import PATIENCE, wait_until
from tests.transports.raw_websocket import PING, TEXT, RawWebSocket, frame, handshake
from tests.transports.uvicorn_server import start_uvicorn, uvicorn_server

APP = "tests.transports.asgi_probe_app:app"
PICOWS = "wampasgi.transports.picows:WebSocketProtocol"
STARTUP_TIMEOUT = 20.0
TRACE_LINES = [
    "HTTP connection made",
    "Upgrading to WebSocket",
    "WebSocket connection made",
    "WebSocket connection lost",
]


@contextmanager
def connected(
    server: ServerProcess, target: str = "/", **options: Any
) -> Iterator[tuple[ClientConnection, dict[str, Any]]]:
    """Open a connection, and receive what the application knows about it."""
    url = f"ws://127.0.0.1:{server.port}{target}"
    with connect(url, proxy=None, compression=None, ping_interval=None, **options) as client:
        yield client, json.loads(client.recv(PATIENCE))


def close_code(client: ClientConnection) -> int | None:
    """Wait until the connection is closed, and return its code."""
    with pytest.raises(ConnectionClosed):
        client.recv(PATIENCE)
    return client.close_code


def wait_for_log(server: ServerProcess, pattern: str, count: int = 1) -> None:
    """Wait until a regular expression is found in the log, in a number of lines."""

    def found() -> bool:
        return len(re.findall(pattern, server.log, re.MULTILINE)) >= count

    wait_until(found, lambda: f"{pattern!r} is not in the log:\n{server.log}")


def request_http(server: ServerProcess, timeout: float = PATIENCE) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    with closing(client):
        client.request("GET", "/page")
        assert client.getresponse().read() == b"plain"


def test_log_has_a_line_for_each_connection(kind: str, tmp_path: Path) -> None:
    with uvicorn_server(kind, APP, tmp_path) as server:
        with connected(server, "/caf%C3%A9?room=1") as (client, known):
            host, port = known["client"]
            client.close(3000)
        for target in "/closed", "/denied":
            with pytest.raises(InvalidStatus), connected(server, target):
                pass
        request_http(server)

        wait_for_log(server, rf'^INFO: +{host}:{port} - "WebSocket /caf%C3%A9\?room=1" \[accepted\]$')
        wait_for_log(server, r'^INFO: +127\.0\.0\.1:\d+ - "WebSocket /closed" 403$')
        wait_for_log(server, r'^INFO: +127\.0\.0\.1:\d+ - "WebSocket /denied" 401$')
        wait_for_log(server, r'^INFO: +127\.0\.0\.1:\d+ - "GET /page HTTP/1.1" 200 OK$')
        wait_for_log(server, "^disconnected with 3000$")
    assert "Traceback" not in server.log


def test_sigterm_closes_the_connections_and_ends_the_process(kind: str, tmp_path: Path) -> None:
    with uvicorn_server(kind, APP, tmp_path) as server:
        with connected(server) as (client, _):
            server.terminate()
            assert close_code(client) == 1012
        server.wait_for_exit(PATIENCE)

    assert "disconnected with 1012" in server.log
    assert "Application shutdown complete." in server.log
    assert "Finished server process" in server.log
    assert "Traceback" not in server.log


def test_options_of_the_command_line_are_used(kind: str, tmp_path: Path) -> None:
    options = {
        "--ws-max-size": "1000",
        "--ws-max-queue": "4",
        "--ws-ping-interval": "0.1",
        "--ws-ping-timeout": "5",
        "--header": "X-Tag:one",
        "--root-path": "/api",
        "--http": "h11",
        "--forwarded-allow-ips": "127.0.0.1",
        "--timeout-graceful-shutdown": "2",
        "--limit-concurrency": "20",
        "--log-level": "trace",
    }
    flags = ["--no-server-header", "--no-date-header", "--proxy-headers", "--no-access-log"]
    command = [part for option in options.items() for part in option]
    forwarded = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    with uvicorn_server(kind, APP, tmp_path, *command, *flags) as server:
        request_http(server)
        with connected(server, "/path", additional_headers=forwarded) as (client, known):
            assert client.response is not None
            headers = dict(client.response.headers.raw_items())
            client.send("x" * 1001)
            assert close_code(client) == 1009
        wait_for_log(server, "^disconnected with 1009$")
        with RawWebSocket(server.port) as raw:
            raw.send(handshake())
            assert raw.read_response().status == 101
            assert [raw.read_frame().opcode for _ in range(2)] == [TEXT, PING]

    assert headers["x-tag"] == "one"
    assert not {"server", "date"} & {name.lower() for name in headers}
    assert known["root_path"] == "/api"
    assert known["path"] == "/api/path"
    assert (known["client"], known["scheme"]) == (["192.0.2.7", 0], "wss")
    assert '"WebSocket /api/path" [accepted]' in server.log
    assert '"GET /page HTTP/1.1"' not in server.log
    # The lines of the level "trace", in their order.
    positions = [server.log.rindex(line) for line in TRACE_LINES]
    assert positions == sorted(positions)
    assert "Send {'type': 'websocket.accept'" in server.log


def test_workers_serve_websockets(kind: str, tmp_path: Path) -> None:
    with uvicorn_server(kind, APP, tmp_path, "--workers", "2") as server:
        wait_for_log(server, "Application startup complete.", count=2)
        with connected(server) as (one, known_by_one):
            released = tmp_path / "released"
            one.send(f"block until {released}")
            wait_for_log(server, "^blocked$")
            # Only the other worker can accept this connection.
            with connected(server) as (two, known_by_two):
                assert known_by_one["pid"] != known_by_two["pid"]
                released.touch()
                assert one.recv(PATIENCE) == f"block until {released}"
                server.terminate()
                assert [close_code(client) for client in (one, two)] == [1012, 1012]
        assert server.wait_for_exit(PATIENCE) == 0

    assert server.log.count("disconnected with 1012") == 2


def test_server_goes_on_if_an_application_sends_without_pause_to_a_lost_client(
    kind: str, tmp_path: Path
) -> None:
    expected = differences.SERVER_GOES_ON_IF_AN_APPLICATION_SENDS_TO_A_LOST_CLIENT.on(kind)
    server = start_uvicorn(kind, APP, tmp_path)
    try:
        with RawWebSocket(server.port) as client:
            client.send(handshake("/flood"))
            assert client.read_response().status == 101
            lost = tmp_path / "lost"
            client.send(frame(TEXT, f"block until {lost}".encode()))
            wait_for_log(server, "^blocked$")
            client.reset()
            lost.touch()
        if expected:
            request_http(server)
        else:
            with pytest.raises(TimeoutError):
                request_http(server, timeout=0.5)
    finally:
        server.kill()


# Errors at startup. Each prepares the process before uvicorn imports the transport.

NOT_INSTALLED = "sys.modules['picows'] = None"
ANOTHER_VERSION = "import picows; picows.__version__ = '1.9.4'"
WITHOUT_PROTOCOL = "import picows.picows; del picows.picows.WSProtocol"


def start_with(preparation: str) -> tuple[int, str]:
    """Run uvicorn with a prepared picows, and return the exit code and the log."""
    program = f"import sys; {preparation}; from uvicorn.main import main; main()"
    command = [sys.executable, "-c", program, APP, "--port", "0", "--ws", PICOWS]
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=STARTUP_TIMEOUT, check=False
    )
    return ended.returncode, ended.stdout.decode()


@pytest.mark.parametrize(
    ("preparation", "parts"),
    [
        (NOT_INSTALLED, ["is not installed", "pip install 'wampasgi[fast]'"]),
        (ANOTHER_VERSION, ["picows 2.3", "1.9.4", "pip install 'wampasgi[fast]'"]),
        (WITHOUT_PROTOCOL, ["picows 2.3", "WSProtocol", "{installed}"]),
    ],
    ids=["not installed", "another version", "without WSProtocol"],
)
def test_unusable_picows_is_an_error_at_startup(preparation: str, parts: list[str]) -> None:
    installed = importlib.metadata.version("picows")
    code, log = start_with(preparation)
    last_line = log.strip().splitlines()[-1]

    assert code != 0
    assert "Uvicorn running" not in log
    for part in parts:
        assert part.format(installed=installed) in last_line
