"""The wire side of a session: validated messages in, a bounded queue of messages out, and its end."""

from __future__ import annotations

import math
from typing import Any, Final, Literal

import anyio

from wampasgi.adapters import TaskOwner
from wampasgi.errors import (
    CANCELED,
    PAYLOAD_SIZE_EXCEEDED,
    RUNTIME_ERROR,
    TIMEOUT,
    InvalidRequest,
    UnserializableValue,
    WAMPError,
)
from wampasgi.limits import Limits
from wampasgi.logs import fields, logger_named, shown
from wampasgi.metrics import Counts
from wampasgi.peers.interfaces import Ending, JoinedRouter, ServedSession
from wampasgi.peers.message_stream import MessageStream, message_of
from wampasgi.peers.outbound import Outbound
from wampasgi.peers.sending import Reactions, open_outbound, overflow_text
from wampasgi.peers.turn import Turn
from wampasgi.peers.unserializable import replace_unserializable
from wampasgi.protocol.messages import (
    MESSAGE_NAMES,
    Abort,
    Call,
    Error,
    Goodbye,
    Hello,
    Message,
    Result,
)
from wampasgi.protocol.parsing import parse
from wampasgi.protocol.refusals import readable_part
from wampasgi.protocol.requests import SEQUENTIAL, RequestSequence
from wampasgi.protocol.states import STAYING, Direction, SessionState, next_state
from wampasgi.protocol.uri_limits import check_uri_length
from wampasgi.router.admission import Place
from wampasgi.router.interfaces import SharedEvent
from wampasgi.types import ASGIEvent, RawMessage, Receive, Send, URICheck

logger = logger_named("wampasgi.session")

_ESTABLISHED: Final = SessionState.ESTABLISHED
_RESULT, _CALL = Result.code, Call.code
_ANSWERS: Final = (Result.code, Error.code)


class Peer:
    """One client's side of a WAMP session, from HELLO to its end.

    ``handshake`` is the cancel scope that limits the time until WELCOME, and ``counts`` are the counters of
    the realm. ``attach`` sets the ASGI callables to use, which a realm's middleware may wrap. As long as they
    are the stream's own, messages pass without being wrapped in a dict.
    """

    __slots__ = (
        "_answer_scope",
        "_decode_directly",
        "_encode",
        "_encoding",
        "_ended",
        "_joined",
        "_outbound",
        "_place",
        "_refusal",
        "_request_ids",
        "_router",
        "_send",
        "_served",
        "_state",
        "_stream",
        "counts",
        "dropped",
        "ending",
        "handshake",
        "limits",
        "reading",
        "realm_uri",
        "receive_event",
        "session_id",
        "source",
        "turn",
        "uri_check",
    )

    def __init__(
        self,
        stream: MessageStream,
        *,
        session_id: int,
        realm_uri: str,
        router: JoinedRouter,
        place: Place,
        limits: Limits,
        counts: Counts,
        handshake: anyio.CancelScope,
        uri_check: URICheck = "loose",
        check_request_ids: bool = False,
    ) -> None:
        self._stream = stream
        self._router = router
        # In the limits of the realm, until the session begins to end.
        self._place = place
        self._request_ids = RequestSequence() if check_request_ids else None
        # HELLO has been read already, to find the realm.
        self._state = SessionState.ESTABLISHING
        self._outbound: Outbound | None = None
        self._served: ServedSession | None = None
        # True if the session is a member of the router.
        self._joined = False
        # Cancels the wait for the answer to CHALLENGE.
        self._answer_scope: anyio.CancelScope | None = None
        self._refusal: anyio.Event | None = None
        self._ended: anyio.Event | None = None
        #: The session ID, and the realm URI that the client asked for.
        self.session_id = session_id
        self.realm_uri = realm_uri
        self.limits = limits
        self.counts = counts
        #: The rules for the URIs of topics and procedures.
        self.uri_check: URICheck = uri_check
        #: The number of messages dropped because the client reads too slowly.
        self.dropped = 0
        #: The end of the session, None until either side begins to end it.
        self.ending: Ending | None = None
        #: Limits the time until WELCOME.
        self.handshake = handshake
        #: Cancelled, or given a deadline, to make the session stop reading.
        self.reading = anyio.CancelScope()
        #: Counts the messages of the client that are handled before other sessions run.
        self.turn = Turn()
        self.attach(stream.receive, stream.send)

    def __str__(self) -> str:
        return f"session {self.session_id} on realm {shown(self.realm_uri)}"

    def _about(self) -> dict[str, Any]:
        return fields(self.session_id, self.realm_uri, client=self._stream.client_address)

    def attach(self, receive: Receive, send: Send) -> None:
        """Exchange messages over these ASGI callables from now on."""
        self._send = send
        stream = self._stream
        # Only the stream's ``receive`` returns the messages of a batch one by one.
        self._decode_directly = receive == stream.receive and not stream.subprotocol.batched
        #: Waits for the next event, to be passed to ``read``.
        self.receive_event = stream.receive_event if self._decode_directly else receive
        #: The direct way of messages to ``read``, if there is one.
        self.source = stream.source if self._decode_directly else None

    @property
    def finished(self) -> bool:
        """Return whether nothing more is read, because both sides sent GOODBYE or the session was cut."""
        return self._state is SessionState.FAILED or (self.ending is not None and self.ending.orderly)

    @property
    def established(self) -> bool:
        """Return whether WELCOME was sent and neither side has begun to close."""
        return self._state is _ESTABLISHED

    @property
    def opened(self) -> bool:
        """Return whether the session has been open; it may have ended since."""
        return self._served is not None

    # Reading

    async def receive(self) -> Message:
        """Wait for the next message and return it, as ``read`` does."""
        return self.read(await self.receive_event())

    def read(self, event: ASGIEvent) -> Message:
        """Return the message of an event from ``receive_event``, valid and allowed in the session's state.

        Raises Disconnected at the end of the connection, InvalidRequest for a request to be refused, and
        RemoteProtocolError for any other protocol violation. Call ``skip`` after UnsupportedValue.
        """
        raw = self._stream.decode(event) if self._decode_directly else message_of(event)
        try:
            message = parse(raw, self.uri_check)
            if self._stream.long_size:
                self._check_long(message)
        except InvalidRequest as error:
            self.skip(error)
            raise
        if self._state is not _ESTABLISHED or message.code not in STAYING or self._request_ids is not None:
            self._advance(message.code, message)
        return message

    def skip(self, refused: InvalidRequest) -> None:
        """Count a refused message. If it is not allowed in this state, that is the violation to raise."""
        self.turn.took_long(refused, self._stream.long_size)
        self._stream.long_size = 0
        self._advance(refused.request_type or Hello.code, readable_part(refused) or refused)

    def _check_long(self, message: Message) -> None:
        self.turn.took_long(message, self._stream.long_size)
        self._stream.long_size = 0
        if self.limits.uri_length is not None:
            check_uri_length(message, self.limits.uri_length)

    def _advance(self, code: int, received: Message | InvalidRequest) -> None:
        self._state = next_state(self._state, Direction.RECEIVED, code)
        if self._request_ids is None or code not in SEQUENTIAL:
            return
        if isinstance(received, Call) and self._router.may_continue(self.session_id, received):
            return
        self._request_ids.check(getattr(received, "request_id", None))

    # Before the session is open

    async def send_now(self, message: Message) -> None:
        """Send a message of the handshake and wait until it is written. ``ending`` may be set meanwhile."""
        state = next_state(self._state, Direction.SENT, message.code)
        await self._send({"type": "wamp.message", "message": message.to_list()})
        if self.ending is None:
            self._state = state

    async def answer(self) -> Message | None:
        """Wait for the client's answer to CHALLENGE; return None if the session was refused meanwhile."""
        try:
            with anyio.CancelScope() as self._answer_scope:
                return await self.receive()
        finally:
            self._answer_scope = None
        return None

    async def refuse(self, reason: str, text: str | None = None) -> None:
        """Answer the handshake with ABORT; ``text`` becomes Details.message."""
        if self.ending is None:
            self.counts.aborted += 1
            self.ending = Ending(reason, "server")
            if self._answer_scope is not None:
                self._answer_scope.cancel()
            self._state = next_state(self._state, Direction.SENT, Abort.code)
            self._refusal = anyio.Event()
            try:
                await self._send({"type": "wamp.message", "message": Abort(_details(text), reason).to_list()})
            finally:
                self._refusal.set()

    async def refusal_sent(self) -> None:
        """Wait until the ABORT of ``refuse``, which another task may have called, is written."""
        if self._refusal is not None:
            await self._refusal.wait()

    # While the session is open

    def open(self, owner: TaskOwner, served: ServedSession) -> None:
        """Open the session after WELCOME: from now on messages are queued, and can be sent at any time.

        ``owner`` owns the tasks that write them.
        """
        limits = self.limits
        self._served = served
        self._joined = True
        self.handshake.deadline = math.inf
        self._place.session_opens()
        self._stream.set_limits(limits)
        self._outbound, self._encoding = open_outbound(
            self._stream,
            self._send,
            owner,
            limits=limits,
            counts=self.counts,
            reactions=Reactions(
                overflowed=self._overflow,
                stuck=self._stuck,
                events_dropped=self._count_dropped,
                stretch_ended=self._report_dropped,
                replace=self._replace,
                failed=self._cut_after,
            ),
        )
        self._encode = self._encoding.encode

    def send(self, message: Message, uri: str | None = None) -> None:
        """Queue a message other than EVENT. Never waits; does nothing when the session is over.

        ``uri`` is the procedure or topic to name in the log if the message cannot be serialized.
        """
        self.send_raw(message.to_list(), uri)

    def send_error(self, request_type: int, request_id: int, error: WAMPError) -> None:
        """Answer a request of the client with ERROR."""
        self.send_raw(Error.answering(request_type, request_id, error).to_list())

    def send_raw(self, raw: RawMessage, uri: str | None = None) -> None:
        """Queue a message given as a list; see ``send``."""
        if self._outbound is None:
            return
        if raw[0] in _ANSWERS:
            self._count_answer(raw)
        self._queue(raw, uri)

    def _count_answer(self, raw: RawMessage) -> None:
        counts = self.counts
        if raw[0] == _RESULT:
            if not raw[2].get("progress", False):
                counts.results += 1
        elif raw[1] != _CALL:
            counts.other_errors += 1
        elif raw[4] == CANCELED:
            counts.canceled += 1
        else:
            counts.call_errors += 1

    def _queue(self, raw: RawMessage, uri: str | None = None, *, last: bool = False) -> None:
        outbound = self._outbound
        if outbound is None:
            return
        try:
            item, size = self._encode(raw)
        except UnserializableValue as error:
            replacement = self._replace(raw, error, uri)
            if replacement is not None:
                self._queue(replacement)
            return
        if last:
            outbound.finish(item, size)
        else:
            outbound.put(item, size)

    def send_event(self, event: SharedEvent) -> bool:
        """Queue an EVENT, which may be shared with other peers; return False if it cannot be sent.

        A middleware serializes it later, and then only the log tells.
        """
        outbound = self._outbound
        if outbound is None:
            return False
        found = event.encodings.get(self._encoding.name)
        if found is None:
            found = self._encode_event(event)
            if found is None:
                return False
        item, size = found
        outbound.put_event(item, size)
        return True

    def _encode_event(self, event: SharedEvent) -> tuple[Any, int] | None:
        name = self._encoding.name
        if name in event.encodings:
            # Another peer with this serializer has already logged that the event cannot be serialized.
            return None
        try:
            found = event.encodings[name] = self._encode(event.raw)
        except UnserializableValue as error:
            event.encodings[name] = None
            self._replace(event.raw, error)
            return None
        return found

    def send_topic_event(
        self, topic: str, args: list[Any], kwargs: dict[str, Any], details: dict[str, Any]
    ) -> bool:
        """Send an event to this session alone if it is subscribed to the topic; return whether it is."""
        return self._served is not None and self._served.send_event(topic, args, kwargs, details)

    def revoke_subscription(self, subscription_id: int, reason: str | None) -> None:
        """Revoke a subscription of the session."""
        if self._served is not None:
            self._served.revoke_subscription(subscription_id, reason)

    @property
    def overloaded(self) -> bool:
        """Return whether the queue of this peer is so full that it gets no more invocations for now."""
        return self._outbound is not None and self._outbound.half_full

    async def uncongested(self) -> None:
        """Wait while the client reads more slowly than messages are sent to it."""
        if self._outbound is not None and self._outbound.congested:
            await self._outbound.drained()

    def _cut_after(self, raw: RawMessage, error: Exception) -> None:
        logger.error(
            "%s is cut off: a middleware failed to send %s",
            self,
            MESSAGE_NAMES[raw[0]],
            exc_info=error,
            extra=self._about(),
        )
        self.cut(RUNTIME_ERROR)

    def _replace(
        self, raw: RawMessage, error: UnserializableValue, uri: str | None = None
    ) -> RawMessage | None:
        return replace_unserializable(raw, error, uri, self._router, self._about())

    # The end

    def say_goodbye(self, reason: str, text: str | None = None) -> None:
        """Begin to close with GOODBYE; the client has ``close_timeout`` seconds to answer with its own."""
        if not self.established:
            return
        self._state = next_state(self._state, Direction.SENT, Goodbye.code)
        self.ending = Ending(reason, "server")
        self.leave()
        self._send_last(Goodbye(_details(text), reason))
        self.reading.deadline = anyio.current_time() + self.limits.close_timeout

    def answer_goodbye(self, reason: str, reply: str) -> None:
        """Answer the client's GOODBYE, or take it as the answer to ours. The session is over."""
        if self.ending is not None:
            self.ending = Ending(self.ending.reason, "server", orderly=True)
            return
        self.ending = Ending(reason, "client", orderly=True)
        self.leave()
        self._state = next_state(self._state, Direction.SENT, Goodbye.code)
        self._send_last(Goodbye({}, reply))

    def abort(self, reason: str, text: str | None = None) -> None:
        """End the session at once with ABORT; nothing more is read from the client."""
        if self.ending is not None and self.ending.orderly:
            return
        self.counts.aborted += 1
        self.ending = Ending(reason, "server")
        self.leave()
        self._send_last(Abort(_details(text), reason))
        self.cut(reason)

    def cut(self, reason: str, *, ended_by: Literal["client", "server"] = "server") -> None:
        """End the session at once without a message, because the connection is gone or unusable."""
        if self.ending is None:
            self.ending = Ending(reason, ended_by)
        self._state = SessionState.FAILED
        if self._outbound is not None:
            self._outbound.close()
        self.leave()
        self.reading.cancel()

    def leave(self) -> None:
        """Leave the router: the session gets no more events, calls or answers."""
        if self._joined:
            self._joined = False
            self._place.leave()
            self._router.leaving(self.session_id)

    def end(self) -> None:
        """Wake all tasks that wait for the end of the session."""
        if self._ended is None:
            self._ended = anyio.Event()
        self._ended.set()

    async def wait_ended(self) -> None:
        """Wait for the end of a session that was opened."""
        if self._ended is None:
            self._ended = anyio.Event()
        await self._ended.wait()

    async def written(self) -> None:
        """Wait until all messages sent so far are written."""
        if self._outbound is not None:
            await self._outbound.drained()

    async def flush(self) -> None:
        """Wait until all messages sent so far are written, for at most ``close_timeout`` seconds."""
        with anyio.move_on_after(self.limits.close_timeout, shield=True):
            await self.written()

    def _send_last(self, message: Message) -> None:
        self._queue(message.to_list(), last=True)

    def _overflow(self, lost: int, in_stretch: int) -> None:
        logger.warning("%s is ended: its client reads too slowly", self, extra=self._about())
        self._count_dropped(lost)
        self.counts.aborted += 1
        self.ending = Ending(PAYLOAD_SIZE_EXCEEDED, "server")
        # The queue was emptied, so ABORT follows the message that is being written.
        self._send_last(Abort(_details(overflow_text(self.limits)), PAYLOAD_SIZE_EXCEEDED))
        self.cut(PAYLOAD_SIZE_EXCEEDED)
        self._report_dropped(in_stretch)

    def _stuck(self) -> None:
        text = "%s is ended: its client has read nothing within the limit write_timeout of %s s"
        logger.warning(text, self, self.limits.write_timeout, extra=self._about())
        self.counts.aborted += 1
        self.cut(TIMEOUT)

    def _count_dropped(self, dropped: int) -> None:
        self.dropped += dropped
        self.counts.dropped += dropped

    def _report_dropped(self, dropped: int) -> None:
        self.counts.overflows += 1
        if self._served is not None:
            self._served.lost(dropped)


def _details(text: str | None) -> dict[str, Any]:
    return {} if text is None else {"message": text}
