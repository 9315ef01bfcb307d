"""The WAMP client of the tests: raw messages to any ASGI app, over a WebSocket in memory.

Messages are lists, as in the specification. The client encodes and decodes them without wampasgi.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import cbor2
import ormsgpack

from tests.specification import (
    ABORT,
    CALL,
    CLOSE_REALM,
    ERROR,
    EVENT,
    GOODBYE,
    HELLO,
    INVOCATION,
    MAX_ID,
    NO_SUCH_SUBSCRIPTION,
    PROTOCOL_VIOLATION,
    PUBLISH,
    PUBLISHED,
    REGISTER,
    REGISTERED,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    UNSUBSCRIBE,
    WELCOME,
    YIELD,
)
from tests.websocket import WebSocket, opened
from wampasgi import Application, Identity, Session, WAMPError
from wampasgi.types import ASGIApp

ALL_ROLES: dict[str, Any] = {"publisher": {}, "subscriber": {}, "caller": {}, "callee": {}}

#: HELLO.Details of a client of the Basic Profile.
BASIC: dict[str, Any] = {"roles": ALL_ROLES}

# The request ID that `expect_nothing` uses, out of the sequence. No test may use it.
_PROBE = 4_711_000_000


def announcing(*features: str) -> dict[str, Any]:
    """Return HELLO.Details that announce these features for each of the four roles."""
    return {"roles": {role: {"features": dict.fromkeys(features, True)} for role in ALL_ROLES}}


@dataclass(frozen=True)
class Format:
    """The encoding of a subprotocol, and the key of its frames in ASGI events."""

    key: Literal["text", "bytes"]
    encode: Callable[[Any], str | bytes]
    decode: Callable[[Any], Any]


FORMATS = {
    "wamp.2.json": Format("text", json.dumps, json.loads),
    "wamp.2.msgpack": Format("bytes", ormsgpack.packb, ormsgpack.unpackb),
    "wamp.2.cbor": Format("bytes", cbor2.dumps, cbor2.loads),
}


class WAMPClient(WebSocket):
    """The client's end of a WebSocket, in messages."""

    #: The subprotocol that the app has chosen, in whose format messages are sent and received.
    subprotocol = "wamp.2.json"
    #: The session ID and the details in the last WELCOME.
    id: int
    details: dict[str, Any]
    _last_request_id = 0

    # Messages as they are

    async def send(self, *message: Any) -> None:
        await self.send_frame(FORMATS[self.subprotocol].encode(message))

    async def receive(self) -> list[Any]:
        """Return the next message."""
        event = await self.receive_event()
        assert event["type"] == "websocket.send", f"expected a message, got {event}"
        [(key, frame)] = [(key, event[key]) for key in ("text", "bytes") if event.get(key) is not None]
        assert key == FORMATS[self.subprotocol].key, event
        message: list[Any] = FORMATS[self.subprotocol].decode(frame)
        return message

    async def ask(self, *message: Any) -> list[Any]:
        """Send a message and return the next one."""
        await self.send(*message)
        return await self.receive()

    # Expected messages

    async def expect(self, code: int) -> list[Any]:
        """Return the next message, which must be of this type."""
        message = await self.receive()
        assert message[0] == code, message
        return message

    async def expect_error(self, request_type: int, request_id: int, error: str) -> list[Any]:
        """Return the next message, which must be this ERROR for this request."""
        message = await self.receive()
        assert message[:3] == [ERROR, request_type, request_id], message
        assert isinstance(message[3], dict), message
        assert message[4] == error, message
        return message

    async def expect_abort(self, reason: str = PROTOCOL_VIOLATION) -> dict[str, Any]:
        """Return the details of the next and last message, which must be an ABORT with this reason."""
        message = await self.expect(ABORT)
        assert message[2] == reason, message
        await self.closed()
        details: dict[str, Any] = message[1]
        return details

    async def expect_nothing(self) -> None:
        """Check that no message comes before the answer to one more request.

        The router has then handled all that the client has sent, on all workers.
        """
        await self._probe()
        if self.has_other_workers:
            await self.settled()
            await self._probe()

    async def _probe(self) -> None:
        answer = await self.ask(UNSUBSCRIBE, _PROBE, MAX_ID)
        assert answer[:5] == [ERROR, UNSUBSCRIBE, _PROBE, {}, NO_SUCH_SUBSCRIPTION], answer

    # Sessions

    async def join(self, realm: str = "default", **details: Any) -> list[Any]:
        """Say HELLO and return WELCOME."""
        welcome = await self.ask(HELLO, realm, {**BASIC, **details})
        assert welcome[0] == WELCOME, f"expected WELCOME, got {welcome}"
        self.id, self.details = welcome[1:]
        self._last_request_id = 0
        return welcome

    async def leave(self) -> None:
        """Close the session with GOODBYE, and keep the connection."""
        assert (await self.ask(GOODBYE, {}, CLOSE_REALM))[0] == GOODBYE

    # Requests

    async def request(self, code: int, *rest: Any) -> list[Any]:
        """Send a request with the next request ID, and return the next message."""
        self._last_request_id += 1
        return await self.ask(code, self._last_request_id, *rest)

    async def request_error(self, code: int, *rest: Any) -> str:
        """Send a request that fails, and return the URI of its ERROR."""
        answer = await self.request(code, *rest)
        assert answer[:3] == [ERROR, code, self._last_request_id], answer
        assert isinstance(answer[3], dict), answer
        error: str = answer[4]
        return error

    async def subscribe(self, topic: str, **options: Any) -> int:
        """Subscribe to a topic, and return the subscription ID."""
        return await self._acknowledged(SUBSCRIBED, SUBSCRIBE, options, topic)

    async def register(self, procedure: str, **options: Any) -> int:
        """Register a procedure, and return the registration ID."""
        return await self._acknowledged(REGISTERED, REGISTER, options, procedure)

    async def publish(self, topic: str, *args: Any, **options: Any) -> int:
        """Publish with an acknowledgment, and return the publication ID."""
        options = {"acknowledge": True, **options}
        return await self._acknowledged(PUBLISHED, PUBLISH, options, topic, *([list(args)] if args else []))

    async def _acknowledged(self, answer_code: int, code: int, *rest: Any) -> int:
        """Send a request, and return the ID that its acknowledgment assigns."""
        answer = await self.request(code, *rest)
        assert answer[:2] == [answer_code, self._last_request_id], answer
        assert len(answer) == 3, answer
        assigned_id: int = answer[2]
        return assigned_id

    async def call(self, procedure: str, *args: Any, **kwargs: Any) -> Any:
        """Call a procedure and return its only result or None; an ERROR is raised as WAMPError."""
        answer = await self.request(CALL, {}, procedure, list(args), kwargs)
        if answer[0] == ERROR:
            raise WAMPError(answer[4], *answer[5:6])
        assert answer[:3] == [RESULT, self._last_request_id, {}], answer
        results = answer[3] if len(answer) > 3 else []
        assert len(answer) <= 4
        assert len(results) <= 1
        return results[0] if results else None

    async def call_error(self, procedure: str, *args: Any, **kwargs: Any) -> str:
        """Call a procedure that fails, and return the URI of its ERROR."""
        return await self.request_error(CALL, {}, procedure, list(args), kwargs)

    # Events and invocations

    async def event(self) -> list[Any]:
        """Return the positional arguments of the next message, which must be an EVENT."""
        args: list[Any] = (await self.expect(EVENT))[4]
        return args

    async def answer_invocation(self, *payload: Any) -> list[Any]:
        """Answer the next message, which must be an INVOCATION, with YIELD; return the INVOCATION."""
        invocation = await self.expect(INVOCATION)
        await self.send(YIELD, invocation[1], {}, *payload)
        return invocation

    async def fail_invocation(self, error: str) -> list[Any]:
        """Answer the next message, which must be an INVOCATION, with ERROR; return the INVOCATION."""
        invocation = await self.expect(INVOCATION)
        await self.send(ERROR, INVOCATION, invocation[1], {}, error)
        return invocation


C = TypeVar("C", bound=WAMPClient)


@asynccontextmanager
async def connect(app: ASGIApp, **scope: Any) -> AsyncIterator[WAMPClient]:
    """Open a WebSocket that the app accepts, with the arguments of `WebSocket`."""
    async with accepted(WAMPClient(app, **scope)) as client:
        yield client


@asynccontextmanager
async def accepted(client: C) -> AsyncIterator[C]:
    """Open the WebSocket of a client and take its ``websocket.accept``."""
    async with opened(client):
        event = await client.receive_event()
        assert event["type"] == "websocket.accept", f"expected an accept, got {event}"
        client.subprotocol = event["subprotocol"]
        yield client


@asynccontextmanager
async def clients(
    app: ASGIApp, *described: str | Mapping[str, Any], realm: str = "default", buffer_size: float = math.inf
) -> AsyncIterator[list[WAMPClient]]:
    """Clients that have joined, each described by a name or by its HELLO.Details.

    A name is ``authid/authrole``, for a `trusting_app`. Without a role the client is a ``user``.
    """
    async with AsyncExitStack() as stack:
        joined = []
        for description in described:
            client = await stack.enter_async_context(connect(app, buffer_size=buffer_size))
            if isinstance(description, str):
                authid, _, role = description.partition("/")
                description = {"authid": authid, "authextra": {"role": role or "user"}}
            await client.join(realm, **description)
            joined.append(client)
        yield joined


def open_app(**options: Any) -> Application:
    """An app whose clients may do everything."""
    app = Application(**options)
    app.allow_all()
    return app


def trusting_app(**options: Any) -> Application:
    """An app whose clients may do everything, and are who their HELLO says they are."""
    app = open_app(**options)
    app.add_transport_authenticator(trust_hello)
    return app


async def trust_hello(session: Session) -> Identity:
    extra = session.details.get("authextra", {})
    return Identity(authid=session.authid, authrole=extra.get("role"))
