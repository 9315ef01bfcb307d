"""A router that a test plays: an ASGI app that runs a script for each WebSocket."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from tests.specification import GOODBYE, GOODBYE_AND_OUT, HELLO, WELCOME
from wampasgi.types import ASGIEvent, Receive, Scope, Send

ROLES: dict[str, Any] = {
    "broker": {"features": {"event_history": True}},
    "dealer": {"features": {"call_canceling": True, "progressive_call_results": True}},
}

PATIENCE = 5.0


class Disconnected(Exception):
    """The client has closed the WebSocket."""


class Peer:
    """The router's end of a WebSocket."""

    def __init__(self, receive: Receive, send: Send, number: int) -> None:
        self._receive = receive
        self._send = send
        #: 1 for the first WebSocket of the router, 2 for the second.
        self.number = number

    async def receive(self) -> list[Any]:
        """Return the client's next message."""
        event = await self._event()
        message: list[Any] = json.loads(event["text"])
        return message

    async def expect(self, code: int) -> list[Any]:
        """Return the client's next message, which must be of this type."""
        message = await self.receive()
        assert message[0] == code, message
        return message

    async def send(self, *message: Any) -> None:
        await self.send_text(json.dumps(message))

    async def send_text(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})

    async def close(self, code: int = 1011, reason: str = "") -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def welcome(self, session_id: int = 1, **details: Any) -> list[Any]:
        """Answer HELLO with WELCOME, and return HELLO."""
        hello = await self.expect(HELLO)
        await self.send(WELCOME, session_id, {"roles": ROLES, **details})
        return hello

    async def until_gone(self) -> list[list[Any]]:
        """Answer GOODBYE, and return all other messages until the client has closed the WebSocket."""
        received = []
        try:
            while True:
                message = await self.receive()
                if message[0] == GOODBYE:
                    await self.send(GOODBYE, {}, GOODBYE_AND_OUT)
                else:
                    received.append(message)
        except Disconnected:
            return received

    async def _event(self) -> ASGIEvent:
        with anyio.fail_after(PATIENCE):
            event = await self._receive()
        if event["type"] == "websocket.disconnect":
            raise Disconnected
        return event


Script = Callable[[Peer], Awaitable[None]]


class ScriptedRouter:
    """The ASGI app. ``failures`` has the exceptions of the scripts, and ``peers`` counts the WebSockets."""

    def __init__(self, script: Script, *, subprotocol: str | None = "wamp.2.json") -> None:
        self._script = script
        self._subprotocol = subprotocol
        self.peers = 0
        self.failures: list[BaseException] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "websocket"
        self.peers += 1
        peer = Peer(receive, send, self.peers)
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", "subprotocol": self._subprotocol})
        try:
            await self._script(peer)
        except Disconnected:
            return
        except Exception as error:
            self.failures.append(error)
            raise
