"""Logins that wait because earlier ones have failed. The server reads from the client meanwhile."""

from __future__ import annotations

import time
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.auth.peers import SECRET
from tests.clients.conftest import StartServer
from tests.clients.server_process import BOTH_TRANSPORTS, SERVERS
from tests.clients.wire_client import WireClient
from tests.specification import ABORT, AUTHENTICATE, CALL, CHALLENGE, HELLO, RESULT, WELCOME
from wampasgi.auth.failed_logins import FIRST_DELAY

APP = "tests.attacks.attacked_app:guessed"
HELLO_OF_ANN = [HELLO, "strict", {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "ann"}]
#: After so many failures, a login on the realm `strict` waits for 4 s.
FAILURES = 5


@pytest.fixture(scope="module")
def app() -> str:
    return APP


def fail(url: str) -> None:
    with WireClient(url) as client:
        assert client.request(*HELLO_OF_ANN)[0] == CHALLENGE
        assert client.request(AUTHENTICATE, "wrong", {})[0] == ABORT


@pytest.mark.parametrize("kind", [kind for kind in SERVERS if kind != "hypercorn-in-process"])
def test_session_works_after_a_delayed_login(kind: str, servers: StartServer) -> None:
    server = servers(kind)
    fail(server.url)

    with WireClient(server.url) as client:
        client.request(*HELLO_OF_ANN)
        started = time.monotonic()
        assert client.request(AUTHENTICATE, SECRET, {})[0] == WELCOME
        assert time.monotonic() - started >= FIRST_DELAY - 0.05
        assert client.request(CALL, 1, {}, "math.add", [2, 3]) == [RESULT, 1, {}, [5]]


def delayed(client: WireClient, request_id: int) -> Any:
    """Return the number of logins that had to wait."""
    result = client.request(CALL, request_id, {}, "failures")
    return result[3][0]["metrics"]["strict"]["authentication"]["delayed"]


@pytest.mark.parametrize("kind", BOTH_TRANSPORTS)
def test_server_ends_at_once_although_a_login_waits(kind: str, own_server: StartServer) -> None:
    server = own_server(kind, APP)
    for _ in range(FAILURES):
        fail(server.url)
    with WireClient(server.url) as observer, WireClient(server.url) as waiting:
        observer.join()
        waiting.request(*HELLO_OF_ANN)
        waiting.send(AUTHENTICATE, SECRET, {})
        request_id, started = 1, time.monotonic()
        while delayed(observer, request_id) < FAILURES:
            request_id += 1
            assert time.monotonic() - started < 2

        server.stop(timeout=2)

        with pytest.raises(ConnectionClosed):
            waiting.receive()
