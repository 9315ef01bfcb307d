"""The event loop's side of a test's WebSocket."""

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

#: Close codes of RFC 6455, section 7.4.1: abnormal closure.
_ABNORMAL = 1006


@dataclass(frozen=True, slots=True)
class WebSocketClose:
    """The close code and reason of a WebSocket that the server closed."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A WebSocket message of the server's that is no WAMP message of the subprotocol."""

    problem: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The application is done with the WebSocket: it returned, or failed with ``error``."""

    error: Exception | None
    #: It did not accept the WebSocket in time and was cancelled.
    cancelled: bool


#: What comes from the application, in its order.
Arrival: TypeAlias = RawMessage | Unreadable | WebSocketClose | Ended


class ServedSocket:
    """Serves an application one WebSocket, as Starlette's test session runs it.

    Up to the handshake's end the application talks to Starlette; what it sends then goes, decoded, into
    ``arrived``, which a thread can wait at for a limited time. All methods belong to the event loop.
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
        self.arrived: SimpleQueue[Arrival] = SimpleQueue()
        #: How the application ended without an answer to the handshake, if it did.
        self.unanswered: Ended | None = None
        #: The subprotocol that the application accepted; None before, or for one that is not WAMP's.
        self.subprotocol: Subprotocol | None = None
        #: Answer the server's GOODBYE at once, as every client does, whatever the test's thread is doing.
        self.answers_goodbye = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application on the WebSocket; its exception becomes the ``error`` of Ended."""
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
        ended = Ended(error, self._accepting.cancelled_caught)
        self.arrived.put(ended)
        if self._to_client is not None:
            self.unanswered = ended
            # Starlette waits for an answer to the handshake.
            await send({"type": "websocket.close", "code": _ABNORMAL})

    async def _send(self, event: ASGIEvent) -> None:
        if self._disconnect is not None:
            if self._closed_by_app:
                raise RuntimeError(f"the application sent {event['type']!r} after 'websocket.close'")
            # The ASGI specification's word for a client that has gone.
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
            self.arrived.put(Unreadable(error.message))
            return
        for message in messages:
            if not (isinstance(message, list) and message and isinstance(message[0], int)):
                self.arrived.put(Unreadable(f"a message is a list [code, ...], and not {message!r}"))
                continue
            self.arrived.put(message)
            if message[0] == Goodbye.code and self.answers_goodbye:
                answer = self.subprotocol.serializer.encode(Goodbye({}, GOODBYE_AND_OUT).to_list())
                self.deliver_goodbye(received(self.subprotocol.frame((answer,))))

    def deliver_unchecked(self, event: ASGIEvent, *, says_goodbye: bool) -> None:
        """Let the application receive what the test wants it to, also a second GOODBYE."""
        self._goodbye_said = self._goodbye_said or says_goodbye
        self.deliver(event)

    def deliver(self, event: ASGIEvent) -> None:
        """Let the application receive an event; what comes after its end or a disconnect is dropped."""
        if self._to_app is None or self._disconnect is not None:
            return
        if event["type"] == "websocket.disconnect":
            self._disconnect = event
        self._to_app.send_nowait(event)

    def deliver_in_session(self, event: ASGIEvent) -> None:
        """Let the application receive a session's message, which must not follow its GOODBYE."""
        if not self._goodbye_said:
            self.deliver(event)

    def deliver_goodbye(self, event: ASGIEvent) -> None:
        """Let the application receive GOODBYE, unless the session's was said."""
        self.deliver_in_session(event)
        self._goodbye_said = True

    def begin_session(self, *, answers_goodbye: bool) -> None:
        """Count GOODBYE anew, for a session that is to be opened."""
        self._goodbye_said = False
        self.answers_goodbye = answers_goodbye


def received(data: str | bytes) -> ASGIEvent:
    """The ASGI event of a WebSocket message that a client sent."""
    return {"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data}
