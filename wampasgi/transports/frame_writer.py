"""The frames that a server sends to one client, written together.

A system call for each message costs more than everything else in its way. Therefore the frames of one turn of
the event loop are written in one piece: at the end of the read that they answer, or at the end of the turn.
"""

from __future__ import annotations

import asyncio
import struct
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

#: Frames of this size in bytes are written before the end of the turn.
_MUCH: Final = 64 * 1024

#: Fewer bytes than these are joined before they are written. For more, the copy would cost too much.
_COPIED: Final = 16 * 1024

#: Payloads of fewer bytes have their size in the second byte of the header.
_SHORT: Final = 126
_HEADER_16: Final = struct.Struct("!BBH").pack
_HEADER_64: Final = struct.Struct("!BBQ").pack


def framing(opcode: int) -> Callable[[bytes], bytes]:
    """Return a function that makes an unfragmented frame of a payload (RFC 6455, section 5.2).

    The ``opcode`` includes the bit FIN.
    """
    headers = [bytes((opcode, size)) for size in range(_SHORT)]

    def frame(payload: bytes) -> bytes:
        size = len(payload)
        if size < _SHORT:
            return headers[size] + payload
        if size < 1 << 16:
            return _HEADER_16(opcode, 126, size) + payload
        return _HEADER_64(opcode, 127, size) + payload

    return frame


text_frame: Final = framing(0x81)
binary_frame: Final = framing(0x82)
close_frame: Final = framing(0x88)
ping_frame: Final = framing(0x89)
pong_frame: Final = framing(0x8A)


class FrameWriter:
    """Collects the frames to one client and writes them together.

    Nothing waits here. Whoever can wait should await ``drained`` if ``write`` returns False.
    """

    __slots__ = (
        "_due",
        "_early",
        "_finished",
        "_frames",
        "_loop",
        "_size",
        "_transport",
        "_waiters",
        "paused",
        "reading",
    )

    def __init__(self, transport: asyncio.Transport, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._due = _due_in(loop)
        self._frames: list[bytes] = []
        self._size = 0
        # The number of frames of this turn that were written because they were many bytes.
        self._early = 0
        self._finished = False
        self._waiters: list[Future[None]] | None = None
        #: The client reads so slowly that the buffer of the transport is full.
        self.paused = False
        #: True while the frames of one read are handled; ``end_read`` then writes the answers.
        self.reading = False

    @property
    def pending(self) -> int:
        """The number of frames of this turn."""
        return self._early + len(self._frames)

    def write(self, framed: bytes) -> bool:
        """Write a frame by the end of the turn; return False if the client reads too slowly."""
        if self.paused:
            return False
        self.write_anyway(framed)
        return True

    def write_anyway(self, framed: bytes) -> None:
        """Write a frame by the end of the turn, even if the client reads slowly."""
        if self._finished:
            return
        frames = self._frames
        if not frames and not self.reading:
            self._due.add(self, self._loop)
        frames.append(framed)
        self._size += len(framed)
        if self._size > _MUCH:
            self._early += len(frames)
            self._flush()

    def finish(self) -> None:
        """Write the last frames now, ignore all later ones, and wake the tasks that wait for the client."""
        self.flush()
        self._finished = True
        self.resume()

    def end_read(self) -> None:
        """Write the frames that answer what was just read."""
        self.reading = False
        self.flush()

    def flush(self) -> None:
        """Write all frames now, at the end of the turn."""
        self._early = 0
        self._flush()

    def _flush(self) -> None:
        if self._frames:
            frames, self._frames, size, self._size = self._frames, [], self._size, 0
            if len(frames) == 1:
                self._transport.write(frames[0])
            elif size < _COPIED:
                self._transport.write(b"".join(frames))
            else:
                self._transport.writelines(frames)

    def pause(self) -> None:
        """Note that the client reads so slowly that the buffer of the transport is full."""
        self.paused = not self._finished

    def resume(self) -> None:
        """Note that the client has read enough, and wake the tasks that wait for it."""
        self.paused = False
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    async def drained(self) -> None:
        """Wait until the client has read enough, or is gone."""
        while self.paused:
            waiter = self._loop.create_future()
            if self._waiters is None:
                self._waiters = []
            self._waiters.append(waiter)
            await waiter

    def close(self) -> None:
        """Write nothing more, because the connection is lost."""
        self._finished = True
        self._frames = []
        self.resume()


class DirectSink:
    """The direct way of text or of binary messages to a client; ``frame`` makes the frames."""

    __slots__ = ("_writer", "drained", "frame", "set_write_timeout", "write")

    def __init__(
        self,
        writer: FrameWriter,
        frame: Callable[[bytes], bytes],
        set_write_timeout: Callable[[float | None], None],
    ) -> None:
        self._writer = writer
        #: Returns a frame with a message.
        self.frame = frame
        #: Writes a frame by the end of the turn; returns False if the client reads too slowly.
        self.write = writer.write
        #: Waits until the client has read enough.
        self.drained = writer.drained
        #: Sets the time in which the client must read something while frames wait for it.
        self.set_write_timeout = set_write_timeout

    @property
    def pending(self) -> int:
        """The number of frames of this turn."""
        return self._writer.pending


class _Due:
    """The writers of one event loop that have frames at the end of the turn."""

    __slots__ = ("_writers",)

    def __init__(self) -> None:
        self._writers: list[FrameWriter] = []

    def add(self, writer: FrameWriter, loop: AbstractEventLoop) -> None:
        if not self._writers:
            loop.call_soon(self._flush)
        self._writers.append(writer)

    def _flush(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.flush()


# The values do not refer to their loop, which would keep it alive.
_all_due: Final[WeakKeyDictionary[AbstractEventLoop, _Due]] = WeakKeyDictionary()


def _due_in(loop: AbstractEventLoop) -> _Due:
    found = _all_due.get(loop)
    if found is None:
        found = _all_due[loop] = _Due()
    return found
