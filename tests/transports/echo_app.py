"""A plain ASGI application that does what a test of a transport asks for.

The path of a WebSocket selects its behaviour, `/echo/name` for example, and gives the connection a name
of its own. HTTP requests return what has happened on the connection with that name.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

from wampasgi.types import ASGIEvent, Receive, Scope, Send

#: In seconds. If no `send` returns within this time, they wait for the client.
STALL = 0.2
#: In seconds, the longest wait for a flag.
LONGEST_WAIT = 8.0


class Connection:
    """A record of what has happened on a connection."""

    def __init__(self) -> None:
        #: The events that `receive` has returned, with bytes in hexadecimal digits.
        self.events: list[dict[str, Any]] = []
        #: The number of calls of `send` that have returned.
        self.sent = 0
        #: The number of messages that have arrived, each with its own number.
        self.in_order = 0
        #: The flags that `note` has set, and the name of the exception that has ended the application.
        self.notes: set[str] = set()
        self._noted = asyncio.Condition()

    async def note(self, flag: str) -> None:
        """Set a flag and wake what waits for it."""
        async with self._noted:
            self.notes.add(flag)
            self._noted.notify_all()

    async def wait_for(self, flag: str) -> None:
        """Wait until a flag is set. Raises TimeoutError after `LONGEST_WAIT`."""
        async with asyncio.timeout(LONGEST_WAIT), self._noted:
            await self._noted.wait_for(lambda: flag in self.notes)

    def to_json(self) -> bytes:
        """Return the record for a test."""
        record = {
            "events": self.events,
            "sent": self.sent,
            "in_order": self.in_order,
            "notes": sorted(self.notes),
        }
        return json.dumps(record).encode()


class WebSocket:
    """A WebSocket whose events are recorded."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, connection: Connection) -> None:
        self.subprotocols: list[str] = scope["subprotocols"]
        self.query = dict(parse_qsl(scope["query_string"].decode()))
        self.connection = connection
        self._receive = receive
        self._send = send

    async def receive(self) -> ASGIEvent:
        """Return the next event and record it."""
        event = await self._receive()
        record = {key: value.hex() if isinstance(value, bytes) else value for key, value in event.items()}
        self.connection.events.append(record)
        return event

    async def receive_number(self) -> bool:
        """Receive a message that should carry the next number; return False after the last message."""
        event = await self._receive()
        if event["type"] != "websocket.receive":
            self.connection.events.append(dict(event))
            return False
        if int.from_bytes(event["bytes"][:4]) == self.connection.in_order:
            self.connection.in_order += 1
        return True

    async def send(self, event: ASGIEvent) -> None:
        """Send an event and count it."""
        await self._send(event)
        self.connection.sent += 1

    async def send_numbers(self, count: int, size: int) -> None:
        """Send messages of one size without pause, each with its number; note if they wait for the client."""
        sending = asyncio.ensure_future(self._send_numbers(count, size))
        while not sending.done():
            before = self.connection.sent
            await asyncio.wait({sending}, timeout=STALL)
            if self.connection.sent == before:
                await self.connection.note("stalled")
        await sending

    async def _send_numbers(self, count: int, size: int) -> None:
        for number in range(count):
            await self.send({"type": "websocket.send", "bytes": number.to_bytes(4).ljust(size, b"x")})

    async def accept(self) -> None:
        """Receive the connect event and accept with the subprotocol that the client prefers."""
        await self.receive()
        subprotocol = self.subprotocols[0] if self.subprotocols else None
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol})

    async def receive_until_disconnect(self) -> None:
        """Receive and record the remaining events."""
        while (await self.receive())["type"] != "websocket.disconnect":
            pass


async def echo(websocket: WebSocket) -> None:
    """Return each message to the client."""
    await websocket.accept()
    while (event := await websocket.receive())["type"] == "websocket.receive":
        await websocket.send({**event, "type": "websocket.send"})


async def listen(websocket: WebSocket) -> None:
    """Receive messages without an answer."""
    await websocket.accept()
    await websocket.receive_until_disconnect()


async def close(websocket: WebSocket) -> None:
    """Close, after the first message, with the code and reason of the query, then receive the rest."""
    await close_and_return(websocket)
    await websocket.receive_until_disconnect()


async def close_and_return(websocket: WebSocket) -> None:
    """Close like `close`, but receive nothing afterwards."""
    await websocket.accept()
    await websocket.receive()
    code, reason = int(websocket.query["code"]), websocket.query.get("reason", "")
    await websocket.send({"type": "websocket.close", "code": code, "reason": reason})


async def accept_later(websocket: WebSocket) -> None:
    """Echo like `echo`, but accept when "released" is noted."""
    await websocket.connection.note("called")
    await websocket.connection.wait_for("released")
    await echo(websocket)


async def collect(websocket: WebSocket) -> None:
    """Receive nothing until it is noted "released", then count the messages that arrive in order."""
    await websocket.accept()
    await websocket.connection.wait_for("released")
    while await websocket.receive_number():
        pass


async def flood(websocket: WebSocket) -> None:
    """Send messages without pause, then close."""
    await websocket.accept()
    await websocket.send_numbers(int(websocket.query["count"]), int(websocket.query["size"]))
    await websocket.send({"type": "websocket.close"})
    await websocket.receive_until_disconnect()


async def refuse(websocket: WebSocket) -> None:
    """Close before accepting."""
    await websocket.receive()
    await websocket.send({"type": "websocket.close"})


async def deny(websocket: WebSocket) -> None:
    """Answer the handshake with a response."""
    await websocket.receive()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"8")]
    await websocket.send({"type": "websocket.http.response.start", "status": 451, "headers": headers})
    await websocket.send({"type": "websocket.http.response.body", "body": b"for laws"})


BEHAVIOURS: dict[str, Callable[[WebSocket], Awaitable[None]]] = {
    behaviour.__name__: behaviour
    for behaviour in (echo, listen, close, close_and_return, accept_later, collect, flood, refuse, deny)
}
CONNECTIONS: defaultdict[str, Connection] = defaultdict(Connection)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a WebSocket, or the record of one over HTTP."""
    if scope["type"] == "lifespan":
        await serve_lifespan(receive, send)
        return
    action, _, name = scope["path"].strip("/").partition("/")
    connection = CONNECTIONS[name]
    if scope["type"] == "http":
        await serve_http(action, connection, scope, send)
        return
    try:
        await BEHAVIOURS[action](WebSocket(scope, receive, send, connection))
    except Exception as error:
        await connection.note("OSError" if isinstance(error, OSError) else type(error).__name__)
        raise
    finally:
        await connection.note("ended")


async def serve_http(action: str, connection: Connection, scope: Scope, send: Send) -> None:
    """Answer `POST /note/name?flag`, and `GET /record/name?flag`, which waits until the flag is set."""
    flag = scope["query_string"].decode()
    if action == "note":
        await connection.note(flag)
    elif flag:
        # If it takes too long, the record shows the test that the flag is missing.
        with suppress(TimeoutError):
            await connection.wait_for(flag)
    body = connection.to_json()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def serve_lifespan(receive: Receive, send: Send) -> None:
    """Start and stop."""
    for phase in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{phase}.complete"})
