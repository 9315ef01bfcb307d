"""A fast WebSocket transport for uvicorn, for any ASGI application.

``uvicorn myapp:app --ws wampasgi.transports.picows:WebSocketProtocol``. Frames are parsed in C by picows, and
those that are sent in one turn of the event loop are written together. It needs the extra ``fast``.

Spec: RFC 6455; ASGI, "WebSocket". permessage-deflate is not negotiated.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import AbstractEventLoop, CancelledError, TimerHandle
from enum import Enum
from typing import Any, ClassVar, Final, cast

from uvicorn.config import Config
from uvicorn.logging import TRACE_LOG_LEVEL
from uvicorn.protocols.utils import (
    ClientDisconnected,
    get_client_addr,
    get_local_addr,
    get_path_with_query_string,
    get_remote_addr,
    is_ssl,
)
from uvicorn.server import ServerState

from wampasgi.peers.frames import FrameSink, FrameSource
from wampasgi.transports import close_codes
from wampasgi.transports.frame_channel import FRAMES
from wampasgi.transports.frame_parser import FrameParser
from wampasgi.transports.frame_writer import (
    DirectSink,
    FrameWriter,
    binary_frame,
    close_frame,
    ping_frame,
    pong_frame,
    text_frame,
)
from wampasgi.transports.inbox import Inbox
from wampasgi.transports.keepalive import Keepalive
from wampasgi.transports.upgrade import (
    Headers,
    UpgradeRequest,
    accept_response,
    denial_response,
    refusal_response,
)
from wampasgi.transports.write_deadline import WriteDeadline
from wampasgi.types import ASGIEvent, Scope

logger = logging.getLogger("uvicorn.error")

#: The bytes that a client may send before the handshake is accepted.
_EARLY: Final = 16 * 1024


class _State(Enum):
    CONNECTING = "the application has not answered the handshake"
    OPEN = "messages are exchanged"
    CLOSING = "a close frame, or a response other than 101, was sent"
    CLOSED = "the connection is lost"


class WebSocketProtocol(asyncio.BufferedProtocol):
    """One connection, from the request for a WebSocket to its end.

    uvicorn creates it with the configuration of the server, and passes on the request. The options
    ``ws_max_size``, ``ws_max_queue``, ``ws_ping_interval`` and ``ws_ping_timeout`` apply as they do to
    uvicorn's own protocols.

    **Backpressure.** A client is read until ``ws_max_queue`` messages, or one of more than 64 KiB, wait for
    the application. Those that came in the same 16 KiB are kept as well. ``send`` waits as long as more than
    64 KiB wait for the client. If it reads nothing of them for ``write_timeout``, its socket is aborted.
    """

    #: Seconds in which a client must read something, if more than 64 KiB wait for it.
    write_timeout: ClassVar[float] = 10.0
    #: Seconds for the client to answer a close frame, and to read what was sent before it. Then the socket
    #: is aborted.
    close_timeout: ClassVar[float] = 10.0

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        #: The configuration of the server.
        self.config = config
        self._server_state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._writer: FrameWriter
        self._write_deadline: WriteDeadline
        self._request: UpgradeRequest
        self._scope: Scope = {}
        self._state = _State.CONNECTING
        self._parser: FrameParser | None = None
        # The bytes that a client sends before its handshake is accepted, and the buffer for them.
        self._early = bytearray()
        self._early_buffer: bytearray | None = None
        # Status, headers and body of a response that refuses the handshake.
        self._denial: tuple[int, Headers, bytearray] | None = None
        # The application has received websocket.connect, and has sent websocket.close.
        self._connect_received = False
        self._closed_by_app = False
        self._inbox = Inbox(
            self._loop, config.ws_max_queue, pause=self._pause_reading, resume=self._resume_reading
        )
        #: Nothing is read, because the application does not receive.
        self.reading_paused = False
        # The last ping, if it was not answered because the client does not read.
        self._unanswered: bytes | None = None
        self._abort_timer: TimerHandle | None = None
        self._keepalive = Keepalive(self._loop, config.ws_ping_interval, config.ws_ping_timeout, self)

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with the transport of the HTTP connection."""
        self._transport = cast("asyncio.Transport", transport)
        self._writer = FrameWriter(self._transport, self._loop)
        self._write_deadline = WriteDeadline(
            self._loop, self._transport, self.write_timeout, self._log_write_timeout
        )
        self._server_state.connections.add(cast("Any", self))
        self._trace("WebSocket connection made")

    def data_received(self, data: bytes) -> None:
        """Handle the request, which uvicorn's HTTP protocol has parsed. Frames are read with a buffer."""
        self._request = request = UpgradeRequest.parse(data)
        refusal = request.refusal()
        if refusal is not None:
            self._end_handshake(refusal_response(*refusal))
            return
        transport, config = self._transport, self.config
        self._scope = {
            **request.scope(config.root_path),
            "asgi": {"version": config.asgi_version, "spec_version": "2.4"},
            "scheme": "wss" if is_ssl(transport) else "ws",
            "server": get_local_addr(transport),
            "client": get_remote_addr(transport),
            "state": self._app_state.copy(),
            "extensions": {"websocket.http.response": {}, FRAMES: {"channel": self}},
        }
        task = self._loop.create_task(self._run_app())
        self._server_state.tasks.add(task)
        task.add_done_callback(self._server_state.tasks.discard)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the application that the connection is gone, unless it knows."""
        self._state = _State.CLOSED
        self._keepalive.stop()
        self._write_deadline.stop()
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        if self._parser is not None:
            self._parser.stop()
        self._writer.close()
        self._end_inbox(close_codes.ABNORMAL, "")
        self._server_state.connections.discard(cast("Any", self))
        self._trace("WebSocket connection lost")

    def eof_received(self) -> None:
        """Let the transport close; it writes what it has, for at most ``close_timeout`` seconds."""
        self._state = _State.CLOSING
        self._writer.finish()
        self._end_inbox(close_codes.ABNORMAL, "")
        self._abort_later()

    def pause_writing(self) -> None:
        """Make senders wait."""
        self._writer.pause()
        self._write_deadline.start()

    def resume_writing(self) -> None:
        """Wake the senders, and answer the last ping."""
        self._write_deadline.stop()
        self._writer.resume()
        ping, self._unanswered = self._unanswered, None
        if ping is not None:
            self.on_ping(ping)

    def shutdown(self) -> None:
        """Close the connection, because the server shuts down."""
        if self._state is _State.CONNECTING:
            self._end_handshake(denial_response(503, [], b"The server is shutting down.\n"))
            self._end_inbox(close_codes.SERVICE_RESTART, "")
        elif self._state is _State.OPEN:
            self._close(close_codes.SERVICE_RESTART, "")
        else:
            self._transport.close()

    def _log_write_timeout(self) -> None:
        self._log_answer("is aborted, because its client reads nothing")

    def _trace(self, text: str) -> None:
        if logger.isEnabledFor(TRACE_LOG_LEVEL):
            host, port = get_remote_addr(self._transport) or ("", 0)
            logger.log(TRACE_LOG_LEVEL, "%s%s", f"{host}:{port} - " if host else "", text)

    # Reading

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer for the next bytes of the client."""
        if self._parser is not None:
            return self._parser.get_buffer(sizehint)
        if self._early_buffer is None:
            self._early_buffer = bytearray(_EARLY)
        return memoryview(self._early_buffer)

    def buffer_updated(self, nbytes: int) -> None:
        """Handle the frames in the buffer, and write their answers together."""
        if self._parser is None:
            assert self._early_buffer is not None
            self._early += self._early_buffer[:nbytes]
            if len(self._early) >= _EARLY:
                self._pause_reading()
            return
        writer = self._writer
        writer.reading = True
        try:
            self._inbox.read(self._parser.buffer_updated, nbytes)
        finally:
            writer.end_read()

    def on_message(self, data: str | bytes) -> None:
        """Pass a message to the application. Those that come after our close frame are discarded."""
        if self._state is _State.OPEN:
            self._inbox.put(data)

    def on_ping(self, payload: bytes) -> None:
        """Answer a ping. If the client does not read, only its last ping is answered (section 5.5.3)."""
        if self._writer.paused:
            self._unanswered = payload
        elif self._state is _State.OPEN:
            self._writer.write_anyway(pong_frame(payload))

    def on_pong(self, payload: bytes) -> None:
        """Note that the client is alive."""
        self._keepalive.on_pong(payload)

    def on_close(self, code: int, reason: str) -> None:
        """Answer a close frame, or take it as the answer to ours, and close the connection."""
        if self._state is _State.OPEN:
            self._send_close(code, "")
            self._end_inbox(code, reason)
        self._transport.close()

    def on_violation(self, code: int, reason: str) -> None:
        """Fail the connection of a client that breaks the protocol (section 7.1.7)."""
        if self._state is _State.OPEN:
            self._send_close(code, reason)
            self._end_inbox(code, reason)
        if self._transport.can_write_eof() and not self._transport.is_closing():
            # Closing a socket that has unread bytes could destroy the close frame on its way.
            self._transport.write_eof()
        else:
            self._transport.close()

    def _pause_reading(self) -> None:
        if not self.reading_paused and not self._transport.is_closing():
            self.reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self.reading_paused:
            self.reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    # Keepalive

    def ping(self, payload: bytes) -> None:
        """Send a ping."""
        self._writer.write_anyway(ping_frame(payload))

    def on_pong_timeout(self) -> None:
        """End the connection of a client that does not answer pings."""
        self._trace("WebSocket keepalive ping timeout")
        self._close(close_codes.INTERNAL_ERROR, "keepalive ping timeout")
        self._transport.close()

    # Closing

    def _close(self, code: int, reason: str) -> None:
        """Begin the closing handshake (section 7.1.2)."""
        self._send_close(code, reason)
        self._end_inbox(code, reason)
        # What the client has sent before its close frame is discarded.
        self._resume_reading()

    def _send_close(self, code: int, reason: str) -> None:
        # A reason that has no UTF-8 form raises before anything has changed.
        payload = b""
        if code != close_codes.NO_CODE:
            payload = code.to_bytes(2) + close_codes.shortened(reason).encode()
        self._state = _State.CLOSING
        self._keepalive.stop()
        self._writer.write_anyway(close_frame(payload))
        self._writer.finish()
        self._abort_later()

    def _abort_later(self) -> None:
        if self._abort_timer is None:
            self._abort_timer = self._loop.call_later(self.close_timeout, self._transport.abort)

    def _end_inbox(self, code: int, reason: str) -> None:
        self._inbox.end({"type": "websocket.disconnect", "code": code, "reason": reason})

    def _end_handshake(self, response: bytes) -> None:
        """Send a response other than 101, and close the connection."""
        self._state = _State.CLOSING
        self._transport.write(response)
        self._transport.close()
        self._abort_later()

    # The application

    async def _run_app(self) -> None:
        # Applications are typed to return nothing, but some do.
        result: object = None
        try:
            result = await self.config.loaded_app(self._scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except (CancelledError, KeyboardInterrupt, SystemExit):
            self._end_after_app(close_codes.INTERNAL_ERROR)
            raise
        except BaseException:
            logger.exception("Exception in ASGI application\n")
            self._end_after_app(close_codes.INTERNAL_ERROR)
            return
        if self._state is _State.CONNECTING:
            logger.error("ASGI callable returned without completing handshake.")
        elif result is not None:
            logger.error("ASGI callable should return None, but returned '%s'.", result)
        self._end_after_app(close_codes.NORMAL)

    def _end_after_app(self, code: int) -> None:
        if self._state is _State.CONNECTING:
            self._end_handshake(denial_response(500, [], b"Internal Server Error"))
        elif self._state is _State.OPEN:
            self._close(code, "")

    async def receive(self) -> ASGIEvent:
        """ASGI ``receive``. After websocket.disconnect, it returns that event again."""
        if not self._connect_received:
            self._connect_received = True
            return {"type": "websocket.connect"}
        item = await self._inbox.receive()
        if type(item) is str:
            return {"type": "websocket.receive", "text": item}
        if type(item) is bytes:
            return {"type": "websocket.receive", "bytes": item}
        return cast("ASGIEvent", item)

    async def send(self, message: ASGIEvent) -> None:
        """ASGI ``send``.

        Raises OSError if the connection is gone, and RuntimeError for an event that is not allowed now.
        """
        if self._writer.paused:
            await self._writer.drained()
        if self._state is _State.OPEN:
            if self._transport.is_closing():
                # The client is gone, which the event loop could never report to an app that only sends.
                raise ClientDisconnected()
            if message["type"] == "websocket.send":
                self._writer.write_anyway(_framed(message))
            elif message["type"] == "websocket.close":
                self._close_for_app(message.get("code", close_codes.NORMAL), message.get("reason") or "")
            else:
                raise _unexpected(message, "'websocket.send' or 'websocket.close'")
        elif self._closed_by_app:
            raise RuntimeError(
                f"Unexpected ASGI message {message['type']!r}, after sending 'websocket.close' or a response."
            )
        elif self._state is _State.CONNECTING:
            self._answer_handshake(message)
        else:
            raise ClientDisconnected()

    def _close_for_app(self, code: int, reason: str) -> None:
        if not close_codes.may_be_sent(code) and code != close_codes.NO_CODE:
            raise ValueError(f"websocket.close has the code {code}, which must not be sent")
        self._close(code, reason)
        self._closed_by_app = True

    # The extension of wampasgi.transports.frame_channel

    @property
    def source(self) -> FrameSource:
        """The direct way of messages from the client."""
        return self._inbox

    def sink(self, *, binary: bool) -> FrameSink:
        """Return the direct way of messages to the client."""
        frame = binary_frame if binary else text_frame
        return DirectSink(self._writer, frame, self._write_deadline.set_timeout)

    # The handshake

    def _answer_handshake(self, message: ASGIEvent) -> None:
        kind = message["type"]
        if self._denial is not None:
            self._extend_denial(message)
        elif kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.close":
            self._log_answer("403")
            self._deny(403, [], b"")
        elif kind == "websocket.http.response.start":
            status = message["status"]
            if not 200 <= status < 600:
                raise RuntimeError(f"Invalid HTTP status code '{status}' in response.")
            self._log_answer(str(status))
            self._denial = status, list(message.get("headers", [])), bytearray()
        else:
            expected = "'websocket.accept', 'websocket.close' or 'websocket.http.response.start'"
            raise _unexpected(message, expected)

    def _accept(self, message: ASGIEvent) -> None:
        headers = [*self._server_state.default_headers, *message.get("headers", [])]
        response = accept_response(self._request, message.get("subprotocol"), headers)
        self._log_answer("[accepted]")
        self._transport.write(response)
        self._state = _State.OPEN
        self._parser = FrameParser(self, self.config.ws_max_size)
        self._keepalive.start()
        early, self._early, self._early_buffer = bytes(self._early), bytearray(), None
        self._resume_reading()
        self._parser.feed(early)

    def _extend_denial(self, message: ASGIEvent) -> None:
        if message["type"] != "websocket.http.response.body":
            raise _unexpected(message, "'websocket.http.response.body'")
        assert self._denial is not None
        status, headers, body = self._denial
        body += message.get("body", b"")
        if not message.get("more_body", False):
            self._deny(status, headers, bytes(body))

    def _deny(self, status: int, headers: Headers, body: bytes) -> None:
        response = denial_response(status, headers, body)
        self._closed_by_app = True
        self._end_handshake(response)
        self._end_inbox(close_codes.ABNORMAL, "")

    def _log_answer(self, answer: str) -> None:
        scope = cast("Any", self._scope)
        client, path = get_client_addr(scope), get_path_with_query_string(scope)
        logger.info('%s - "WebSocket %s" %s', client, path, answer)


def _framed(message: ASGIEvent) -> bytes:
    data = message.get("bytes")
    if data is not None:
        return binary_frame(data)
    return text_frame(message["text"].encode())


def _unexpected(message: ASGIEvent, expected: str) -> RuntimeError:
    return RuntimeError(f"Expected ASGI message {expected}, but got {message['type']!r}.")
