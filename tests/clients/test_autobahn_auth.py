"""Every authentication method that Autobahn for Python supports, with its own authenticators."""

# Autobahn's signatures have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from autobahn.asyncio.wamp import ApplicationRunner, Session
from autobahn.wamp.auth import create_authenticator
from autobahn.wamp.interfaces import ISerializer
from autobahn.wamp.serializer import JsonSerializer, MsgPackSerializer
from autobahn.wamp.types import CloseDetails, ComponentConfig, SessionDetails

from tests.auth.peers import SECRET, public_key, signing_key
from tests.clients.conftest import AUTH_APP
from tests.clients.server_process import ServerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

TIMEOUT = 5.0


class Client(Session):
    """An Autobahn session that authenticates by one method."""

    def __init__(self, realm: str, method: str, **attributes: Any) -> None:
        super().__init__(ComponentConfig(realm))
        loop = asyncio.get_running_loop()
        self.add_authenticator(create_authenticator(method, **attributes))
        self.answered = asyncio.Event()
        self.joined: asyncio.Future[SessionDetails] = loop.create_future()
        self.left: asyncio.Future[CloseDetails] = loop.create_future()
        self.disconnected: asyncio.Future[None] = loop.create_future()

    def on_join(self, details: SessionDetails) -> None:
        self.joined.set_result(details)
        self.answered.set()

    def on_leave(self, details: CloseDetails) -> None:
        self.left.set_result(details)
        self.answered.set()
        super().on_leave(details)

    def on_disconnect(self) -> None:
        self.disconnected.set_result(None)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The backend for Autobahn, which supports only asyncio and Twisted."""
    return "asyncio"


@pytest.fixture(scope="module")
def app() -> str:
    """The application of `server`."""
    return AUTH_APP


@pytest.fixture(params=[JsonSerializer, MsgPackSerializer], ids=["json", "msgpack"])
def serializer(request: pytest.FixtureRequest) -> Callable[[], ISerializer]:
    chosen: Callable[[], ISerializer] = request.param
    return chosen


@asynccontextmanager
async def connected(client: Client, url: str, serializer: Callable[[], ISerializer]) -> AsyncIterator[Client]:
    runner = ApplicationRunner(url, client.config.realm, serializers=[serializer()])
    transport, _ = await runner.run(lambda config: client, start_loop=False)
    try:
        async with asyncio.timeout(TIMEOUT):
            await client.answered.wait()
        yield client
    finally:
        if not client.disconnected.done():
            client.disconnect()
        async with asyncio.timeout(TIMEOUT):
            await client.disconnected
        transport.close()


def ticket(authid: str, secret: str) -> Client:
    return Client("ticket", "ticket", authid=authid, ticket=secret)


def wampcra(authid: str, secret: str) -> Client:
    return Client("wampcra", "wampcra", authid=authid, secret=secret)


def salted(authid: str, secret: str) -> Client:
    return Client("salted", "wampcra", authid=authid, secret=secret)


def cryptosign(authid: str, secret: str) -> Client:
    # The announced key belongs to the secret, so a wrong secret announces a key that is not the user's.
    extra = {"pubkey": public_key(authid, secret)}
    private_key = bytes(signing_key(authid, secret)).hex()
    return Client("cryptosign", "cryptosign", authid=authid, authextra=extra, privkey=private_key)


def scram(authid: str, secret: str) -> Client:
    """Return a client for Autobahn's SCRAM dialect, which verifies the server's signature before it joins."""
    return Client("scram", "scram", authid=authid, password=secret)


each_method = pytest.mark.parametrize("method", [ticket, wampcra, salted, cryptosign, scram])


@each_method
async def test_right_secret_opens_the_realm(
    method: Callable[[str, str], Client], server: ServerProcess, serializer: Callable[[], ISerializer]
) -> None:
    async with connected(method("joe", SECRET), server.url, serializer) as client:
        details = client.joined.result()
        whoami = await client.call("whoami")

    (authmethod,) = client._authenticators  # noqa: SLF001 - the offered methods
    assert (details.authid, details.authrole, details.authmethod) == ("joe", "clerk", authmethod)
    assert details.authextra is not None
    assert details.authextra["greeting"] == "hello"
    assert whoami == {"authid": "joe", "role": "clerk", "identity": {"name": "joe"}}


@each_method
@pytest.mark.parametrize(("authid", "secret"), [("joe", "wrong"), ("nobody", SECRET)])
async def test_wrong_secret_and_unknown_user_are_refused(
    method: Callable[[str, str], Client],
    authid: str,
    secret: str,
    server: ServerProcess,
    serializer: Callable[[], ISerializer],
) -> None:
    async with connected(method(authid, secret), server.url, serializer) as client:
        details = client.left.result()

    assert (details.reason, details.message) == (
        "wamp.error.authentication_failed",
        "authentication failed",
    )
    assert not client.joined.done()


@each_method
async def test_denied_client_gets_the_reason(
    method: Callable[[str, str], Client], server: ServerProcess, serializer: Callable[[], ISerializer]
) -> None:
    async with connected(method("denied", SECRET), server.url, serializer) as client:
        assert client.left.result().reason == "wamp.error.authorization_denied"


async def test_token_of_one_user_does_not_open_a_session_of_another(
    server: ServerProcess, serializer: Callable[[], ISerializer]
) -> None:
    client = Client("token", "ticket", authid="alice", ticket=SECRET)
    async with connected(client, server.url, serializer):
        details = client.joined.result()
        whoami = await client.call("whoami")

    assert details.authrole == "clerk"
    assert details.authid not in ("alice", "joe", "", None)
    assert whoami == {"authid": details.authid, "role": "clerk", "identity": {"name": "joe"}}


async def test_method_that_the_realm_does_not_offer_is_refused(
    server: ServerProcess, serializer: Callable[[], ISerializer]
) -> None:
    client = Client("wampcra", "ticket", authid="joe", ticket=SECRET)
    async with connected(client, server.url, serializer):
        assert client.left.result().reason == "wamp.error.no_matching_auth_method"


async def test_server_does_not_log_secrets(server: ServerProcess) -> None:
    assert SECRET not in server.log
    assert "Traceback" not in server.log
