"""Log every message of a realm's sessions, in both directions, with ASGI middleware."""

from __future__ import annotations

import logging

from starlette.middleware import Middleware

from wampasgi import Application, Realm
from wampasgi.types import ASGIApp, ASGIEvent, Receive, Scope, Send

AUTHENTICATE = 5


class MessageLog:
    def __init__(self, app: ASGIApp, logger: str = "messages") -> None:
        self.app = app
        self.logger = logging.getLogger(logger)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session_id = scope["wamp.session"].id

        def log(arrow: str, event: ASGIEvent) -> ASGIEvent:
            message = event.get("message", event["type"])
            if isinstance(message, list) and message[:1] == [AUTHENTICATE]:
                message = "AUTHENTICATE, which holds a secret"
            self.logger.info("%s %s %s", session_id, arrow, message)
            return event

        async def logged_receive() -> ASGIEvent:
            return log("<-", await receive())

        async def logged_send(event: ASGIEvent) -> None:
            await send(log("->", event))

        await self.app(scope, logged_receive, logged_send)


logged = Realm("logged", middleware=[Middleware(MessageLog, logger="messages.logged")])
app = Application([logged])


@logged.procedure("greet")
async def greet(name: str) -> str:
    return f"Hello, {name}"
