"""autobahn-js and wampy join realms by ticket, WAMP-CRA and cryptosign."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.auth.peers import SECRET, signing_key
from tests.clients.conftest import AUTH_APP
from tests.clients.server_process import ServerProcess
from tests.clients.test_node_clients import CLIENTS, Steps, installed, run_client

__all__ = ["installed"]

# The first run installs the clients.
pytestmark = pytest.mark.timeout(240)

#: The realms, and the method of each.
REALMS = {"ticket": "ticket", "wampcra": "wampcra", "salted": "wampcra", "cryptosign": "cryptosign"}
WRONG = [("joe", "wrong"), ("nobody", SECRET)]


class Login(NamedTuple):
    """An attempt to join a realm."""

    realm: str
    method: str
    authid: str
    password: str

    @property
    def secret(self) -> str:
        """The password, or the seed of the private key in hex."""
        if self.method == "cryptosign":
            return bytes(signing_key(self.authid, self.password)).hex()
        return self.password


WITH_TOKEN = Login("token", "ticket", "alice", SECRET)
LOGINS = [
    WITH_TOKEN,
    *(Login(*realm, *user) for realm in REALMS.items() for user in [("joe", SECRET), *WRONG]),
]


@pytest.fixture(scope="module")
def app() -> str:
    """The application of `server`."""
    return AUTH_APP


@pytest.fixture(scope="module", params=CLIENTS, ids="-".join)
def steps(installed: Path, server: ServerProcess, request: pytest.FixtureRequest) -> dict[Login, Steps]:
    """The reports of a client about its logins, which it makes one after the other."""
    client, serializer = request.param
    logins = [{**login._asdict(), "secret": login.secret} for login in LOGINS]
    reports = run_client(installed, f"auth_{client}", server.url, serializer, json.dumps(logins))
    return {login: reports[f"login {number}"] for number, login in enumerate(LOGINS)}


@pytest.mark.parametrize(("realm", "method"), REALMS.items())
def test_right_secret_opens_the_realm(steps: dict[Login, Steps], realm: str, method: str) -> None:
    reports = steps[Login(realm, method, "joe", SECRET)]

    assert reports["joined"] == {"authid": "joe", "authrole": "clerk", "authmethod": method}
    assert reports["whoami"] == {"authid": "joe", "role": "clerk", "identity": {"name": "joe"}}


def test_token_of_one_user_does_not_open_a_session_of_another(steps: dict[Login, Steps]) -> None:
    joined, whoami = steps[WITH_TOKEN]["joined"], steps[WITH_TOKEN]["whoami"]

    assert joined["authid"] not in ("alice", "joe", "", None)
    assert whoami == {"authid": joined["authid"], "role": "clerk", "identity": {"name": "joe"}}


@pytest.mark.parametrize(("realm", "method"), REALMS.items())
@pytest.mark.parametrize(("authid", "password"), WRONG)
def test_wrong_secret_and_unknown_user_are_refused(
    steps: dict[Login, Steps], realm: str, method: str, authid: str, password: str
) -> None:
    reports = steps[Login(realm, method, authid, password)]

    assert reports == {"closed": "wamp.error.authentication_failed"}
