"""Clients that have joined an app over WebSockets in memory, each by a name and a role of its choice."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.websocket import WebSocket, connect
from wampasgi import Application, Identity, Session, WAMPError

GOODBYE, ERROR, PUBLISH, SUBSCRIBE, SUBSCRIBED = 6, 8, 16, 32, 33
UNSUBSCRIBE, UNSUBSCRIBED, EVENT = 34, 35, 36
CALL, CANCEL, RESULT, REGISTER, REGISTERED = 48, 49, 50, 64, 65
UNREGISTER, UNREGISTERED = 66, 67

ISO_8601_UTC = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def open_app(**options: Any) -> Application:
    """An app whose clients may do everything, and are in HELLO who they say they are."""
    app = Application(**options)
    app.allow_all()
    app.add_transport_authenticator(who_it_says_it_is)
    return app


async def who_it_says_it_is(session: Session) -> Identity:
    extra = session.details.get("authextra", {})
    return Identity(authid=session.authid, authrole=extra.get("role"))


class Client:
    """One client that has joined."""

    def __init__(self, websocket: WebSocket, welcome: list[Any]) -> None:
        self.websocket = websocket
        self.id: int = welcome[1]
        self.details: dict[str, Any] = welcome[2]
        self._request_id = 0
        self.disconnect = websocket.disconnect
        self.receive = websocket.receive
        self.send = websocket.send

    async def ask(self, code: int, *rest: Any) -> list[Any]:
        """Send a request and return the answer."""
        self._request_id += 1
        return await self.websocket.ask(code, self._request_id, *rest)

    async def call(self, procedure: str, *args: Any, **kwargs: Any) -> Any:
        """The positional results of a call: nothing, the one there is, or an error as WAMPError."""
        answer = await self.ask(CALL, {}, procedure, list(args), kwargs)
        if answer[0] == ERROR:
            raise WAMPError(answer[4], *answer[5:6])
        assert answer[:3] == [RESULT, self._request_id, {}], answer
        results = answer[3] if len(answer) > 3 else []
        assert len(answer) <= 4
        assert len(results) <= 1
        return results[0] if results else None

    async def subscribe(self, topic: str, **options: Any) -> int:
        answer = await self.ask(SUBSCRIBE, options, topic)
        assert answer[0] == SUBSCRIBED, answer
        subscription_id: int = answer[2]
        return subscription_id

    async def register(self, procedure: str, **options: Any) -> int:
        answer = await self.ask(REGISTER, options, procedure)
        assert answer[0] == REGISTERED, answer
        registration_id: int = answer[2]
        return registration_id

    async def event(self) -> list[Any]:
        """The positional arguments of the next event, and nothing else may come before."""
        message = await self.receive()
        assert message[0] == EVENT, message
        payload: list[Any] = message[4]
        return payload


@asynccontextmanager
async def clients(
    app: Application, *names: str, realm: str = "default", buffer_size: float = math.inf
) -> AsyncIterator[list[Client]]:
    """Clients that have joined, by their names ``authid/authrole``; the role is else ``user``."""
    async with AsyncExitStack() as stack:
        joined = []
        for name in names:
            authid, _, role = name.partition("/")
            websocket = await stack.enter_async_context(connect(app, buffer_size=buffer_size))
            welcome = await websocket.join(realm, authid=authid, authextra={"role": role or "user"})
            joined.append(Client(websocket, welcome))
        yield joined


async def error_of(client: Client, procedure: str, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(WAMPError) as raised:
        await client.call(procedure, *args, **kwargs)
    return raised.value.uri
