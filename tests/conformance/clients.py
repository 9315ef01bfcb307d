"""Clients for black-box tests written from the specification's text: raw message lists over a WebSocket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.websocket import WebSocket, connect
from wampasgi import Application

HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, GOODBYE, ERROR = 1, 2, 3, 4, 5, 6, 8
PUBLISH, PUBLISHED = 16, 17
SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, UNSUBSCRIBED, EVENT = 32, 33, 34, 35, 36
CALL, CANCEL, RESULT = 48, 49, 50
REGISTER, REGISTERED, UNREGISTER, UNREGISTERED, INVOCATION, INTERRUPT, YIELD = 64, 65, 66, 67, 68, 69, 70

MAX_ID = 2**53

PROTOCOL_VIOLATION = "wamp.error.protocol_violation"
INVALID_URI = "wamp.error.invalid_uri"
NO_SUCH_PROCEDURE = "wamp.error.no_such_procedure"
CANCELED = "wamp.error.canceled"

BASIC_ROLES: dict[str, Any] = {"publisher": {}, "subscriber": {}, "caller": {}, "callee": {}}

TOPIC = "com.myapp.mytopic1"
PROCEDURE = "com.myapp.myprocedure1"

# An ID that no test uses for anything else.
_SYNC_ID = 4_711_000_000

#: For wide tables, which would say the same on trio.
asyncio_only = pytest.mark.parametrize("anyio_backend", ["asyncio"])


def roles(*features: str) -> dict[str, Any]:
    """All four roles, each with these features."""
    return {role: {"features": dict.fromkeys(features, True)} for role in BASIC_ROLES}


def open_router(**options: Any) -> Application:
    """A plain router, where everybody may do everything."""
    app = Application(**options)
    app.allow_all()
    return app


@asynccontextmanager
async def joined(app: Application, *clients: dict[str, Any]) -> AsyncIterator[list[WebSocket]]:
    """Clients that have joined, each with these HELLO.Details.roles."""
    async with AsyncExitStack() as stack:
        sockets = []
        for client_roles in clients:
            socket = await stack.enter_async_context(connect(app))
            await socket.join(roles=client_roles)
            sockets.append(socket)
        yield sockets


@asynccontextmanager
async def basic_clients(count: int = 2, app: Application | None = None) -> AsyncIterator[list[WebSocket]]:
    """Clients of the Basic Profile on an open router."""
    async with joined(app or open_router(), *[BASIC_ROLES] * count) as sockets:
        yield sockets


async def subscribe(client: WebSocket, topic: str = TOPIC, request_id: int = 100, **options: Any) -> int:
    answer = await client.ask(SUBSCRIBE, request_id, options, topic)
    assert answer[:2] == [SUBSCRIBED, request_id], answer
    assert len(answer) == 3
    subscription_id: int = answer[2]
    return subscription_id


async def register(
    client: WebSocket, procedure: str = PROCEDURE, request_id: int = 100, **options: Any
) -> int:
    answer = await client.ask(REGISTER, request_id, options, procedure)
    assert answer[:2] == [REGISTERED, request_id], answer
    assert len(answer) == 3
    registration_id: int = answer[2]
    return registration_id


async def assert_nothing_came(*clients: WebSocket) -> None:
    """All that was caused before has arrived when the answer to one more request does: there was nothing."""
    for client in clients:
        answer = await client.ask(UNSUBSCRIBE, _SYNC_ID, MAX_ID)
        assert answer[:5] == [ERROR, UNSUBSCRIBE, _SYNC_ID, {}, "wamp.error.no_such_subscription"], answer


async def assert_aborted(client: WebSocket, reason: str = PROTOCOL_VIOLATION) -> dict[str, Any]:
    """The next and last message is ABORT; returns its details."""
    answer = await client.receive()
    assert answer[0] == ABORT, answer
    assert answer[2] == reason, answer
    await client.closed()
    details: dict[str, Any] = answer[1]
    return details


def assert_error(answer: list[Any], request_type: int, request_id: int, error: str) -> None:
    assert answer[:3] == [ERROR, request_type, request_id], answer
    assert isinstance(answer[3], dict), answer
    assert answer[4] == error, answer


def topics_of(events: Iterable[list[Any]]) -> list[Any]:
    """The payloads of some EVENTs, which name what was published."""
    return [event[4][0] for event in events]
