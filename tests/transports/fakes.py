"""An asyncio transport and an event loop that do nothing by themselves."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any, cast

from tests.transports.raw_websocket import FIN, Frame


class FakeTransport(asyncio.Transport):
    """Records what a protocol does with it. The test calls the protocol."""

    def __init__(self, *, can_write_eof: bool = True, **extra: Any) -> None:
        super().__init__({"peername": ("192.0.2.1", 50000), "sockname": ("192.0.2.2", 80), **extra})
        self._can_write_eof = can_write_eof
        #: The data of each write.
        self.writes: list[bytes] = []
        #: The bytes that the client has not read.
        self.waiting = 0
        self.reading = True
        self.eof = False
        self.closing = False
        self.aborted = False

    @property
    def written(self) -> bytes:
        """All that was written."""
        return b"".join(self.writes)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        written = self.written
        self.writes.clear()
        return written

    def write(self, data: Any) -> None:
        if self.eof or self.closing:
            raise AssertionError(f"{data!r} is written to a closed transport")
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def can_write_eof(self) -> bool:
        return self._can_write_eof

    def write_eof(self) -> None:
        assert self._can_write_eof
        self.eof = True

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def is_closing(self) -> bool:
        return self.closing

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        assert self.reading, "it is paused already"
        assert not self.closing, "nothing is read any more"
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading, "it is not paused"
        assert not self.closing, "nothing is read any more"
        self.reading = True


class Handle:
    """A callback, which is not called if it was cancelled."""

    def __init__(self, when: float, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.when = when
        self._callback = callback
        self._args = args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def call(self) -> None:
        if not self.cancelled:
            self._callback(*self._args)


class FakeLoop:
    """An event loop whose turns and time go on if the test says so."""

    def __init__(self) -> None:
        self._now = 0.0
        self._due: list[Handle] = []
        self._timers: list[Handle] = []

    @property
    def as_loop(self) -> asyncio.AbstractEventLoop:
        """The loop itself, for code that calls none of the other methods of an event loop."""
        return cast("asyncio.AbstractEventLoop", self)

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Handle:
        self._due.append(Handle(self._now, callback, args))
        return self._due[-1]

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Handle:
        self._timers.append(Handle(self._now + delay, callback, args))
        return self._timers[-1]

    def turn(self) -> int:
        """Call what is due in the next turn, and return the number of callbacks."""
        due, self._due = self._due, []
        for handle in due:
            handle.call()
        return len(due)

    def advance(self, seconds: float) -> None:
        """Let time pass, and call the timers that expire."""
        end = self._now + seconds
        while self.timers and self.timers[0].when <= end:
            timer = self.timers[0]
            self._timers.remove(timer)
            self._now = timer.when
            timer.call()
        self._now = end

    @property
    def timers(self) -> list[Handle]:
        """The timers that run, the next one first."""
        running = [timer for timer in self._timers if not timer.cancelled]
        return sorted(running, key=lambda timer: timer.when)


def frames_in(data: bytes) -> list[Frame]:
    """Parse the frames of a server, which are not masked."""
    frames = []
    while data:
        first, length = data[:2]
        start = 2
        if length == 126:
            (length,), start = struct.unpack("!H", data[2:4]), 4
        elif length == 127:
            (length,), start = struct.unpack("!Q", data[2:10]), 10
        payload, data = data[start : start + length], data[start + length :]
        assert len(payload) == length, "the last frame is incomplete"
        frames.append(Frame(first & 0x0F, payload, bool(first & FIN)))
    return frames
