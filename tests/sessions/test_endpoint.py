"""The innermost app of a realm: WELCOME, and handlers that begin before it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.wamp_client import connect
from wampasgi import Application, Realm, Session

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
