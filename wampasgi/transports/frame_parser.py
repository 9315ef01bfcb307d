"""The WebSocket frames of a client, parsed with picows.

picows parses and unmasks frames in C. This module adds the rules of RFC 6455 that it leaves to its users:
fragments, UTF-8 over fragments, reserved bits, and the codes of close frames. When it is imported, it parses
a few frames, so that a server does not start with a version of picows that behaves differently.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from wampasgi.fragments import FragmentedMessage
from wampasgi.transports import close_codes
from wampasgi.transports.picows_parser import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    WSListener,
    new_parser,
    refuse,
    write_to,
)

#: Bytes that are read at once. One read must not occupy the event loop for long, even if all frames are tiny.
_READ_SIZE: Final = 16 * 1024
#: The same inside a frame that is longer than a read.
_LONG_READ_SIZE: Final = 64 * 1024
#: A read buffer with more room than this has grown for a long frame. It is replaced after the frame.
_GROWN: Final = 128 * 1024
#: Takes the bytes that are not parsed any more.
_DISCARDED: Final = memoryview(bytearray(_READ_SIZE))


class FrameReceiver(Protocol):
    """Handles what a client sends. The methods are called in the order of the frames."""

    def on_message(self, data: str | bytes) -> None:
        """Handle a message; its fragments are joined."""

    def on_ping(self, payload: bytes) -> None:
        """Handle a ping."""

    def on_pong(self, payload: bytes) -> None:
        """Handle a pong."""

    def on_close(self, code: int, reason: str) -> None:
        """Handle a close frame, after which nothing is parsed; the code is ``NO_CODE`` if it has none."""

    def on_violation(self, code: int, reason: str) -> None:
        """Handle a violation of RFC 6455, after which nothing is parsed; ``code`` is its close code."""


def _discarding(sizehint: int) -> memoryview:
    return _DISCARDED


def _ignore(nbytes: int) -> None:
    """Parse nothing."""


class FrameParser(WSListener):  # type: ignore[misc]
    """Parses the frames of one client and passes them to ``receiver``.

    ``get_buffer`` and ``buffer_updated`` are those of an asyncio.BufferedProtocol. A message of more than
    ``max_size`` bytes, which may come in fragments, is a violation with code 1009. The parser takes at most
    twice as much memory for an unfinished frame, and ``max_size`` bytes for the fragments before it.
    """

    __slots__ = (
        "_buffer_updated",
        "_get_buffer",
        "_grown",
        "_max_size",
        "_on_message",
        "_read_size",
        "_receiver",
        "_stopped",
        "_unfinished",
        "_violation",
    )

    def __init__(self, receiver: FrameReceiver, max_size: int) -> None:
        self._receiver = receiver
        self._on_message = receiver.on_message
        self._max_size = max_size
        # The message whose last fragment has not arrived yet.
        self._unfinished: FragmentedMessage | None = None
        self._read_size = _READ_SIZE
        # True if the read buffer has grown, so that it is to be replaced when it is empty.
        self._grown = False
        # Reported after the frames before it, because picows parses a frame before it passes on the last one.
        self._violation: tuple[int, str] | None = None
        # True if nothing more is parsed, because of a close frame or a violation.
        self._stopped = False
        self._renew()

    def _renew(self) -> None:
        """Begin with a new read buffer. Those of picows grow and never shrink."""
        self._grown = False
        self._get_buffer, self._buffer_updated = new_parser(self, self._refuse_frame, self._max_size)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return a buffer for the next bytes of the client."""
        if self._stopped:
            return _DISCARDED
        buffer: memoryview = self._get_buffer(sizehint)
        if len(buffer) <= self._read_size:
            return buffer
        if len(buffer) > _GROWN:
            self._grown = True
        return buffer[: self._read_size]

    def buffer_updated(self, nbytes: int) -> None:
        """Parse the bytes that were written to the buffer, and call the receiver for each frame."""
        if self._stopped:
            return
        # Until a frame is complete.
        self._read_size = _LONG_READ_SIZE
        self._buffer_updated(nbytes)
        if self._violation is not None:
            violation, self._violation = self._violation, None
            self.stop()
            self._receiver.on_violation(*violation)

    def feed(self, data: bytes) -> None:
        """Parse bytes that were read before the parser existed."""
        write_to(self.get_buffer, self.buffer_updated, data)

    def stop(self) -> None:
        """Parse nothing more; bytes of the client are discarded from now on."""
        self._stopped = True
        self._unfinished = None
        # They hold the read buffer, and refer back to this object, so that only the garbage collector would
        # free it. The one that is running stays until it returns.
        self._get_buffer, self._buffer_updated = _discarding, _ignore

    # Called by picows

    def on_ws_frame(self, transport: object, frame: Any) -> None:
        """Handle a frame, whose payload is gone afterwards."""
        if self._stopped:
            return
        self._read_size = _READ_SIZE
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._fail(close_codes.PROTOCOL_ERROR, "a reserved bit is set, but no extension was negotiated")
            return
        if self._grown:
            self._replace_buffer_after(frame)
        kind = frame.msg_type
        if kind is TEXT and frame.fin and self._unfinished is None:
            try:
                text = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                self._fail(close_codes.INVALID_TEXT, "a text message is not valid UTF-8")
            else:
                self._on_message(text)
        elif kind is BINARY and frame.fin and self._unfinished is None:
            self._on_message(frame.get_payload_as_bytes())
        elif kind is PING:
            self._receiver.on_ping(frame.get_payload_as_bytes())
        elif kind is PONG:
            self._receiver.on_pong(frame.get_payload_as_bytes())
        elif kind in (TEXT, BINARY, CONTINUATION):
            self._handle_fragment(frame, kind)
        else:
            self._handle_close(frame.get_payload_as_bytes())

    def _refuse_frame(self, code: int, reason: str) -> None:
        """Report a violation that picows has found, unless there was one before."""
        if self._violation is None and not self._stopped:
            self._violation = code, reason

    def _fail(self, code: int, reason: str) -> None:
        # If picows has found one as well, that is in a later frame.
        self._violation = code, reason
        self._stopped = True

    def _handle_fragment(self, frame: Any, kind: object) -> None:
        message = self._unfinished
        if (kind is CONTINUATION) is (message is None):
            self._fail(close_codes.PROTOCOL_ERROR, "the frames of fragmented messages are out of order")
            return
        if message is None:
            message = self._unfinished = FragmentedMessage(is_text=kind is TEXT)
        if message.size + frame.payload_size > self._max_size:
            self._fail(close_codes.MESSAGE_TOO_BIG, f"a message is over the limit of {self._max_size} bytes")
            return
        try:
            whole = message.add(frame.get_payload_as_bytes(), final=bool(frame.fin))
        except UnicodeDecodeError:
            self._fail(close_codes.INVALID_TEXT, "a text message is not valid UTF-8")
            return
        if whole is not None:
            self._unfinished = None
            self._on_message(whole)

    def _handle_close(self, payload: bytes) -> None:
        code, reason = close_codes.NO_CODE, ""
        if payload:
            code = int.from_bytes(payload[:2])
            if len(payload) == 1 or not close_codes.may_be_sent(code):
                self._fail(close_codes.PROTOCOL_ERROR, "a close frame has an invalid code")
                return
            try:
                reason = payload[2:].decode()
            except UnicodeDecodeError:
                self._fail(close_codes.INVALID_TEXT, "the reason of a close frame is not valid UTF-8")
                return
        # Everything after a close frame is ignored, violations included.
        self._violation = None
        self.stop()
        self._receiver.on_close(code, reason)

    def _replace_buffer_after(self, frame: Any) -> None:
        if frame.last_in_buffer and not frame.tail_size:
            # The buffer of this frame stays as long as picows handles it.
            self._renew()


class _Recorder:
    """Records the frames of the check below."""

    def __init__(self) -> None:
        self.frames: list[tuple[object, ...]] = []

    def on_message(self, data: str | bytes) -> None:
        self.frames.append((data,))

    def on_ping(self, payload: bytes) -> None:
        self.frames.append(("ping", payload))

    def on_pong(self, payload: bytes) -> None:
        self.frames.append(("pong", payload))

    def on_close(self, code: int, reason: str) -> None:
        self.frames.append(("close", code, reason))

    def on_violation(self, code: int, reason: str) -> None:
        self.frames.append(("violation", code))


def _check_picows() -> None:
    """Parse some frames. Raises ConfigurationError if picows does not do what this module needs."""
    mask = bytes(4)
    fragments = b"\x02\x81" + mask + b"a", b"\x89\x80" + mask, b"\x80\x81" + mask + b"b"
    stream = b"".join((b"\x81\x82" + mask + b"hi", *fragments, b"\x83\x80" + mask))
    recorder = _Recorder()
    try:
        parser = FrameParser(recorder, 100)
        for index in range(len(stream)):
            parser.feed(stream[index : index + 1])
    except Exception as error:  # noqa: BLE001 - raised again
        refuse(f"the installed version behaves differently ({error!r})", error)
    if recorder.frames != [("hi",), ("ping", b""), (b"ab",), ("violation", close_codes.PROTOCOL_ERROR)]:
        refuse(f"the installed version parses frames differently ({recorder.frames})")


async def _check_in_loop() -> None:
    _check_picows()


def _check_at_import() -> None:
    # picows needs a running event loop, which a server has when it imports this module.
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(_check_in_loop())
        loop.close()
    else:
        _check_picows()


_check_at_import()
