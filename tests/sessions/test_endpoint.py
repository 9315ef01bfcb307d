"""The innermost app of a realm: WELCOME, and handlers that begin before it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.middleware import Middleware

from tests.wamp_client import connect
from wampasgi import Application, Realm, Session
from wampasgi.types import ASGIApp, Receive, Scope, Send

pytestmark = pytest.mark.anyio


def fail(text: str) -> None:
    raise ValueError(text)


@pytest.mark.parametrize("accepted", [True, False])
async def test_early_handlers_begin_before_authentication_and_always_end(accepted: bool) -> None:
    realm = Realm("r")
    app = Application([realm])
    seen: list[str] = []

    async def early(session: Session) -> AsyncIterator[None]:
        seen.append(f"begin authenticated={session.authenticated}")
        yield
        seen.append("end")

    async def late() -> AsyncIterator[None]:
        seen.append("late")
        yield

    async def authenticate(session: Session) -> None:
        if accepted:
            await session.mark_authenticated("somebody")
        else:
            await session.abort("wamp.error.authentication_failed", message="no")

    realm.add_session_lifespan_handler(early, authenticated_only=False)
    realm.add_session_lifespan_handler(late)
    realm.set_authentication_handler(authenticate)

    async with connect(app) as websocket:
        answer = await websocket.ask(1, "r", {"roles": {"caller": {}}})

    assert answer[0] == (2 if accepted else 3)
    assert seen == ["begin authenticated=False", *(["late"] if accepted else []), "end"]


async def test_early_handler_that_fails_aborts_the_session(caplog: pytest.LogCaptureFixture) -> None:
    app = Application()

    async def failing() -> AsyncIterator[None]:
        fail("early")
        yield

    app.add_session_lifespan_handler(failing, authenticated_only=False)

    async with connect(app) as websocket:
        answer = await websocket.ask(1, "r", {"roles": {"caller": {}}})

    assert (answer[0], answer[2]) == (3, "wamp.error.runtime_error")
    assert "early" in caplog.text


async def test_protocol_violation_before_welcome_passes_through_early_handlers() -> None:
    app = Application()
    ended = []

    async def early() -> AsyncIterator[None]:
        yield
        ended.append(True)

    async def ticket(session: Session, ticket: str) -> str:
        return ticket

    app.add_session_lifespan_handler(early, authenticated_only=False)
    app.set_ticket_authenticator(ticket)

    async with connect(app) as websocket:
        challenge = await websocket.ask(1, "r", {"roles": {"caller": {}}, "authmethods": ["ticket"]})
        answer = await websocket.ask(48, 1, {}, "procedure")

    assert challenge[:2] == [4, "ticket"]
    assert (answer[0], answer[2]) == (3, "wamp.error.protocol_violation")
    assert ended == [True]


@pytest.mark.parametrize("authextra", [{"authextra": {"tier": 2}}, {}])
async def test_welcome_has_the_details_that_have_a_value(authextra: dict[str, Any]) -> None:
    realm = Realm("r")

    async def authenticate(session: Session) -> None:
        await session.mark_authenticated(authid="ada", authrole="member", **authextra)

    realm.set_authentication_handler(authenticate)

    async with connect(Application([realm])) as websocket:
        _, session_id, details = await websocket.join("r")
        assert list(realm.sessions) == [session_id]

    assert details.pop("roles").keys() == {"broker", "dealer"}
    assert details == {
        "realm": "r",
        "agent": "wampasgi",
        "authid": "ada",
        "authrole": "member",
        "authmethod": "custom",
        "authprovider": "dynamic",
        **authextra,
    }
    assert not realm.sessions


async def test_default_realm_welcomes_clients_to_the_realm_that_they_asked_for() -> None:
    async with connect(Application()) as websocket:
        assert (await websocket.join("com.example.any"))[2]["realm"] == "com.example.any"


@pytest.mark.logs_failure
async def test_exception_passes_through_early_handlers_without_an_exception_group(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended = []

    class Failing:
        def __init__(self, app: ASGIApp) -> None:
            pass

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            raise ZeroDivisionError("in middleware")

    async def early() -> AsyncIterator[None]:
        yield
        ended.append(True)

    realm = Realm("r", middleware=[Middleware(Failing)])
    realm.add_session_lifespan_handler(early, authenticated_only=False)

    async with connect(Application([realm])) as websocket:
        answer = await websocket.ask(1, "r", {"roles": {"caller": {}}})

    assert (answer[0], answer[2]) == (3, "wamp.error.runtime_error")
    assert ended == [True]
    assert "ZeroDivisionError: in middleware" in caplog.text
    assert "ExceptionGroup" not in caplog.text
