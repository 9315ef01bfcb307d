"""The application's authentication handlers: their arguments, identities and errors."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import fastapi
import pytest
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from tests.auth.peers import (
    METHODS,
    SECRET,
    CRAClient,
    CryptosignClient,
    Method,
    SCRAMClient,
    TicketClient,
    authenticate,
    find_keys,
    find_pbkdf2_credential,
    find_requirement,
    wire,
)
from tests.specification import ABORT, AUTHENTICATION_FAILED, AUTHORIZATION_DENIED, NOT_AUTHORIZED
from wampasgi import (
    Application,
    AuthenticationFailure,
    ConfigurationError,
    Identity,
    InvalidArgument,
    Realm,
    Session,
    WAMPError,
)
from wampasgi.auth import TransportAuthenticationMiddleware
from wampasgi.auth.handlers import AuthenticationHandler, IdentityHandler, authid_of
from wampasgi.auth.results import WrongResult
from wampasgi.injection.dependencies import Depends

pytestmark = pytest.mark.anyio

each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


async def refused_by(error: Exception) -> list[Any]:
    """Return the answer to HELLO if the transport authenticator raises an error."""
    app = Application()

    def refuse(session: Session) -> None:
        raise error

    app.add_transport_authenticator(refuse)
    async with wire(app) as client:
        answer: list[Any] = await client.hello()
    return answer


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (
            WAMPError("com.myapp.error.expired_cookie", "log in again"),
            [ABORT, {"message": "log in again"}, "com.myapp.error.expired_cookie"],
        ),
        (WAMPError("com.myapp.error.expired_cookie", 5), [ABORT, {}, "com.myapp.error.expired_cookie"]),
        (WAMPError(AUTHENTICATION_FAILED, "expired"), [ABORT, {"message": "expired"}, AUTHENTICATION_FAILED]),
        (WAMPError(NOT_AUTHORIZED), [ABORT, {}, NOT_AUTHORIZED]),
        (HTTPException(401, "expired"), [ABORT, {"message": "expired"}, AUTHENTICATION_FAILED]),
        (HTTPException(403), [ABORT, {"message": "Forbidden"}, AUTHORIZATION_DENIED]),
        (fastapi.HTTPException(402, {"due": 5}), [ABORT, {}, "http.error.402"]),
    ],
)
async def test_authenticator_may_refuse_with_a_reason_of_its_own(
    error: Exception, answer: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert await refused_by(error) == answer

    (record,) = caplog.records
    assert record.name == "wampasgi.auth.failures"
    assert "method transport, reason denied" in record.getMessage()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (HTTPException(401), "wrong_proof"),
        (HTTPException(403), "wrong_proof"),
        (WAMPError("com.myapp.error.wrong_ticket"), "wrong_proof"),
        (WAMPError(AUTHORIZATION_DENIED), "denied"),
    ],
)
async def test_refused_ticket_counts_as_a_guess_unless_it_is_denied(error: Exception, reason: str) -> None:
    realm = Realm("office")

    @realm.ticket_authenticator
    def check(ticket: str) -> None:
        raise error

    async with wire(Application([realm])) as client:
        assert (await authenticate(client, TicketClient("joe")))[0] == ABORT
    failures = realm.metrics()["authentication_failures"]

    assert failures == {f"ticket:{reason}": 1}
    assert callable(check)


async def test_server_error_of_shared_code_is_no_failure_of_the_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = await refused_by(HTTPException(503, "try again"))

    assert answer == [ABORT, {"message": "try again"}, "http.error.503"]
    assert caplog.records == []


@pytest.mark.parametrize("shared", [401, 403])
async def test_dependency_that_http_shares_may_refuse_the_client(shared: int) -> None:
    app = Application()

    def current_user(session: Session) -> str:
        raise HTTPException(shared, "expired")

    async def identify(user: str = Depends(current_user)) -> str:
        return user

    app.add_transport_authenticator(identify)
    async with wire(app) as client:
        answer = await client.hello()

    assert answer[:2] == [ABORT, {"message": "expired"}]


@pytest.mark.parametrize(
    ("use", "client", "reason"),
    [
        # A ticket that is refused may be a guess. The other methods have verified the proof before.
        (Realm.set_ticket_authenticator, TicketClient, "wrong_proof"),
        (lambda realm, f: realm.set_cra_handlers(find_requirement, f), CRAClient, "denied"),
        (lambda realm, f: realm.set_scram_handlers(find_pbkdf2_credential, f), SCRAMClient, "denied"),
        (lambda realm, f: realm.set_cryptosign_handlers(find_keys, f), CryptosignClient, "denied"),
        (Realm.set_authentication_handler, TicketClient, "wrong_proof"),
    ],
    ids=["ticket", "wampcra", "wamp-scram", "cryptosign", "custom"],
)
async def test_each_method_may_refuse_with_a_reason_of_its_own(
    use: Callable[[Realm, Any], None], client: Any, reason: str
) -> None:
    realm = Realm("office")
    failures: list[str] = []

    async def suspended(session: Session) -> None:
        raise WAMPError("com.myapp.error.suspended", "until May")

    @realm.on_authentication_failed
    async def note(failure: AuthenticationFailure) -> None:
        failures.append(failure.reason)

    use(realm, suspended)
    async with wire(Application([realm])) as connection:
        answer = await authenticate(connection, client("joe"))
        await connection.closed()

    assert answer == [ABORT, {"message": "until May"}, "com.myapp.error.suspended"]
    assert failures == [reason]


async def test_authenticator_may_deny_access() -> None:
    realm = Realm("office")

    async def barred(session: Session) -> None:
        raise WAMPError("wamp.error.authorization_denied", "pay your bills")

    realm.add_transport_authenticator(barred)
    async with wire(Application([realm])) as client:
        answer = await client.hello()

    assert answer == [ABORT, {"message": "pay your bills"}, AUTHORIZATION_DENIED]


@pytest.mark.parametrize(
    "error",
    [
        WAMPError("wamp.error.no_such_procedure", SECRET),
        InvalidArgument(SECRET),
        WAMPError("not a valid URI", SECRET),
    ],
)
async def test_error_of_something_that_the_authenticator_uses_is_not_sent_to_the_client(
    error: WAMPError, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await refused_by(error)

    assert answer == [ABORT, {"message": "authentication failed"}, AUTHENTICATION_FAILED]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


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
