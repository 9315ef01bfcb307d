"""The application's authentication handlers: their arguments, identities and errors."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.middleware import Middleware

from tests.auth.peers import METHODS, SECRET, Method, authenticate, wire
from tests.specification import ABORT, AUTHENTICATION_FAILED, AUTHORIZATION_DENIED
from wampasgi import Application, ConfigurationError, Identity, Realm, Session, WAMPError
from wampasgi.auth import TransportAuthenticationMiddleware
from wampasgi.auth.handlers import AuthenticationHandler, IdentityHandler, authid_of
from wampasgi.auth.results import WrongResult
from wampasgi.injection.dependencies import Depends

pytestmark = pytest.mark.anyio

each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


async def test_authenticator_may_deny_access() -> None:
    realm = Realm("office")

    async def barred(session: Session) -> None:
        raise WAMPError("wamp.error.authorization_denied", "pay your bills")

    realm.add_transport_authenticator(barred)
    async with wire(Application([realm])) as client:
        answer = await client.hello()

    assert answer == [ABORT, {"message": "pay your bills"}, AUTHORIZATION_DENIED]


async def test_other_wamp_error_is_not_sent_to_the_client() -> None:
    realm = Realm("office")

    async def leaking(session: Session) -> None:
        raise WAMPError("com.example.internal", SECRET)

    realm.add_transport_authenticator(leaking)
    async with wire(Application([realm])) as client:
        answer = await client.hello()

    assert answer == [ABORT, {"message": "authentication failed"}, AUTHENTICATION_FAILED]


@each_method
async def test_error_of_a_handler_is_logged_without_secrets_and_not_sent_to_the_client(
    method: Method, caplog: pytest.LogCaptureFixture
) -> None:
    async with wire(method.app()) as connection:
        answer = await authenticate(connection, method.client("broken"))

    assert answer == [ABORT, {"message": "authentication failed"}, AUTHENTICATION_FAILED]
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert f"{method.name} authentication failed" in record.getMessage()
    assert "RuntimeError: the database" in record.getMessage()
    if method.name == "ticket":  # the client has sent the secret
        assert SECRET not in caplog.text
        assert "[hidden]" in caplog.text


@each_method
async def test_client_without_an_identity_is_denied(method: Method) -> None:
    async with wire(method.app()) as client:
        answer = await authenticate(client, method.client("denied"))

    assert (answer[0], answer[2]) == (ABORT, AUTHORIZATION_DENIED)


async def by_yielding(session: Session) -> AsyncIterator[str]:
    yield "somebody"


async def wants_database(database: object) -> str:
    return "somebody"


@pytest.mark.parametrize(
    ("authenticator", "problem"),
    [
        (by_yielding, "by_yielding .* must return its result"),
        (wants_database, "wants_database .*'database'"),
        ("somebody", "not callable"),
    ],
)
def test_unusable_authenticator_is_an_error_at_startup(authenticator: Any, problem: str) -> None:
    def check(configure: Callable[[Realm, Any], None]) -> None:
        realm = Realm("office")
        configure(realm, authenticator)
        Application([realm]).check()

    for configure in (
        Realm.add_transport_authenticator,
        Realm.set_ticket_authenticator,
        Realm.set_authentication_handler,
    ):
        with pytest.raises(ConfigurationError, match=problem):
            check(configure)
    middleware = Middleware(TransportAuthenticationMiddleware, authenticators=[authenticator])
    with pytest.raises(ConfigurationError, match=problem):
        Application([Realm("office", middleware=[middleware])]).check()


async def test_authenticators_get_default_args_and_dependencies() -> None:
    realm = Realm("office")
    realm.set_default_arg("users", {"bob": "Bob"})

    async def header(session: Session) -> str:
        return session.connection.headers["x-user"]

    async def by_users(users: dict[str, str], name: str = Depends(header)) -> Identity:
        return Identity(authid=users[name])

    realm.add_transport_authenticator(by_users)
    async with wire(Application([realm]), headers=[(b"x-user", b"bob")]) as client:
        assert (await client.hello())[2]["authid"] == "Bob"


# The classes on their own


def new_session() -> Session:
    realm = Realm("office")
    Application([realm])
    details = {"authid": "joe"}
    return Session(session_id=1, realm=realm, realm_uri="office", details=details, connection=None, peer=None)


async def test_handler_gets_the_arguments_that_it_has_parameters_for() -> None:
    def sign(realm: Realm, app: Application, session: Session, nonce: str) -> list[object]:
        return [realm, app, session, nonce]

    handler, session = AuthenticationHandler(sign, "nonce", "unused", expected="a list"), new_session()

    assert await handler.call(session, nonce="n", unused=0) == [
        session.realm,
        session.realm.app,
        session,
        "n",
    ]
    assert handler.name.endswith("sign")
    assert "test_handlers.py:" in handler.description


async def test_handler_that_finds_no_identity_raises_only_if_one_is_required() -> None:
    handler = IdentityHandler(lambda session: None)

    assert await handler.find(new_session()) is None
    with pytest.raises(WAMPError, match=r"authorization_denied.*'joe' may not join realm 'office'"):
        await handler.require(new_session())


async def test_result_that_is_no_identity_raises_for_both() -> None:
    handler = IdentityHandler(lambda session: True)

    for find in handler.find, handler.require:
        with pytest.raises(WrongResult, match="returned True: it must return an object that represents"):
            await find(new_session())


@pytest.mark.parametrize(
    ("identity", "proven", "authid"),
    [
        (Identity(authid="bob"), "alice", "bob"),
        (Identity(authid=""), "alice", "alice"),
        (Identity(), "alice", "alice"),
        ("bob", "alice", "alice"),
        ("bob", None, None),
    ],
)
def test_authid_of_the_identity_replaces_the_proven_one(
    identity: object, proven: str | None, authid: str | None
) -> None:
    assert authid_of(identity, proven) == authid
