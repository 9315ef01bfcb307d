"""A WAMP client on picows that is free to misbehave."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable
from itertools import count
from typing import Any

import orjson
import picows

HELLO, WELCOME, ABORT, GOODBYE, ERROR = 1, 2, 3, 6, 8
PUBLISH, PUBLISHED, SUBSCRIBE, EVENT = 16, 17, 32, 36
CALL, CANCEL, RESULT, REGISTER = 48, 49, 50, 64
INVOCATION, YIELD = 68, 70

#: The payload for sessions that never read, and for those that never finish a message.
LARGE = "x" * 32_000

ROLES = {
    "caller": {"features": {"progressive_call_results": True}},
    "callee": {"features": {"call_canceling": True}},
}


class Ended(Exception):
    """The session is over."""


class Client(picows.WSListener):
    """A session. All messages but first answers to requests go to ``on_other``.

    A message is sent in fragments with the probability ``fragmented``, with a ping after the first one.
    """

    transport: picows.WSTransport

    def __init__(self, on_other: Callable[[Client, list[Any]], None], *, fragmented: float = 0.0) -> None:
        self._on_other = on_other
        self._fragmented = fragmented
        self._next_ping = count(1).__next__
        #: The pings without a pong.
        self.pings: dict[bytes, asyncio.Future[None]] = {}
        self._pending: dict[int, asyncio.Future[list[Any]]] = {}
        self._joined: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.next_request_id = count(1).__next__
        self.ended = asyncio.Event()
        #: The close code that the server sent.
        self.close_code: int | None = None

    # Callbacks of picows

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type is picows.WSMsgType.CLOSE:
            code = frame.get_close_code()
            self.close_code = code.value
            transport.send_close(code)
            transport.disconnect()
        elif frame.msg_type is picows.WSMsgType.PONG:
            self._take_pong(frame.get_payload_as_bytes())
        elif frame.msg_type is picows.WSMsgType.TEXT:
            self._take(orjson.loads(frame.get_payload_as_bytes()))

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self.ended.set()
        for waiting in self._pending.values():
            _end(waiting)
        for pinging in self.pings.values():
            _end(pinging)
        _end(self._joined)

    def _take(self, message: list[Any]) -> None:
        code = message[0]
        if code == WELCOME and not self._joined.done():
            self._joined.set_result(message[1])
            return
        if code not in (EVENT, INVOCATION, ABORT, GOODBYE):
            progress = code == RESULT and message[2].get("progress")
            waiting = None if progress else self._pending.pop(message[2 if code == ERROR else 1], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
                return
        self._on_other(self, message)

    def _take_pong(self, payload: bytes) -> None:
        """Take the answer to a ping, and to all earlier ones: a server need not answer each."""
        while payload in self.pings:
            first = next(iter(self.pings))
            waiting = self.pings.pop(first)
            if not waiting.done():
                waiting.set_result(None)

    # Actions of the client

    async def connect(self, url: str, **options: Any) -> None:
        """Open the WebSocket."""
        headers = {"Sec-WebSocket-Protocol": "wamp.2.json"}
        await picows.ws_connect(
            lambda: self, url, extra_headers=headers, websocket_handshake_timeout=30, **options
        )

    async def join(self, authid: str) -> int:
        """Open the session and return its ID. Raises Ended if the connection closes first."""
        self.send(HELLO, "default", {"roles": ROLES, "authid": authid})
        return await self._joined

    def send(self, *message: Any) -> None:
        """Send a message if the connection is still open."""
        self.send_text(orjson.dumps(message))

    def send_text(self, text: bytes) -> None:
        """Send a text message if the connection is still open."""
        if random.random() >= self._fragmented:
            self.send_frame(picows.WSMsgType.TEXT, text)
            return
        # A fragment may be empty, and may end in the middle of a character.
        first, second = sorted(random.choices(range(len(text) + 1), k=2))
        self.send_frame(picows.WSMsgType.TEXT, text[:first], fin=False)
        self.send_ping()
        self.send_frame(picows.WSMsgType.CONTINUATION, text[first:second], fin=False)
        self.send_frame(picows.WSMsgType.CONTINUATION, text[second:])

    def send_frame(self, kind: picows.WSMsgType, payload: bytes, *, fin: bool = True) -> None:
        """Send a frame if the connection is still open."""
        if self._is_open():
            self.transport.send(kind, payload, fin)

    def send_raw(self, data: bytes) -> None:
        """Send bytes, which need not be a frame, if the connection is still open."""
        if self._is_open():
            self.transport.underlying_transport.write(data)

    def _is_open(self) -> bool:
        return not (self.transport.is_disconnected or self.transport.underlying_transport.is_closing())

    def ping(self) -> asyncio.Future[None]:
        """Send a ping and return a future for its pong, which raises Ended if the session ends first."""
        return self.pings[self.send_ping()]

    def send_ping(self) -> bytes:
        """Send a ping and return its payload."""
        payload = b"%d" % self._next_ping()
        answer = self.pings[payload] = asyncio.get_running_loop().create_future()
        if self.ended.is_set():
            _end(answer)
        self.send_frame(picows.WSMsgType.PING, payload)
        return payload

    def request(self, code: int, *rest: Any) -> asyncio.Future[list[Any]]:
        """Send a request and return a future for its answer, which raises Ended if the session ends first."""
        request_id = self.next_request_id()
        answer = self._pending[request_id] = asyncio.get_running_loop().create_future()
        if self.ended.is_set():
            _end(answer)
        self.send(code, request_id, *rest)
        return answer


def _end(waiting: asyncio.Future[Any]) -> None:
    if not waiting.done():
        waiting.set_exception(Ended())
        # Mark the exception as retrieved, because not every request is awaited.
        waiting.exception()


def small_socket(url: Any) -> socket.socket:
    """Return a socket with a small receive buffer."""
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.setblocking(False)
    return small
