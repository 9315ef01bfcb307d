from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from tests.auth.peers import use_ticket, wire
from tests.specification import ABORT, AUTHENTICATION_FAILED, CHALLENGE, WELCOME
from wampasgi import Application, Identity, Limits, Realm, Session

pytestmark = pytest.mark.anyio

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"


async def by_cookie(session: Session) -> Identity | None:
    name = session.connection.cookies.get("user")
    return Identity(user=name, authid=name, authrole="customer") if name else None


async def by_header(session: Session) -> str | None:
    return session.connection.headers.get("x-user")


def by_address(session: Session) -> Identity | None:
    """A sync authenticator that uses the names of serverwamp."""
    address = session.connection.transport_info["peer_address"]
    return Identity(authid="local", authrole="operator") if address == "127.0.0.1" else None


async def by_certificate(session: Session) -> str | None:
    certificate = session.connection.transport_info["peer_certificate"]
    return "a device" if certificate == CERTIFICATE else None


def shop() -> tuple[Application, Realm]:
    realm = Realm("office")
    for authenticator in by_cookie, by_header, by_address, by_certificate:
        realm.add_transport_authenticator(authenticator)

    @realm.procedure("whoami")
    async def whoami(session: Session) -> object:
        return session.identity

    return Application([realm]), realm


@pytest.mark.parametrize(
    ("scope", "authid", "role", "identity"),
    [
        ({"headers": [(b"cookie", b"user=ann"), (b"x-user", b"bob")]}, "ann", "customer", "ann"),
        ({"headers": [(b"x-user", b"bob")]}, None, "authenticated", "bob"),
        ({"client": ("127.0.0.1", 5000)}, "local", "operator", None),
        ({"extensions": {"tls": {"client_cert_chain": [CERTIFICATE]}}}, None, "authenticated", "a device"),
    ],
    ids=["cookie first", "header", "address", "certificate"],
)
async def test_first_identity_wins(
    scope: dict[str, Any], authid: str | None, role: str, identity: str | None
) -> None:
    app, _ = shop()
    async with wire(app, **scope) as client:
        welcome = await client.hello(authid="root", authmethods=["ticket"])
        answer = await client.ask(48, 1, {}, "whoami")

    assert welcome[0] == WELCOME
    assert welcome[2]["authmethod"] == "transport"
    assert welcome[2]["authrole"] == role
    assert answer[3:] == ([[identity]] if identity else [])
    if authid is not None:
        assert welcome[2]["authid"] == authid
    # The authid in HELLO is not proven.
    assert welcome[2]["authid"] != "root"


async def test_challenge_methods_are_used_if_no_transport_authenticator_succeeds() -> None:
    app, realm = shop()
    use_ticket(realm)
    async with wire(app) as client:
        assert (await client.hello(authid="joe", authmethods=["ticket"]))[0] == CHALLENGE
    async with wire(app, headers=[(b"x-user", b"bob")]) as client:
        assert (await client.hello(authid="joe", authmethods=["ticket"]))[0] == WELCOME


async def test_error_of_an_authenticator_is_logged_and_later_ones_are_not_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    realm = Realm("office")

    @realm.add_transport_authenticator
    async def failing(session: Session) -> None:
        raise LookupError("the table of cookies is gone")

    realm.add_transport_authenticator(by_header)
    async with wire(Application([realm]), headers=[(b"x-user", b"bob")]) as client:
        answer = await client.hello()

    assert answer == [ABORT, {"message": "authentication failed"}, AUTHENTICATION_FAILED]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "failing failed for <Session" in record.getMessage()
    assert "LookupError: the table of cookies is gone" in record.getMessage()


@pytest.mark.parametrize("returned", [None, "somebody"])
async def test_authenticator_may_abort_the_session(returned: str | None) -> None:
    realm = Realm("office")

    async def abort(session: Session) -> str | None:
        await session.abort("com.example.closed_today", "come back tomorrow")
        return returned

    realm.add_transport_authenticator(abort)
    realm.add_transport_authenticator(by_header)
    async with wire(Application([realm]), headers=[(b"x-user", b"bob")]) as client:
        answer = await client.hello()
        await client.closed()

    assert answer == [ABORT, {"message": "come back tomorrow"}, "com.example.closed_today"]


async def test_authenticator_that_hangs_is_cancelled_by_the_handshake_timeout() -> None:
    realm = Realm("office")

    async def hang(session: Session) -> None:
        await anyio.sleep_forever()

    realm.add_transport_authenticator(hang)
    async with wire(Application([realm], limits=Limits(handshake_timeout=0.05))) as client:
        answer = await client.hello()
        await client.closed()

    assert (answer[0], answer[2]) == (ABORT, "wamp.error.timeout")
