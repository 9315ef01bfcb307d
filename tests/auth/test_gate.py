from __future__ import annotations

import pytest
from starlette.middleware import Middleware

from tests.auth.peers import wire
from tests.specification import ABORT, WELCOME
from wampasgi import Application, Realm, Session
from wampasgi.types import ASGIApp, Receive, Scope, Send

pytestmark = pytest.mark.anyio


class Doorkeeper:
    """Middleware that aborts sessions with the authid burglar, and calls the inner app nevertheless."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session: Session = scope["wamp.session"]
        if session.authid == "burglar":
            await session.abort("com.example.burglar")
        await self._app(scope, receive, send)


async def test_aborted_session_does_not_pass_the_gate() -> None:
    app = Application([Realm("office", middleware=[Middleware(Doorkeeper)])])
    async with wire(app) as client:
        assert await client.hello(authid="burglar") == [ABORT, {}, "com.example.burglar"]
        await client.closed()
    async with wire(app) as client:
        assert (await client.hello(authid="guest"))[0] == WELCOME
