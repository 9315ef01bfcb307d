"""The part of a test's WebSocket that runs in the event loop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeAlias

import anyio
import anyio.lowlevel
from anyio.streams.memory import MemoryObjectSendStream

from wampasgi.errors import GOODBYE_AND_OUT, RemoteProtocolError
from wampasgi.protocol.messages import Goodbye
from wampasgi.serializers import Subprotocol
from wampasgi.types import ASGIApp, ASGIEvent, RawMessage, Receive, Scope, Send

#: The close code of an abnormal closure (RFC 6455, section 7.4.1).
_ABNORMAL = 1006


@dataclass(frozen=True, slots=True)
class WebSocketClose:
    """The close code and reason with which the server closed a WebSocket."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class InvalidFrame:
    """A WebSocket message from the server that the subprotocol cannot decode."""

    problem: str


@dataclass(frozen=True, slots=True)
class AppExit:
    """The end of the application's coroutine: it returned, or raised ``error``."""

    error: Exception | None
    #: True if the application was cancelled, because it did not accept the WebSocket in time.
    cancelled: bool


#: The items that the application sends to the test.
FromApplication: TypeAlias = RawMessage | InvalidFrame | WebSocketClose | AppExit


class ServedSocket:
    """Runs an application for one WebSocket, inside a WebSocket test session of Starlette.

    During the opening handshake, the application's events go to Starlette. After that, they are decoded and
    put into the queue ``arrived``, on which a thread can wait with a timeout. All methods must be called in
    the event loop.
    """

    def __init__(
        self, app: ASGIApp, *, subprotocols: Mapping[str, Subprotocol], accept_timeout: float
    ) -> None:
        self._app = app
        self._subprotocols = subprotocols
        self._accept_timeout = accept_timeout
        self._accepting: anyio.CancelScope | None = None
        self._to_client: Send | None = None
        self._to_app: MemoryObjectSendStream[ASGIEvent] | None = None
        self._disconnect: ASGIEvent | None = None
        self._closed_by_app = False
        self._goodbye_said = False
        self.arrived: SimpleQueue[FromApplication] = SimpleQueue()
        #: The exit of the application, if it did not answer the opening handshake.
        self.unanswered: AppExit | None = None
        #: The subprotocol that the application accepted. None before that, or if it is unknown.
        self.subprotocol: Subprotocol | None = None
        #: True if the server's GOODBYE is answered at once, even if the test's thread is busy.
        self.answers_goodbye = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application on the WebSocket. Its exception is put into the queue, as part of AppExit."""
        self._to_client = send
        to_app, from_client = anyio.create_memory_object_stream[ASGIEvent](math.inf)
        error: Exception | None = None
        with to_app, from_client:
            self._to_app = to_app
            to_app.send_nowait(await receive())

            async def receive_event() -> ASGIEvent:
                if self._disconnect is not None and not from_client.statistics().current_buffer_used:
                    await anyio.lowlevel.checkpoint()
                    return self._disconnect
                return await from_client.receive()

            with anyio.move_on_after(self._accept_timeout) as self._accepting:
                try:
                    await self._app(scope, receive_event, self._send)
                except Exception as raised:  # noqa: BLE001 - handed to the test's thread
                    error = raised
            self._to_app = None
        app_exit = AppExit(error, self._accepting.cancelled_caught)
        self.arrived.put(app_exit)
        if self._to_client is not None:
            self.unanswered = app_exit
            # Starlette would wait forever for the answer to the opening handshake.
            await send({"type": "websocket.close", "code": _ABNORMAL})

    async def _send(self, event: ASGIEvent) -> None:
        if self._disconnect is not None:
            if self._closed_by_app:
                raise RuntimeError(f"the application sent {event['type']!r} after 'websocket.close'")
            # The ASGI specification demands an OSError if the client has disconnected.
            raise OSError("the client has closed the WebSocket")
        if self._to_client is not None:
            await self._answer_handshake(event, self._to_client)
        elif event["type"] == "websocket.send":
            self._take_frame(event)
        elif event["type"] == "websocket.close":
            closed = WebSocketClose(event.get("code") or 1000, event.get("reason") or "")
            self._closed_by_app = True
            self.deliver({"type": "websocket.disconnect", "code": closed.code, "reason": closed.reason})
            self.arrived.put(closed)
        else:
            raise RuntimeError(f"the application sent {event['type']!r} on an accepted WebSocket")

    async def _answer_handshake(self, event: ASGIEvent, to_client: Send) -> None:
        if event["type"] == "websocket.accept":
            self.subprotocol = self._subprotocols.get(event.get("subprotocol") or "")
            if self._accepting is not None:
                self._accepting.deadline = math.inf
        body_follows = event["type"] == "websocket.http.response.start" or event.get("more_body", False)
        await to_client(event)
        if not body_follows:
            self._to_client = None

    def _take_frame(self, event: ASGIEvent) -> None:
        if self.subprotocol is None:
            return
        data: str | bytes | None = event.get("bytes")
        try:
            messages = self.subprotocol.messages(event["text"] if data is None else data)
        except RemoteProtocolError as error:
            self.arrived.put(InvalidFrame(error.message))
            return
        for message in messages:
            if not (isinstance(message, list) and message and isinstance(message[0], int)):
                self.arrived.put(InvalidFrame(f"a message must be a list [code, ...], got {message!r}"))
                continue
            self.arrived.put(message)
            if message[0] == Goodbye.code and self.answers_goodbye:
                answer = self.subprotocol.serializer.encode(Goodbye({}, GOODBYE_AND_OUT).to_list())
                self.deliver_goodbye(message_event(self.subprotocol.frame((answer,))))

    def deliver_unchecked(self, event: ASGIEvent, *, says_goodbye: bool) -> None:
        """Deliver a raw message of the test, which can be a second GOODBYE."""
        self._goodbye_said = self._goodbye_said or says_goodbye
        self.deliver(event)

    def deliver(self, event: ASGIEvent) -> None:
        """Deliver an event to the application. Drop it after the application's end or a disconnect."""
        if self._to_app is None or self._disconnect is not None:
            return
        if event["type"] == "websocket.disconnect":
            self._disconnect = event
        self._to_app.send_nowait(event)

    def deliver_in_session(self, event: ASGIEvent) -> None:
        """Deliver a message of the session, unless the session has sent GOODBYE."""
        if not self._goodbye_said:
            self.deliver(event)

    def deliver_goodbye(self, event: ASGIEvent) -> None:
        """Deliver GOODBYE, unless the session has already sent it."""
        self.deliver_in_session(event)
        self._goodbye_said = True

    def begin_session(self, *, answers_goodbye: bool) -> None:
        """Prepare for a new session, which has not sent GOODBYE yet."""
        self._goodbye_said = False
        self.answers_goodbye = answers_goodbye


def message_event(data: str | bytes) -> ASGIEvent:
    """Return the ASGI event for a WebSocket message from the client."""
    return {"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data}
