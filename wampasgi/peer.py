"""The wire side of a session: validated messages in, bounded messages out, and how it ends."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import anyio

from wampasgi.adapters import Start, TaskOwner
from wampasgi.errors import (
    PAYLOAD_SIZE_EXCEEDED,
    RUNTIME_ERROR,
    InvalidURI,
    RemoteProtocolError,
    UnserializableValue,
)
from wampasgi.ids import SequentialIds
from wampasgi.limits import Limits
from wampasgi.messages import (
    Abort,
    Call,
    Error,
    Goodbye,
    Invocation,
    Message,
    Publish,
    Register,
    Result,
    Subscribe,
    Unregister,
    Unsubscribe,
)
from wampasgi.outbound import Outbound
from wampasgi.parsing import parse
from wampasgi.serializers import Serializer
from wampasgi.states import STAYING, Direction, SessionState, next_state
from wampasgi.transport import Disconnected, WebSocketTransport
from wampasgi.types import RawMessage, Receive, Send, URICheck

logger = logging.getLogger("wampasgi.session")

#: Requests whose ids are one sequence for each client. Spec: Basic Profile, "IDs".
_SEQUENTIAL_REQUESTS = frozenset(
    message.code for message in (Publish, Subscribe, Unsubscribe, Call, Register, Unregister)
)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended: the reason URI, which side began, and whether GOODBYE went both ways."""

    reason: str
    ended_by: Literal["client", "server"]
    orderly: bool = False


class SendEvent(Protocol):
    """Sends an event if the session is subscribed to the topic, and tells whether it is."""

    def __call__(self, topic: str, args: list[Any], kwargs: dict[str, Any], details: dict[str, Any]) -> bool:
        """Send it, and return whether the session is subscribed."""


class CallClient(Protocol):
    """Calls a procedure that this very client has registered."""

    async def __call__(
        self, procedure: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, timeout: float | None
    ) -> Any:
        """Call it, and return the result; raises WAMPError."""


class EncodedMessage:
    """A message for many peers, encoded once for each serializer among them."""

    __slots__ = ("encoded", "raw")

    def __init__(self, message: Message) -> None:
        self.raw = message.to_list()
        #: What ``encode`` has given, by the serializer's name.
        self.encoded: dict[str, str | bytes] = {}

    def encode(self, serializer: Serializer) -> str | bytes:
        """The message as this serializer writes it; raises UnserializableValue."""
        encoded = self.encoded[serializer.name] = serializer.encode(self.raw)
        return encoded


class Peer:
    """One client's side of a WAMP session, from HELLO to its end.

    ``attach`` names the ASGI callables to use: those that the middleware of a realm left. As long as they
    are the transport's own, messages pass without a dict around them.
    """

    __slots__ = (
        "_decode_directly",
        "_encode_directly",
        "_next_request_id",
        "_outbound",
        "_receive",
        "_send",
        "_serializer",
        "_state",
        "_transport",
        "_uri_check",
        "call",
        "ending",
        "handshake",
        "limits",
        "may_continue",
        "on_leave",
        "reading",
        "send_event",
        "undeliverable",
    )

    def __init__(
        self,
        transport: WebSocketTransport,
        *,
        limits: Limits,
        uri_check: URICheck = "loose",
        check_request_ids: bool = False,
    ) -> None:
        self._transport = transport
        self._serializer = transport.subprotocol.serializer
        self._uri_check: URICheck = uri_check
        self._next_request_id = SequentialIds() if check_request_ids else None
        self._state = SessionState.CLOSED
        self._outbound: Outbound | None = None
        self.attach(transport.receive, transport.send)
        self.limits = limits
        #: How the session ended; None as long as it hasn't.
        self.ending: Ending | None = None
        #: Bounds the time from HELLO to WELCOME.
        self.handshake = anyio.CancelScope()
        #: Cancelled, or given a deadline, to make the session stop reading.
        self.reading = anyio.CancelScope()
        #: Sends an event of one topic to this session alone, while it is open.
        self.send_event: SendEvent | None = None
        #: Calls this client, while the session is open.
        self.call: CallClient | None = None
        #: Called once, when the session begins to end: no answer of the client's will be read any more.
        self.on_leave: Callable[[], None] | None = None
        #: Takes the id of an INVOCATION that the serializer cannot carry, and the reason.
        self.undeliverable: Callable[[int, str], None] | None = None
        #: Tells whether a CALL with an id that was there before can be part of a progressive call.
        self.may_continue: Callable[[int], bool] | None = None

    def attach(self, receive: Receive, send: Send) -> None:
        """Exchange messages over these ASGI callables from now on."""
        self._receive = receive
        self._send = send
        self._decode_directly = receive == self._transport.receive
        self._encode_directly = send == self._transport.send

    @property
    def uri_check(self) -> URICheck:
        """The rules that topics and procedures are held to."""
        return self._uri_check

    @property
    def finished(self) -> bool:
        """Nothing more is to be read: GOODBYE went both ways, or the session was aborted or lost."""
        return self._state is SessionState.FAILED or (self.ending is not None and self.ending.orderly)

    @property
    def established(self) -> bool:
        """WELCOME was sent and neither side has begun to close."""
        return self._state is SessionState.ESTABLISHED

    # Reading

    async def receive(self) -> Message:
        """The next message, valid and allowed in the session's state.

        Raises Disconnected at the end of the connection, InvalidURI for a request with an incorrect URI and
        RemoteProtocolError for everything else that the specification does not allow.
        """
        if self._decode_directly:
            transport = self._transport
            waiting = transport.waiting
            raw = waiting.pop() if waiting else transport.decode(await transport.receive_event())
        else:
            event = await self._receive()
            if event["type"] != "wamp.message":
                raise Disconnected(event.get("code", 1005))
            raw = event["message"]
        try:
            message = parse(raw, uri_check=self._uri_check)
        except InvalidURI as error:
            if error.request_type is not None:
                self._advance(error.request_type, error.request_id)
            raise
        if (
            self._state is not SessionState.ESTABLISHED
            or message.code not in STAYING
            or self._next_request_id is not None
        ):
            self._advance(message.code, getattr(message, "request_id", None))
        return message

    def _advance(self, code: int, request_id: int | None) -> None:
        self._state = next_state(self._state, Direction.RECEIVED, code)
        if self._next_request_id is not None and code in _SEQUENTIAL_REQUESTS:
            if code == Call.code and self.may_continue is not None and self.may_continue(request_id or 0):
                return
            expected = self._next_request_id.next()
            if request_id != expected:
                raise RemoteProtocolError(
                    f"request id {request_id} is out of sequence: {expected} comes next"
                )

    # Before the session is open

    async def send_now(self, message: Message) -> None:
        """Send a message of the handshake and wait until it is written."""
        self._state = next_state(self._state, Direction.SENT, message.code)
        await self._send({"type": "wamp.message", "message": message.to_list()})

    async def refuse(self, reason: str, text: str | None = None) -> None:
        """Answer the handshake with ABORT; ``text`` goes into Details.message."""
        if self.ending is None:
            self.ending = Ending(reason, "server")
            await self.send_now(Abort(_details(text), reason))

    # While the session is open

    def open(self, owner: TaskOwner) -> None:
        """From now on, after WELCOME, queue what is sent; ``owner`` owns the tasks that write."""
        direct = self._encode_directly
        self._outbound = Outbound(
            self._transport.write if direct else self._write_events,
            self._transport.write_one if direct else self._write_event,
            owner,
            max_messages=self.limits.outbound_messages,
            max_size=self.limits.outbound_bytes,
            on_overflow=self._overflow,
        )

    def send(self, message: Message) -> None:
        """Queue a message; never waits, and does nothing when the session is over."""
        self._put(message.to_list())

    def write(self, raw: RawMessage) -> Awaitable[None]:
        """Send a message like ``send``, and wait until it is written unless others are before it."""
        outbound = self._outbound
        if outbound is None:
            return _nothing()
        if not self._encode_directly:
            return outbound.write(raw, 0)
        try:
            encoded = self._serializer.encode(raw)
        except UnserializableValue as error:
            replacement = self._report_unserializable(raw, error)
            if replacement is None:
                return _nothing()
            encoded = self._serializer.encode(replacement)
        return outbound.write(encoded, len(encoded))

    def writing(self, message: EncodedMessage) -> Start | None:
        """Queue a message that other peers get, too; returns what has to be started to write it."""
        outbound = self._outbound
        if outbound is None:
            return None
        if not self._encode_directly:
            return (outbound.owner, outbound.run, message.raw) if outbound.offer(message.raw, 0) else None
        encoded = message.encoded.get(self._serializer.name)
        if encoded is None:
            try:
                encoded = message.encode(self._serializer)
            except UnserializableValue as error:
                self._report_unserializable(message.raw, error)
                return None
        return (outbound.owner, outbound.run, encoded) if outbound.offer(encoded, len(encoded)) else None

    @property
    def overloaded(self) -> bool:
        """Whether so much waits for this peer that it had better not be called."""
        return self._outbound is not None and self._outbound.half_full

    async def uncongested(self) -> None:
        """Wait while messages wait for a peer that reads slowly."""
        if self._outbound is not None and self._outbound.congested:
            await self._outbound.drained()

    def _put(self, raw: RawMessage) -> None:
        encoded = self._encode(raw)
        if encoded is not None and self._outbound is not None:
            self._outbound.put(encoded, self._size(encoded))

    def _encode(self, raw: RawMessage) -> Any:
        """What the outbound queue takes for a message: encoded, or as it is where middleware is to see it."""
        if not self._encode_directly:
            return raw
        try:
            return self._serializer.encode(raw)
        except UnserializableValue as error:
            replacement = self._report_unserializable(raw, error)
            return None if replacement is None else self._serializer.encode(replacement)

    def _size(self, encoded: Any) -> int:
        """The bytes that a queued message takes; of one for middleware nobody knows."""
        return len(encoded) if self._encode_directly else 0

    def _write_event(self, raw: RawMessage) -> Awaitable[None]:
        return self._write_events((raw,))

    async def _write_events(self, messages: Sequence[RawMessage]) -> None:
        for raw in messages:
            try:
                await self._send({"type": "wamp.message", "message": raw})
            except UnserializableValue as error:
                replacement = self._report_unserializable(raw, error)
                if replacement is not None:
                    await self._send({"type": "wamp.message", "message": replacement})
            except Exception:
                logger.exception("a middleware failed to send message %s; the session is cut", raw[0])
                self.cut(RUNTIME_ERROR)
                return

    def _report_unserializable(self, raw: RawMessage, error: UnserializableValue) -> RawMessage | None:
        """Log it, and return what is to be sent in its place."""
        code = raw[0]
        logger.error("message %s %s cannot be serialized: %s", code, raw[1], error)
        if code == Invocation.code and self.undeliverable is not None:
            self.undeliverable(raw[1], f"the callee cannot be sent this: {error}")
        if code == Result.code and not raw[2].get("progress", False):
            return Error(Call.code, raw[1], {}, RUNTIME_ERROR).to_list()
        if code == Error.code:
            return raw[:5]
        return None

    # The end

    def say_goodbye(self, reason: str, text: str | None = None) -> None:
        """Begin to close: GOODBYE, after which only the client's GOODBYE counts, for ``close_timeout``."""
        if not self.established:
            return
        self._state = next_state(self._state, Direction.SENT, Goodbye.code)
        self.ending = Ending(reason, "server")
        self._leave()
        self._last_message(Goodbye(_details(text), reason))
        self.reading.deadline = anyio.current_time() + self.limits.close_timeout

    def answer_goodbye(self, reason: str, reply: str) -> None:
        """Answer the client's GOODBYE with ours, or take it as the answer to ours: the session is over."""
        if self.ending is not None:
            self.ending = Ending(self.ending.reason, "server", orderly=True)
            return
        self.ending = Ending(reason, "client", orderly=True)
        self._leave()
        self._state = next_state(self._state, Direction.SENT, Goodbye.code)
        self._last_message(Goodbye({}, reply))

    def abort(self, reason: str, text: str | None = None) -> None:
        """End the session at once with ABORT; what the client sends from now on is not read."""
        if self.ending is not None and self.ending.orderly:
            return
        self.ending = Ending(reason, "server")
        self._leave()
        self._last_message(Abort(_details(text), reason))
        self.cut(reason)

    def cut(self, reason: str, *, ended_by: Literal["client", "server"] = "server") -> None:
        """End the session at once without a word, because the connection is gone or of no use."""
        if self.ending is None:
            self.ending = Ending(reason, ended_by)
        self._state = SessionState.FAILED
        if self._outbound is not None:
            self._outbound.closed = True
        self._leave()
        self.reading.cancel()

    def _leave(self) -> None:
        if self.on_leave is not None:
            on_leave, self.on_leave = self.on_leave, None
            on_leave()

    async def written(self) -> None:
        """Wait until what was sent is written."""
        if self._outbound is not None:
            await self._outbound.drained()

    async def flush(self) -> None:
        """Wait until what was sent is written, for ``close_timeout`` at most."""
        with anyio.move_on_after(self.limits.close_timeout, shield=True):
            await self.written()

    def _last_message(self, message: Message) -> None:
        self._put(message.to_list())
        if self._outbound is not None:
            self._outbound.closed = True

    def _overflow(self) -> None:
        logger.warning("a session is ended: its client reads too slowly for what it is sent")
        self.ending = Ending(PAYLOAD_SIZE_EXCEEDED, "server")
        self.cut(PAYLOAD_SIZE_EXCEEDED)


def _details(text: str | None) -> dict[str, Any]:
    return {} if text is None else {"message": text}


async def _nothing() -> None:
    """What is awaited where there is nothing to wait for."""
