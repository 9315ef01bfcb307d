"""Failed authentications: what is logged and counted, and how long further logins wait."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest
from starlette.middleware import Middleware

from tests.auth.peers import METHODS, PROOFS, Method, TicketClient, authenticate, wire
from tests.specification import (
    ABORT,
    AUTHENTICATE,
    AUTHENTICATION_FAILED,
    AUTHORIZATION_DENIED,
    CHALLENGE,
    NO_MATCHING_AUTH_METHOD,
    PROTOCOL_VIOLATION,
)
from wampasgi import Application, Identity, Limits, Realm, Session, WAMPError
from wampasgi.types import ASGIApp, Receive, Scope, Send

pytestmark = pytest.mark.anyio

each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
each_proof = pytest.mark.parametrize("method", PROOFS.values(), ids=PROOFS)

UNAVAILABLE = "wamp.error.unavailable"
FAILED = [ABORT, {"message": "authentication failed"}, AUTHENTICATION_FAILED]
#: The delay is at most half of the time for the handshake, so these tests take less than a second.
SHORT = {"handshake_timeout": 0.8, "authentication_failures": 2}
LONGEST = 0.4
FIRST = 0.25


def failures(app: Application, realm: str = "office") -> dict[str, int]:
    return app.metrics()[realm]["authentication_failures"]


def records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "wampasgi.auth.failures"]


async def fail(app: Application, count: int, client: TicketClient, /, **scope: Any) -> list[list[Any]]:
    """Try to log in several times, and return the answers."""
    answers = []
    for _ in range(count):
        async with wire(app, **scope) as connection:
            answers.append(await authenticate(connection, client))
    return answers


# The log and the metrics


@each_method
async def test_wrong_proof_is_logged_with_all_that_is_known_about_the_client(
    method: Method, caplog: pytest.LogCaptureFixture
) -> None:
    app = method.app()
    async with wire(app, client=("2001:DB8::1", 50000)) as connection:
        await authenticate(connection, method.client("joe", "wrong"))

    (record,) = records(caplog)
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"authentication failed from 2001:db8::1 on realm 'office': authid 'joe', method {method.name}, "
        "reason wrong_proof"
    )
    expected = {
        "wamp_client": "2001:db8::1",
        "wamp_realm": "office",
        "wamp_uri": None,
        "wamp_authid": "joe",
        "wamp_method": method.name,
        "wamp_reason": "wrong_proof",
    }
    assert {name: record.__dict__[name] for name in expected} == expected
    assert isinstance(record.__dict__["wamp_session"], int)
    assert failures(app) == {f"{method.name}:wrong_proof": 1}


@each_proof
async def test_unknown_authid_has_a_reason_of_its_own_in_the_log_only(
    method: Method, caplog: pytest.LogCaptureFixture
) -> None:
    app = method.app()
    async with wire(app) as connection:
        assert await authenticate(connection, method.client("nobody")) == FAILED

    assert [record.__dict__["wamp_reason"] for record in records(caplog)] == ["unknown_authid"]
    assert failures(app) == {f"{method.name}:unknown_authid": 1}


@each_method
async def test_client_that_the_application_denies_is_a_failure(
    method: Method, caplog: pytest.LogCaptureFixture
) -> None:
    app = method.app()
    async with wire(app) as connection:
        await authenticate(connection, method.client("denied"))

    assert [record.__dict__["wamp_reason"] for record in records(caplog)] == ["denied"]
    assert failures(app) == {f"{method.name}:denied": 1}


@each_method
@pytest.mark.parametrize("answer", [[AUTHENTICATE, 5, {}], [48, 1, {}, "whoami"], ["nonsense"]])
async def test_invalid_answer_to_challenge_is_a_failure(
    method: Method, answer: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    app = method.app()
    async with wire(app) as connection:
        await connection.hello(**method.client("joe").hello())
        assert (await connection.ask(*answer))[2] == PROTOCOL_VIOLATION
        await connection.closed()

    assert [record.__dict__["wamp_reason"] for record in records(caplog)] == ["invalid_answer"]
    assert failures(app) == {f"{method.name}:invalid_answer": 1}


@each_method
async def test_unanswered_challenge_is_a_failure(method: Method, caplog: pytest.LogCaptureFixture) -> None:
    app = method.app(handshake_timeout=0.5)
    async with wire(app) as connection:
        assert (await connection.hello(**method.client("joe").hello()))[0] == CHALLENGE
        assert (await connection.receive())[2] == "wamp.error.timeout"

    assert [record.__dict__["wamp_reason"] for record in records(caplog)] == ["timeout"]
    assert failures(app) == {f"{method.name}:timeout": 1}


async def test_authenticator_that_takes_too_long_is_no_failure_of_the_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    realm = Realm("office")

    async def check(ticket: str) -> str:
        await anyio.sleep_forever()
        return ticket

    realm.set_ticket_authenticator(check)
    app = Application([realm], limits=Limits(handshake_timeout=0.05))
    async with wire(app) as connection:
        assert (await authenticate(connection, TicketClient("joe")))[2] == "wamp.error.timeout"

    assert not records(caplog)
    assert failures(app) == {}


@each_method
async def test_error_of_the_application_is_no_failure_of_the_client(
    method: Method, caplog: pytest.LogCaptureFixture
) -> None:
    app = method.app(authentication_failures=1)
    for _ in range(3):
        async with wire(app) as connection:
            assert await authenticate(connection, method.client("broken")) == FAILED

    assert not records(caplog)
    assert failures(app) == {}
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert {record.__dict__["wamp_client"] for record in errors} == {"192.0.2.1"}


@each_method
async def test_client_that_gives_up_is_no_failure(method: Method, caplog: pytest.LogCaptureFixture) -> None:
    app = method.app()
    async with wire(app) as connection:
        await connection.hello(**method.client("joe").hello())
        await connection.send(ABORT, {}, "wamp.error.cannot_authenticate")
        await connection.closed()
    async with wire(app) as connection:
        await connection.hello(**method.client("joe").hello())

    assert not caplog.records
    assert failures(app) == {}


@each_method
async def test_client_without_a_method_of_the_realm_is_only_counted(
    method: Method, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wampasgi.auth")
    app = method.app()
    async with wire(app) as connection:
        assert (await connection.hello())[2] == NO_MATCHING_AUTH_METHOD

    (record,) = records(caplog)
    assert record.levelno == logging.INFO
    assert record.getMessage().endswith("authid None, method none, reason no_method")
    assert failures(app) == {"none:no_method": 1}


async def test_client_that_no_transport_authenticator_identifies_is_only_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    realm = Realm("office")
    realm.add_transport_authenticator(lambda session: None)
    app = Application([realm])
    async with wire(app) as connection:
        assert (await connection.hello())[2] == NO_MATCHING_AUTH_METHOD

    assert not caplog.records
    assert failures(app) == {"transport:no_method": 1}


async def test_transport_authenticator_that_denies_a_client_is_a_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    realm = Realm("office")

    async def deny(session: Session) -> None:
        raise WAMPError(AUTHORIZATION_DENIED)

    realm.add_transport_authenticator(deny)
    app = Application([realm])
    async with wire(app) as connection:
        await connection.hello()

    assert [record.__dict__["wamp_reason"] for record in records(caplog)] == ["denied"]
    assert failures(app) == {"transport:denied": 1}


async def decide(session: Session) -> None:
    match session.authid:
        case "joe":
            await session.mark_authenticated(Identity(authid="joe"))
        case "undecided":
            return
        case "maintenance":
            await session.abort("com.example.maintenance")
        case "denied":
            await session.abort(AUTHORIZATION_DENIED)
        case _:
            await session.abort(message="who are you?")


@pytest.mark.parametrize(
    ("authid", "reason"),
    [
        ("joe", None),
        ("undecided", "wrong_proof"),
        ("nobody", "wrong_proof"),
        ("denied", "denied"),
        ("maintenance", None),
    ],
)
async def test_custom_handler_that_refuses_a_client_is_a_failure(authid: str, reason: str | None) -> None:
    realm = Realm("office")
    realm.set_authentication_handler(decide)
    app = Application([realm])
    async with wire(app) as connection:
        await connection.hello(authid=authid)

    assert failures(app) == ({} if reason is None else {f"custom:{reason}": 1})


class Doorman:
    """ASGI middleware of an application that refuses all clients."""

    authenticates = True

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["wamp.session"].abort(AUTHENTICATION_FAILED, "closed")


async def test_middleware_of_the_application_that_refuses_a_client_is_a_failure() -> None:
    app = Application([Realm("office", middleware=[Middleware(Doorman)])])
    async with wire(app) as connection:
        await connection.hello()
        await connection.closed()

    assert failures(app) == {"none:denied": 1}


async def test_authid_is_shortened_and_escaped(caplog: pytest.LogCaptureFixture) -> None:
    authid = "x\nWARNING wampasgi.auth.failures authentication failed from 192.0.2.99 " * 100
    app = METHODS["ticket"].app()
    await fail(app, 1, TicketClient(authid, "wrong"))

    (record,) = records(caplog)
    assert "\n" not in record.getMessage()
    assert len(record.getMessage()) < 300
    assert record.getMessage().startswith(
        "authentication failed from 192.0.2.1 on realm 'office': authid 'x\\n"
    )
    assert "\n" not in record.__dict__["wamp_authid"]
    assert len(record.__dict__["wamp_authid"]) < 1000


async def test_flood_of_failures_does_not_hide_those_of_other_realms_and_addresses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    realms = [Realm("office"), Realm("other")]
    for realm in realms:
        realm.set_ticket_authenticator(lambda ticket: None)
    app = Application(realms, limits=Limits(authentication_failures=None))
    for number in range(300):
        await fail(app, 1, TicketClient(f"guess{number}"), client=("192.0.2.66", 1))
    await fail(app, 1, TicketClient("joe"), client=("192.0.2.7", 1))
    async with wire(app, client=("192.0.2.66", 1)) as connection:
        await connection.ask(1, "other", {"roles": {"caller": {}}, **TicketClient("joe").hello()})
        await connection.ask(AUTHENTICATE, "wrong", {})

    seen = {(record.__dict__["wamp_client"], record.__dict__["wamp_realm"]) for record in records(caplog)}
    assert seen == {("192.0.2.66", "office"), ("192.0.2.7", "office"), ("192.0.2.66", "other")}
    assert len(records(caplog)) == 22
    assert failures(app)["ticket:wrong_proof"] == 301
    assert failures(app, "other") == {"ticket:wrong_proof": 1}
