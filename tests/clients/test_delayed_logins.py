"""Logins that wait because earlier ones have failed, on each server: the wait reads from the client."""

from __future__ import annotations

import time

import pytest

from tests.auth.peers import SECRET
from tests.clients.conftest import StartServer
from tests.clients.server_process import SERVERS
from tests.clients.wire_client import WireClient
from tests.specification import ABORT, AUTHENTICATE, CALL, HELLO, RESULT, WELCOME
from wampasgi.auth.failed_logins import FIRST_DELAY


@pytest.fixture(scope="module")
def app() -> str:
    return "tests.attacks.attacked_app:guessed"


@pytest.mark.parametrize("kind", [kind for kind in SERVERS if kind != "hypercorn-in-process"])
def test_session_works_after_a_delayed_login(kind: str, servers: StartServer) -> None:
    server = servers(kind)
    hello = [HELLO, "strict", {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "ann"}]
    with WireClient(server.url) as client:
        client.request(*hello)
        assert client.request(AUTHENTICATE, "wrong", {})[0] == ABORT

    with WireClient(server.url) as client:
        client.request(*hello)
        started = time.monotonic()
        assert client.request(AUTHENTICATE, SECRET, {})[0] == WELCOME
        assert time.monotonic() - started >= FIRST_DELAY - 0.05
        assert client.request(CALL, 1, {}, "math.add", [2, 3]) == [RESULT, 1, {}, [5]]
