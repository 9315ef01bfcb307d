"""A WAMP client on picows that checks what the server sends, and is free to misbehave itself."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final, TypeAlias

import orjson
import picows

from wampasgi.client.core import Ignored, SessionCore, hello_details
from wampasgi.errors import RemoteProtocolError
from wampasgi.protocol.messages import (
    Call,
    Cancel,
    Publish,
    Register,
    Result,
    Subscribe,
    Unregister,
    Unsubscribe,
    Welcome,
)
from wampasgi.protocol.states import SessionState
from wampasgi.types import RawMessage

#: The payload for sessions that never read, and for those that never finish a message.
LARGE = "x" * 32_000

_MAX_QUOTED: Final = 200


class Ended(Exception):
    """The session is over."""


_Answer: TypeAlias = "asyncio.Future[RawMessage]"


class Client(picows.WSListener):
    """A session. Messages that are no final answers to requests go to ``on_other``.

    ``on_violation`` gets a description of each message that a router must not send. Without it, such a
    message goes to ``on_other``, too. A message is sent in fragments with the probability ``fragmented``,
    with a ping after the first one.
    """

    transport: picows.WSTransport

    def __init__(
        self,
        on_other: Callable[[Client, RawMessage], None],
        *,
        fragmented: float = 0.0,
        on_violation: Callable[[str], None] | None = None,
    ) -> None:
        self._on_other = on_other
        self._fragmented = fragmented
        #: May be changed at any time.
        self.on_violation = on_violation
        self._next_ping = count(1).__next__
        #: The pings without a pong.
        self.pings: dict[bytes, asyncio.Future[None]] = {}
        #: Answers go to their futures, events and invocations to the client.
        self._core: SessionCore[_Answer | Client] = SessionCore()
        self._joined: asyncio.Future[int] = asyncio.get_running_loop().create_future()
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
            self._take_text(frame.get_payload_as_bytes())

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self.ended.set()
        for request in self._core.end():
            if isinstance(request.target, asyncio.Future):
                _end(request.target)
        for pinging in self.pings.values():
            _end(pinging)
        _end(self._joined)

    def _take_text(self, text: bytes) -> None:
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            self._report([text], str(error))
        else:
            self._take(message)

    def _take(self, message: RawMessage) -> None:
        try:
            recipient, parsed = self._core.receive(message)
        except RemoteProtocolError as error:
            self._report(message, error.message)
            return
        if isinstance(parsed, Welcome):
            if not self._joined.done():
                self._joined.set_result(parsed.session_id)
            return
        progress = isinstance(parsed, Result) and parsed.details.get("progress")
        if isinstance(recipient, asyncio.Future) and not progress and not recipient.done():
            recipient.set_result(message)
        elif not isinstance(recipient, Ignored):
            self._on_other(self, message)

    def _report(self, message: RawMessage, problem: str) -> None:
        if self.on_violation is None:
            self._on_other(self, message)
        else:
            self.on_violation(f"{str(message)[:_MAX_QUOTED]}: {problem}")

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
        self.send(*self._core.hello("default", hello_details({"authid": authid})))
        return await self._joined

    def send(self, *message: Any) -> None:
        """Send a message, unchecked, if the connection is still open."""
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

    def next_request_id(self) -> int:
        """Return the ID for a request that is sent unchecked and gets no answer."""
        return self._core.next_request_id()

    def request(self, code: int, *rest: Any) -> asyncio.Future[RawMessage]:
        """Send a request and return a future for its answer, which raises Ended if the session ends first.

        ``rest`` is the message without code and request ID.
        """
        answer: _Answer = asyncio.get_running_loop().create_future()
        message = self._request(answer, code, *rest)
        if self.ended.is_set():
            _end(answer)
        self.send(*message)
        return answer

    def _request(self, answer: _Answer, *request: Any) -> RawMessage:
        core = self._core
        match request:
            case Call.code, options, procedure, *payload:
                return core.call(answer, procedure, *_payload(*payload), options)
            case Publish.code, options, topic, *payload:
                return core.publish(answer, topic, *_payload(*payload), options)
            case Subscribe.code, options, topic:
                return core.subscribe(answer, self, topic, options)
            case Unsubscribe.code, subscription_id:
                return core.unsubscribe(answer, subscription_id)
            case Register.code, options, procedure:
                return core.register(answer, self, procedure, options)
            case Unregister.code, registration_id:
                return core.unregister(answer, registration_id)
            case _:
                raise ValueError(f"{list(request)} is not a request that gets an answer")

    def cancel(self, request_id: int, mode: str) -> None:
        """Send CANCEL, also for a call that was never made or has been answered."""
        message = self._core.cancel(request_id, mode)
        self.send(*(message or [Cancel.code, request_id, {"mode": mode}]))

    def answer(self, request_id: int, *args: Any) -> None:
        """Answer an invocation with a result."""
        self.send(*self._core.result(request_id, args, {}))

    def refuse(self, request_id: int, error: str) -> None:
        """Answer an invocation with an ERROR."""
        self.send(*self._core.error(request_id, error, [], {}))

    def say_goodbye(self) -> None:
        """Send GOODBYE if the session is open."""
        if self._core.state is SessionState.ESTABLISHED:
            self.send(*self._core.goodbye("wamp.close.normal"))


def _payload(
    args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    return args, kwargs or {}


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
