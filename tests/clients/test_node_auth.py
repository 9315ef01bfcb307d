"""autobahn-js and wampy join realms by ticket, WAMP-CRA and cryptosign."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.auth.peers import SECRET, signing_key
from tests.clients.conftest import AUTH_APP
from tests.clients.server_process import ServerProcess
from tests.clients.test_node_clients import CLIENTS, installed, run_client

__all__ = ["installed"]

# The first run installs the clients.
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def app() -> str:
    """The application of `server`."""
    return AUTH_APP


def secret_for(method: str, authid: str, password: str) -> str:
    return bytes(signing_key(authid, password)).hex() if method == "cryptosign" else password


each_client = pytest.mark.parametrize(("client", "serializer"), CLIENTS)
each_realm = pytest.mark.parametrize(
    ("realm", "method"),
    [("ticket", "ticket"), ("wampcra", "wampcra"), ("salted", "wampcra"), ("cryptosign", "cryptosign")],
)


@each_client
@each_realm
def test_right_secret_opens_the_realm(
    request: pytest.FixtureRequest,
    server: ServerProcess,
    client: str,
    serializer: str,
    realm: str,
    method: str,
) -> None:
    folder: Path = request.getfixturevalue("installed")
    secret = secret_for(method, "joe", SECRET)

    steps = run_client(folder, f"auth_{client}", server.url, serializer, realm, method, "joe", secret)

    assert steps["joined"] == {"authid": "joe", "authrole": "clerk", "authmethod": method}
    assert steps["whoami"] == {"authid": "joe", "role": "clerk", "identity": {"name": "joe"}}


@each_client
def test_token_of_one_user_does_not_open_a_session_of_another(
    request: pytest.FixtureRequest, server: ServerProcess, client: str, serializer: str
) -> None:
    folder: Path = request.getfixturevalue("installed")

    steps = run_client(folder, f"auth_{client}", server.url, serializer, "token", "ticket", "alice", SECRET)

    assert steps["joined"]["authid"] not in ("alice", "joe", "", None)
    assert steps["whoami"] == {
        "authid": steps["joined"]["authid"],
        "role": "clerk",
        "identity": {"name": "joe"},
    }


@each_client
@each_realm
@pytest.mark.parametrize(("authid", "password"), [("joe", "wrong"), ("nobody", SECRET)])
def test_wrong_secret_and_unknown_user_are_refused(
    request: pytest.FixtureRequest,
    server: ServerProcess,
    client: str,
    serializer: str,
    realm: str,
    method: str,
    authid: str,
    password: str,
) -> None:
    folder: Path = request.getfixturevalue("installed")
    secret = secret_for(method, authid, password)

    steps = run_client(folder, f"auth_{client}", server.url, serializer, realm, method, authid, secret)

    assert steps == {"closed": "wamp.error.authentication_failed"}
