"""The frames that a server sends to one client, written together.

A system call for each message costs more than everything else in its way. Therefore the frames of one turn of
the event loop are written in one piece: at the end of the read that they answer, or at the end of the turn.
"""

from __future__ import annotations

import asyncio
import struct
from asyncio import AbstractEventLoop, Future
from collections import deque
from typing import Final
from weakref import WeakKeyDictionary

TEXT: Final = 0x81
BINARY: Final = 0x82
CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A

#: Frames of this size in bytes are written before the end of the turn.
_MUCH: Final = 64 * 1024
_SHORT: Final = 126


def frame(opcode: int, payload: bytes) -> bytes:
    """Return an unfragmented frame; the ``opcode`` includes the bit FIN. RFC 6455, section 5.2."""
    size = len(payload)
    if size < _SHORT:
        return b"%c%c%b" % (opcode, size, payload)
    if size < 1 << 16:
        return _HEADER_16(opcode, 126, size) + payload
    return _HEADER_64(opcode, 127, size) + payload


_HEADER_16: Final = struct.Struct("!BBH").pack
_HEADER_64: Final = struct.Struct("!BBQ").pack


class FrameWriter:
    """Collects the frames to one client and writes them.

    ``write`` never waits. Whoever can wait should await ``drained`` while ``paused``. Frames that were not
    written at the end of the turn are in the buffer of the transport.
    """

    __slots__ = (
        "_closed",
        "_due",
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
        self._waiters: deque[Future[None]] = deque()
        self._closed = False
        #: The client reads so slowly that the buffer of the transport is full.
        self.paused = False
        #: True while the frames of one read are handled; ``end_read`` then writes the answers.
        self.reading = False

    @property
    def pending(self) -> int:
        """The number of frames that wait for the end of the turn."""
        return len(self._frames)

    def write(self, framed: bytes) -> None:
        """Write one frame, or several that are joined, by the end of the turn."""
        frames = self._frames
        if not frames and not self.reading:
            self._due.add(self)
        frames.append(framed)
        self._size += len(framed)
        if self._size > _MUCH:
            self.flush()

    def end_read(self) -> None:
        """Write the frames that answer what was just read."""
        self.reading = False
        if self._frames:
            self.flush()

    def flush(self) -> None:
        """Write all frames now."""
        frames, self._frames, self._size = self._frames, [], 0
        if frames and not self._closed:
            self._transport.write(frames[0] if len(frames) == 1 else b"".join(frames))

    # Backpressure

    def pause(self) -> None:
        """Note that the buffer of the transport is full."""
        self.paused = True

    def resume(self) -> None:
        """Wake the tasks that wait for the client to read."""
        self.paused = False
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)

    async def drained(self) -> None:
        """Wait until the client has read enough, or is gone."""
        while self.paused:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter

    def close(self) -> None:
        """Write nothing more, because the connection is lost."""
        self._closed = True
        self._frames.clear()
        self.resume()


class _Due:
    """The writers of one event loop that have frames at the end of the turn."""

    __slots__ = ("_loop", "_writers")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._writers: list[FrameWriter] = []

    def add(self, writer: FrameWriter) -> None:
        if not self._writers:
            self._loop.call_soon(self._flush)
        self._writers.append(writer)

    def _flush(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.flush()


_all_due: Final[WeakKeyDictionary[AbstractEventLoop, _Due]] = WeakKeyDictionary()


def _due_in(loop: AbstractEventLoop) -> _Due:
    found = _all_due.get(loop)
    if found is None:
        found = _all_due[loop] = _Due(loop)
    return found
