"""A WebSocket on asyncio by the package picows, which parses frames in C.

This module adds the rules of RFC 6455 that picows leaves to its users: fragments, UTF-8 over fragments,
reserved bits, and some codes of close frames. It uses only the public interface of picows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSProtocolError, WSTransport

from wampasgi.client.waiting import Sendable
from wampasgi.client.websocket_errors import closed_by_client, closed_by_server, lost
from wampasgi.client.wire import WireClosed
from wampasgi.fragments import FragmentedMessage
from wampasgi.serializers.base import Encoded
from wampasgi.serializers.subprotocols import Subprotocol

#: The number of messages that wait for ``receive`` from which on nothing is read.
_MAX_ARRIVED: Final = 16
#: The number of unsent messages, with batching, from which on senders wait.
_MAX_UNSENT: Final = 64
#: The greatest time to wait for the peer when closing, in seconds.
_CLOSE_TIMEOUT: Final = 2.0
#: The maximum length of the reason in a close frame, in bytes (RFC 6455, section 5.5).
_MAX_REASON: Final = 123

_TEXT: Final = WSMsgType.TEXT
_BINARY: Final = WSMsgType.BINARY
_CONTINUATION: Final = WSMsgType.CONTINUATION
_PING: Final = WSMsgType.PING
_PONG: Final = WSMsgType.PONG

#: Stands for the code of a close frame that has none (section 7.4.1). It is never sent.
_NO_CODE: Final = 1005


class PicowsWire(WSListener):
    """A WebSocket whose messages are handled as they arrive, without a task in between.

    Sending writes to the socket, or to the buffer of its transport, before it waits for anything.
    ``max_size`` is the limit for a message from the server, in bytes.
    """

    def __init__(self, subprotocol: Subprotocol, max_size: int) -> None:
        self.subprotocol = subprotocol
        self._max_size = max_size
        self._loop = asyncio.get_running_loop()
        self._transport: WSTransport
        # Messages that have arrived before ``run``.
        self._arrived: deque[Encoded] = deque()
        self._received: Callable[[Encoded], None] = self._queue
        # The message whose last fragment has not arrived yet.
        self._unfinished: FragmentedMessage | None = None
        # The exception of the function that handles messages.
        self._failure: Exception | None = None
        # Why nothing can be sent any more. The connection may still be open for the server's close frame.
        self._closed: WireClosed | None = None
        # True after a close frame of the server or a violation: nothing more is received.
        self._stopped = False
        self._gone = asyncio.Event()
        self._changed = asyncio.Event()
        # Set when the transport's buffer has room again; None while it has.
        self._room: asyncio.Event | None = None
        # The payload of the latest ping that is unanswered, because the transport's buffer is full.
        self._ping: bytes | None = None
        self._abort_timer: asyncio.TimerHandle | None = None

    # Sending

    def put(self, message: Encoded, request: Sendable | None = None) -> Awaitable[None] | None:
        """Send a message, and return an awaitable if the transport's buffer is full."""
        # picows sends a close frame by itself if it finds a violation, or if no pong arrives.
        if self._closed is not None or self._transport.is_close_frame_sent:
            raise self._end()
        if request is not None:
            request.sent = True
        self._transport.send(_TEXT if isinstance(message, str) else _BINARY, message)
        return None if self._room is None else self._wait_for_room()

    def put_nowait(self, message: Encoded) -> None:
        """Send a message without waiting."""
        if self._closed is None and not self._transport.is_close_frame_sent:
            self._transport.send(_TEXT if isinstance(message, str) else _BINARY, message)

    async def _wait_for_room(self) -> None:
        if self._room is not None:
            await self._room.wait()
        if self._closed is not None:
            raise self._end()

    def pause_writing(self) -> None:
        """Let senders wait, because the transport's buffer is full."""
        if self._room is None:
            self._room = asyncio.Event()

    def resume_writing(self) -> None:
        """Let senders go on."""
        room, self._room = self._room, None
        if room is not None:
            room.set()
        if self._ping is not None:
            self._transport.send_pong(self._ping)
            self._ping = None

    # Receiving

    async def receive(self) -> Encoded:
        """Return the next frame."""
        while not self._arrived:
            if self._gone.is_set():
                raise self._end()
            self._changed.clear()
            await self._changed.wait()
        self._read_on(len(self._arrived) - 1)
        return self._arrived.popleft()

    async def run(self, received: Callable[[Encoded], None]) -> None:
        """Pass all frames to ``received``."""
        try:
            while self._arrived:
                received(self._arrived.popleft())
            self._received = received
            self._read_on(0)
            while self._failure is None and not self._gone.is_set():
                self._changed.clear()
                await self._changed.wait()
        finally:
            self._received = _ignore
            self._read_on(0)
        raise self._failure or self._end()

    def _queue(self, message: Encoded) -> None:
        self._arrived.append(message)
        self._changed.set()
        if len(self._arrived) >= _MAX_ARRIVED and not self._gone.is_set():
            self._transport.underlying_transport.pause_reading()

    def _read_on(self, waiting: int) -> None:
        """Read again if reading was paused and only few messages are waiting."""
        transport = self._transport.underlying_transport
        if waiting < _MAX_ARRIVED and not transport.is_reading() and not transport.is_closing():
            transport.resume_reading()

    def _pass_on(self, message: Encoded) -> None:
        try:
            self._received(message)
        except Exception as error:  # noqa: BLE001 - raised by ``run``
            self._failure = error
            self._received = _ignore
            self._changed.set()

    # Called by picows

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Take the open connection."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Handle a frame, whose payload is gone afterwards."""
        if transport.is_close_frame_sent and not self._still_counts(frame):
            return
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._fail(WSCloseCode.PROTOCOL_ERROR, "a reserved bit is set, but no extension was negotiated")
            return
        kind = frame.msg_type
        if kind is _TEXT and frame.fin and self._unfinished is None:
            try:
                text = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                self._fail(WSCloseCode.INVALID_TEXT, "a text message is not valid UTF-8")
            else:
                self._pass_on(text)
        elif kind is _BINARY and frame.fin and self._unfinished is None:
            self._pass_on(frame.get_payload_as_bytes())
        elif kind is _PING:
            self._answer_ping(frame.get_payload_as_bytes())
        elif kind in (_TEXT, _BINARY, _CONTINUATION):
            self._handle_fragment(frame, kind)
        elif kind is not _PONG:
            self._handle_close(frame.get_payload_as_bytes())

    def is_user_specific_pong(self, frame: WSFrame) -> bool:
        """Return whether a frame is the sign of life that picows has asked the server for."""
        return frame.msg_type is _PONG and not (frame.rsv1 or frame.rsv2 or frame.rsv3)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Fail everything that waits."""
        self._closed = self._end()
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self._gone.set()
        self._changed.set()
        if self._room is not None:
            self._room.set()

    def _still_counts(self, frame: WSFrame) -> bool:
        """Return whether to handle a frame that arrives after this side's close frame."""
        if self._stopped or frame.payload_size > self._max_size:
            return False
        if self._closed is not None:
            return True
        # picows has found a violation. It parses one frame ahead, so the frame before it counts. That frame
        # is followed by other bytes, which a later one rarely is.
        self._stopped = True
        return bool(frame.last_in_buffer and frame.tail_size)

    def _answer_ping(self, payload: bytes) -> None:
        if self._room is None:
            self._transport.send_pong(payload)
        else:
            # A server that sends pings and reads nothing must not fill the memory. Only the latest ping needs
            # an answer (RFC 6455, section 5.5.3).
            self._ping = payload

    def _handle_fragment(self, frame: WSFrame, kind: WSMsgType) -> None:
        message = self._unfinished
        if (kind is _CONTINUATION) is (message is None):
            self._fail(WSCloseCode.PROTOCOL_ERROR, "the frames of fragmented messages are out of order")
            return
        if message is None:
            message = self._unfinished = FragmentedMessage(is_text=kind is _TEXT)
        if message.size + frame.payload_size > self._max_size:
            self._fail(WSCloseCode.MESSAGE_TOO_BIG, f"a message is over the limit of {self._max_size} bytes")
            return
        try:
            whole = message.add(frame.get_payload_as_bytes(), final=bool(frame.fin))
        except UnicodeDecodeError:
            self._fail(WSCloseCode.INVALID_TEXT, "a text message is not valid UTF-8")
            return
        if whole is not None:
            self._unfinished = None
            self._pass_on(whole)

    def _handle_close(self, payload: bytes) -> None:
        # picows has refused most other payloads.
        code = int.from_bytes(payload[:2]) if payload else _NO_CODE
        if payload and (code in (0, 1006) or code >= 5000):
            self._fail(WSCloseCode.PROTOCOL_ERROR, "a close frame has an invalid code")
            return
        reason = payload[2:].decode()
        if self._closed is None:
            self._closed = closed_by_server(code, reason)
            self._transport.send_close(WSCloseCode(code) if payload else WSCloseCode.OK, reason)
        self._stop()

    # The end

    def _fail(self, code: WSCloseCode, reason: str) -> None:
        """Close the connection because of a violation."""
        if self._closed is None:
            self._closed = closed_by_client(code.value, reason)
            self._transport.send_close(code, reason)
        self._stop()

    def _stop(self) -> None:
        """Receive nothing more, and wait until the server closes the connection, but not for long."""
        self._stopped = True
        self._unfinished = None
        self._abort_later()

    def _abort_later(self) -> None:
        if self._abort_timer is None and not self._gone.is_set():
            self._abort_timer = self._loop.call_later(_CLOSE_TIMEOUT, self._transport.disconnect, False)

    def _end(self) -> WireClosed:
        """Return the reason of the end."""
        if self._closed is not None:
            return self._closed
        handshake = self._transport.close_handshake
        # It is None if there was no close frame, whatever its type says.
        sent = getattr(handshake, "sent", None)
        return lost() if sent is None else closed_by_client(sent.code.value, sent.reason)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close with a closing handshake."""
        if self._closed is None:
            self._closed = self._end() if self._transport.is_close_frame_sent else None
        if self._closed is None:
            reason = reason.encode()[:_MAX_REASON].decode(errors="ignore")
            self._transport.send_close(WSCloseCode(code), reason)
            self._closed = closed_by_client(code, reason)
        self._abort_later()
        await self._gone.wait()

    async def abort(self) -> None:
        """End the connection without a closing handshake, and wait until its socket is closed."""
        self._transport.disconnect(graceful=False)
        # It raises a violation that picows has found, which ``receive`` and ``run`` have raised.
        with suppress(WSProtocolError):
            await self._transport.wait_disconnected()


class BatchingPicowsWire(PicowsWire):
    """A WebSocket that sends all messages of one turn of the event loop in one frame."""

    def __init__(self, subprotocol: Subprotocol, max_size: int) -> None:
        super().__init__(subprotocol, max_size)
        self._unsent: deque[tuple[Encoded, Sendable | None]] = deque()

    def put(self, message: Encoded, request: Sendable | None = None) -> Awaitable[None] | None:
        """Queue a message, and return an awaitable if the transport's buffer or the queue is full."""
        if self._closed is not None or self._transport.is_close_frame_sent:
            raise self._end()
        self._append(message, request)
        return self._wait_for_room() if self._room is not None or len(self._unsent) > _MAX_UNSENT else None

    def put_nowait(self, message: Encoded) -> None:
        """Queue a message without waiting."""
        if self._closed is None and not self._transport.is_close_frame_sent:
            self._append(message, None)

    def _append(self, message: Encoded, request: Sendable | None) -> None:
        self._unsent.append((message, request))
        if len(self._unsent) == 1:
            self._loop.call_soon(self._flush)

    async def _wait_for_room(self) -> None:
        # Let ``_flush`` run.
        await asyncio.sleep(0)
        await super()._wait_for_room()

    def resume_writing(self) -> None:
        """Send the queue, and let senders go on."""
        super().resume_writing()
        self._flush()

    def _flush(self) -> None:
        if self._room is None:
            self._send_queue()

    def _send_queue(self) -> None:
        unsent, transport = self._unsent, self._transport
        if not unsent or self._closed is not None or transport.is_close_frame_sent:
            return
        for _, request in unsent:
            if request is not None:
                request.sent = True
        frame = self.subprotocol.frame([message for message, _ in unsent])
        unsent.clear()
        transport.send(_TEXT if isinstance(frame, str) else _BINARY, frame)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close with a closing handshake, after sending the queue."""
        self._send_queue()
        await super().close(code, reason)


def _ignore(message: Encoded) -> None:
    """Drop messages that nobody waits for any more."""
