from __future__ import annotations

import logging
from typing import Any

import pytest
from starlette.middleware import Middleware

from tests.auth.peers import use_ticket, wire
from tests.specification import ABORT, AUTHENTICATION_FAILED, AUTHORIZATION_DENIED, WELCOME
from wampasgi import Application, ConfigurationError, Identity, Realm, Session, WAMPError
from wampasgi.auth import CustomAuthenticationMiddleware

pytestmark = pytest.mark.anyio


async def decide(session: Session) -> None:
    match session.authid:
        case "joe":
            await session.mark_authenticated(
                {"name": "Joe"},
                authid="Joe",
                authrole="clerk",
                authmethod="handshake",
                authprovider="us",
                authextra={"since": 1990},
            )
        case "bare":
            await session.mark_authenticated("bare")
        case "identity":
            await session.mark_authenticated(Identity("user", authid="id", authrole="role"), authrole="other")
        case "twice":
            await session.mark_authenticated("first", authid="one")
            await session.mark_authenticated("second", authrole="two")
        case "refused":
            await session.abort("wamp.error.authentication_failed", message="wrong colour")
        case "undecided":
            pass
        case "changed mind":
            await session.mark_authenticated("first")
            await session.abort("com.example.no")
        case "failing":
            await session.mark_authenticated("first")
            raise RuntimeError("and then it broke")
        case "denied":
            raise WAMPError("wamp.error.authorization_denied", "closed")
        case unknown:
            raise AssertionError(unknown)


def club(**options: Any) -> Application:
    realm = Realm("office", **options)
    if not options:
        realm.set_authentication_handler(decide)

    @realm.procedure("whoami")
    async def whoami(session: Session) -> tuple[Any, ...]:
        return (session.identity,)

    return Application([realm])


@pytest.mark.parametrize(
    "options", [{}, {"middleware": [Middleware(CustomAuthenticationMiddleware, handler=decide)]}]
)
@pytest.mark.parametrize(
    ("authid", "expected", "identity"),
    [
        (
            "joe",
            {
                "authid": "Joe",
                "authrole": "clerk",
                "authmethod": "handshake",
                "authprovider": "us",
                "authextra": {"since": 1990},
            },
            {"name": "Joe"},
        ),
        ("bare", {"authrole": "authenticated", "authmethod": "custom", "authprovider": "dynamic"}, "bare"),
        ("identity", {"authid": "id", "authrole": "other"}, "user"),
        ("twice", {"authid": "one", "authrole": "two"}, "second"),
    ],
)
async def test_handler_accepts_a_session(
    options: dict[str, Any], authid: str, expected: dict[str, Any], identity: object
) -> None:
    async with wire(club(**options)) as client:
        welcome = await client.hello(authid=authid)
        answer = await client.ask(48, 1, {}, "whoami")

    assert welcome[0] == WELCOME
    assert {name: welcome[2][name] for name in expected} == expected
    # The authid in HELLO is not proven.
    assert welcome[2]["authid"] not in ("", None, authid)
    assert answer[3] == [identity]


@pytest.mark.parametrize(
    ("authid", "message", "reason"),
    [
        ("refused", {"message": "wrong colour"}, AUTHENTICATION_FAILED),
        ("undecided", {"message": "authentication failed"}, AUTHENTICATION_FAILED),
        ("changed mind", {}, "com.example.no"),
        ("failing", {"message": "authentication failed"}, AUTHENTICATION_FAILED),
        ("denied", {"message": "closed"}, AUTHORIZATION_DENIED),
    ],
)
async def test_session_that_the_handler_does_not_accept_is_aborted(
    authid: str, message: dict[str, Any], reason: str
) -> None:
    app = club()
    async with wire(app) as client:
        assert await client.hello(authid=authid) == [ABORT, message, reason]
        await client.closed()


async def test_error_of_the_handler_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with wire(club()) as client:
        await client.hello(authid="failing")

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "decide failed for <Session" in record.getMessage()
    assert "RuntimeError: and then it broke" in record.getMessage()


def test_handler_combined_with_other_methods_is_an_error_at_startup() -> None:
    by_ticket = Realm("office")
    use_ticket(by_ticket)
    by_transport = Realm("office")
    by_transport.add_transport_authenticator(lambda session: None)
    for realm in by_ticket, by_transport, Realm("office", allow_anonymous=True):
        realm.set_authentication_handler(decide)
        with pytest.raises(ConfigurationError, match=r"decide .* replaces all other authentication"):
            Application([realm]).check()
