"""The wire side of a session: validated messages in, bounded messages out, and how it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import anyio

from wampasgi.adapters import TaskOwner
from wampasgi.errors import (
    PAYLOAD_SIZE_EXCEEDED,
    RUNTIME_ERROR,
    InvalidURI,
    RemoteProtocolError,
    UnserializableValue,
    WAMPError,
)
from wampasgi.limits import Limits
from wampasgi.logs import escaped, fields, logger_named, shown
from wampasgi.metrics import Counts
from wampasgi.peers.encoded import EncodedMessage
from wampasgi.peers.outbound import DroppingOutbound, Outbound
from wampasgi.peers.transport import Disconnected, size_on_wire
from wampasgi.peers.turn import Turn
from wampasgi.protocol.ids import SequentialIds
from wampasgi.protocol.messages import (
    MESSAGE_NAMES,
    Abort,
    Call,
    Error,
    Goodbye,
    Hello,
    Invocation,
    Message,
    Publish,
    Register,
    Result,
    Subscribe,
    Unregister,
    Unsubscribe,
)
from wampasgi.protocol.parsing import parse
from wampasgi.protocol.states import STAYING, Direction, SessionState, next_state
from wampasgi.protocol.uri_limits import check_uri_length
from wampasgi.router.interfaces import OwnSubscriptions, Router
from wampasgi.transports.websocket import WebSocketTransport
from wampasgi.types import ASGIEvent, RawMessage, Receive, Send, URICheck

logger = logger_named("wampasgi.session")

_ESTABLISHED: Final = SessionState.ESTABLISHED

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


class Peer:
    """One client's side of a WAMP session, from HELLO to its end.

    ``attach`` names the ASGI callables to use: those that the middleware of a realm left. As long as they
    are the transport's own, messages pass without a dict around them.
    """

    __slots__ = (
        "_asking",
        "_decode_directly",
        "_encode_directly",
        "_left",
        "_next_request_id",
        "_outbound",
        "_send",
        "_serializer",
        "_state",
        "_transport",
        "_uri_check",
        "counts",
        "dropped",
        "ending",
        "handshake",
        "limits",
        "on_overflow",
        "reading",
        "realm_uri",
        "receive_event",
        "router",
        "session_id",
        "subscriptions",
        "turn",
    )

    def __init__(
        self,
        transport: WebSocketTransport,
        *,
        limits: Limits,
        counts: Counts,
        uri_check: URICheck = "loose",
        check_request_ids: bool = False,
    ) -> None:
        self._transport = transport
        self._serializer = transport.subprotocol.serializer
        self._uri_check: URICheck = uri_check
        self._next_request_id = SequentialIds() if check_request_ids else None
        self._state = SessionState.CLOSED
        self._outbound: Outbound | None = None
        # Of the wait for the answer to CHALLENGE.
        self._asking: anyio.CancelScope | None = None
        self.attach(transport.receive, transport.send)
        self.limits = limits
        #: Those of the realm, once it is known.
        self.counts = counts
        #: Messages that this client has lost because it reads too slowly.
        self.dropped = 0
        #: How the session ended; None as long as it hasn't.
        self.ending: Ending | None = None
        #: Bounds the time from HELLO to WELCOME.
        self.handshake = anyio.CancelScope()
        #: Cancelled, or given a deadline, to make the session stop reading.
        self.reading = anyio.CancelScope()
        #: Called with the number of messages that the client has lost, once for each stretch of losing them.
        self.on_overflow: Callable[[int], None] | None = None
        #: What the session has subscribed to, once it is open.
        self.subscriptions: OwnSubscriptions | None = None
        #: The router that the session has joined, and the id that it has there.
        self.router: Router | None = None
        self.session_id = 0
        #: The realm URI that the client asked for.
        self.realm_uri: str | None = None
        self._left = False
        #: How much of what the client has sent is handled before others have their turn.
        self.turn = Turn()

    def __str__(self) -> str:
        return f"session {self.session_id} on realm {shown(self.realm_uri)}"

    def _about(self) -> dict[str, Any]:
        return fields(self.session_id, self.realm_uri)

    def attach(self, receive: Receive, send: Send) -> None:
        """Exchange messages over these ASGI callables from now on."""
        self._send = send
        self._encode_directly = send == self._transport.send
        # The messages of a batch come one by one from the transport alone.
        self._decode_directly = receive == self._transport.receive and not self._transport.subprotocol.batched
        #: What gives the next event; it is for ``read``.
        self.receive_event = self._transport.receive_event if self._decode_directly else receive

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
        return self._state is _ESTABLISHED

    # Reading

    async def receive(self) -> Message:
        """The next message, as ``read`` gives it."""
        return self.read(await self.receive_event())

    def read(self, event: ASGIEvent) -> Message:
        """The message of an event from ``receive_event``, valid and allowed in the session's state.

        Raises Disconnected at the end of the connection, InvalidURI for a request with an incorrect URI and
        RemoteProtocolError for everything else that the specification does not allow.
        """
        if self._decode_directly:
            raw = self._transport.decode(event)
        elif event["type"] == "wamp.message":
            raw = event["message"]
        else:
            raise Disconnected(event.get("code", 1005))
        try:
            message = parse(raw, self._uri_check)
            if self._transport.long_size:
                self._check_long(message)
        except InvalidURI as error:
            # Where the message has no place in this state, that is what is wrong with it. HELLO alone is no
            # request.
            self._advance(error.request_type or Hello.code, error)
            raise
        if (
            self._state is not _ESTABLISHED
            or message.code not in STAYING
            or self._next_request_id is not None
        ):
            self._advance(message.code, message)
        return message

    def _check_long(self, message: Message) -> None:
        self.turn.took_long(message, self._transport.long_size)
        self._transport.long_size = 0
        if self.limits.uri_length is not None:
            check_uri_length(message, self.limits.uri_length)

    def _advance(self, code: int, received: Message | InvalidURI) -> None:
        self._state = next_state(self._state, Direction.RECEIVED, code)
        if self._next_request_id is None or code not in _SEQUENTIAL_REQUESTS:
            return
        if (
            isinstance(received, Call)
            and self.router is not None
            and self.router.may_continue(self.session_id, received)
        ):
            return
        expected = self._next_request_id.next()
        request_id = getattr(received, "request_id", None)
        if request_id != expected:
            raise RemoteProtocolError(f"request id {request_id} is out of sequence: {expected} comes next")

    # Before the session is open

    async def send_now(self, message: Message) -> None:
        """Send a message of the handshake and wait until it is written; ``ending`` may be set meanwhile."""
        state = next_state(self._state, Direction.SENT, message.code)
        await self._send({"type": "wamp.message", "message": message.to_list()})
        if self.ending is None:
            self._state = state

    async def answer(self) -> Message | None:
        """The client's answer to CHALLENGE; None where the session was refused meanwhile."""
        try:
            with anyio.CancelScope() as self._asking:
                return await self.receive()
        finally:
            self._asking = None
        return None

    async def refuse(self, reason: str, text: str | None = None) -> None:
        """Answer the handshake with ABORT; ``text`` goes into Details.message."""
        if self.ending is None:
            self.counts.aborted += 1
            self.ending = Ending(reason, "server")
            if self._asking is not None:
                self._asking.cancel()
            self._state = next_state(self._state, Direction.SENT, Abort.code)
            await self._send({"type": "wamp.message", "message": Abort(_details(text), reason).to_list()})

    # While the session is open

    def open(self, owner: TaskOwner) -> None:
        """From now on, after WELCOME, queue what is sent; ``owner`` owns the tasks that write."""
        limits = self.limits
        self._transport.set_limits(limits)
        make: Callable[..., Outbound] = Outbound
        if limits.overflow == "drop_oldest_events":
            make = partial(DroppingOutbound, on_drop=self._count_dropped, on_dropped=self._report_dropped)
        self._outbound = make(
            self._transport.write if self._encode_directly else self._write_events,
            self._transport.write_one if self._encode_directly else self._write_event,
            owner,
            max_messages=limits.outbound_messages,
            max_size=limits.outbound_bytes,
            on_overflow=self._overflow,
        )

    def send(self, message: Message) -> None:
        """Queue a message other than EVENT; never waits, and does nothing when the session is over."""
        self.send_raw(message.to_list())

    def send_error(self, request_type: int, request_id: int, error: WAMPError) -> None:
        """Answer a request of the client's with ERROR, and count it."""
        answer = Error(request_type, request_id, {}, error.uri, list(error.args), error.kwargs)
        self.counts.count_answer(answer)
        self.send(answer)

    def send_raw(self, raw: RawMessage, *, last: bool = False) -> None:
        """Queue a message that stands as it goes out."""
        outbound = self._outbound
        if outbound is None:
            return
        # What middleware is to see waits as it is, and nobody knows its size.
        item: Any = raw
        size = 0
        if self._encode_directly:
            try:
                item = self._serializer.encode(raw)
            except UnserializableValue as error:
                replacement = self._report_unserializable(raw, error)
                if replacement is not None:
                    self.send_raw(replacement)
                return
            size = len(item) if item.isascii() else size_on_wire(item)
        if last:
            outbound.finish(item, size)
        else:
            outbound.put(item, size)

    def send_event(self, message: EncodedMessage) -> None:
        """Queue an EVENT, which other peers may get, too."""
        outbound = self._outbound
        if outbound is None:
            return
        if not self._encode_directly:
            outbound.put_event(message.raw, 0)
            return
        found = message.encoded.get(self._serializer.name)
        if found is None:
            if self._serializer.name in message.encoded:
                return
            try:
                found = message.encode(self._serializer)
            except UnserializableValue as error:
                # Others with this serializer would say the same.
                message.encoded[self._serializer.name] = None
                self._report_unserializable(message.raw, error)
                return
        encoded, size = found
        outbound.put_event(encoded, size)

    @property
    def overloaded(self) -> bool:
        """Whether so much waits for this peer that it had better not be called."""
        return self._outbound is not None and self._outbound.half_full

    async def uncongested(self) -> None:
        """Wait while messages wait for a peer that reads slowly."""
        if self._outbound is not None and self._outbound.congested:
            await self._outbound.drained()

    def _write_event(self, raw: RawMessage, size: int) -> Awaitable[None]:
        return self._write_events((raw,), size)

    async def _write_events(self, messages: Sequence[RawMessage], _: int) -> None:
        for raw in messages:
            try:
                await self._send({"type": "wamp.message", "message": raw})
            except UnserializableValue as error:
                replacement = self._report_unserializable(raw, error)
                if replacement is not None:
                    await self._send({"type": "wamp.message", "message": replacement})
            except Exception:
                logger.exception(
                    "%s is cut: a middleware failed to send %s",
                    self,
                    MESSAGE_NAMES[raw[0]],
                    extra=self._about(),
                )
                self.cut(RUNTIME_ERROR)
                return

    def _report_unserializable(self, raw: RawMessage, error: UnserializableValue) -> RawMessage | None:
        """Log it, and return what is to be sent in its place."""
        code = raw[0]
        logger.error(
            "%s %s cannot be serialized for %s: %s",
            MESSAGE_NAMES[code],
            raw[1],
            self,
            escaped(str(error)),
            extra=self._about(),
        )
        if code == Invocation.code and self.router is not None:
            self.router.undeliverable(self.session_id, raw[1], f"the callee cannot be sent this: {error}")
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
        self.leave()
        self._send_last(Goodbye(_details(text), reason))
        self.reading.deadline = anyio.current_time() + self.limits.close_timeout

    def answer_goodbye(self, reason: str, reply: str) -> None:
        """Answer the client's GOODBYE with ours, or take it as the answer to ours: the session is over."""
        if self.ending is not None:
            self.ending = Ending(self.ending.reason, "server", orderly=True)
            return
        self.ending = Ending(reason, "client", orderly=True)
        self.leave()
        self._state = next_state(self._state, Direction.SENT, Goodbye.code)
        self._send_last(Goodbye({}, reply))

    def abort(self, reason: str, text: str | None = None) -> None:
        """End the session at once with ABORT; what the client sends from now on is not read."""
        if self.ending is not None and self.ending.orderly:
            return
        self.counts.aborted += 1
        self.ending = Ending(reason, "server")
        self.leave()
        self._send_last(Abort(_details(text), reason))
        self.cut(reason)

    def cut(self, reason: str, *, ended_by: Literal["client", "server"] = "server") -> None:
        """End the session at once without a word, because the connection is gone or of no use."""
        if self.ending is None:
            self.ending = Ending(reason, ended_by)
        self._state = SessionState.FAILED
        if self._outbound is not None:
            self._outbound.close()
        self.leave()
        self.reading.cancel()

    def leave(self) -> None:
        """Leave the router: nobody is to ask this client for anything any more."""
        if self.router is not None and not self._left:
            self._left = True
            self.router.leaving(self.session_id)

    async def written(self) -> None:
        """Wait until what was sent is written."""
        if self._outbound is not None:
            await self._outbound.drained()

    async def flush(self) -> None:
        """Wait until what was sent is written, for ``close_timeout`` at most."""
        with anyio.move_on_after(self.limits.close_timeout, shield=True):
            await self.written()

    def _send_last(self, message: Message) -> None:
        self.send_raw(message.to_list(), last=True)

    def _overflow(self, lost: int, in_stretch: int) -> None:
        logger.warning(
            "%s is ended: its client reads too slowly for what it is sent", self, extra=self._about()
        )
        self._count_dropped(lost)
        self.counts.aborted += 1
        limits = self.limits
        self.ending = Ending(PAYLOAD_SIZE_EXCEEDED, "server")
        text = (
            f"this client reads too slowly: what waited for it is over the limit outbound_messages of "
            f"{limits.outbound_messages}, or outbound_bytes of {limits.outbound_bytes}"
        )
        # What has waited is gone, so this comes right after what is being written.
        self._send_last(Abort(_details(text), PAYLOAD_SIZE_EXCEEDED))
        self.cut(PAYLOAD_SIZE_EXCEEDED)
        self._report_dropped(in_stretch)

    def _count_dropped(self, dropped: int) -> None:
        self.dropped += dropped
        self.counts.dropped += dropped

    def _report_dropped(self, dropped: int) -> None:
        self.counts.overflows += 1
        if self.on_overflow is not None:
            self.on_overflow(dropped)


def _details(text: str | None) -> dict[str, Any]:
    return {} if text is None else {"message": text}
