"""The bounded queue of one session's outgoing messages, and the writer that exists while it isn't empty."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from enum import IntEnum
from functools import partial
from typing import Any, Final

import anyio

from wampasgi.adapters import TaskOwner
from wampasgi.peers.transport import GONE

#: Writes several messages, of so many bytes in all.
Write = Callable[[Sequence[Any], int], Awaitable[None]]
#: Writes one message; nearly all go out alone.
WriteOne = Callable[[Any, int], Awaitable[None]]

#: A queue that becomes this long before its turn comes is written at once.
_LONG: Final = 64
#: Whoever can wait does where so many messages wait for their turn.
_SOME: Final = 8


class _Writer(IntEnum):
    """What becomes of a queue."""

    RESTING = 0
    DUE = 1
    """It is written in the next turn of the event loop."""
    WRITING = 2


_RESTING, _DUE, _WRITING = _Writer


class Outbound:
    """Messages on their way to one peer, in order.

    What is put in one turn of the event loop is written in the next, together: that costs each message less
    than writing it at once, and an idle session has no writer. ``put`` never waits, so a slow peer costs
    nobody else time; when it would pass a bound, the queue is emptied, and ``on_overflow`` is called with the
    number of messages that are lost now, and in this stretch: it is to ``finish``.
    """

    __slots__ = (
        "_drained",
        "_max_messages",
        "_max_size",
        "_on_overflow",
        "_owner",
        "_queue",
        "_queued_size",
        "_write",
        "_write_one",
        "_writer",
        "closed",
    )

    def __init__(
        self,
        write: Write,
        write_one: WriteOne,
        owner: TaskOwner,
        *,
        max_messages: int,
        max_size: int,
        on_overflow: Callable[[int, int], None],
    ) -> None:
        self._write = write
        self._write_one = write_one
        self._owner = owner
        self._max_messages = max_messages
        self._max_size = max_size
        self._on_overflow = on_overflow
        self._queue: list[Any] = []
        self._queued_size = 0
        self._writer: _Writer = _RESTING
        self._drained: anyio.Event | None = None
        #: Nothing more is taken; what was put before is still written.
        self.closed = False

    def put(self, item: Any, size: int) -> None:
        """Write ``item`` after all that was put before; ``size`` counts against the bound in bytes."""
        if self.closed:
            return
        queue = self._queue
        queue.append(item)
        self._queued_size += size
        if self._writer is _RESTING:
            # Nearly always there is nothing else, and one message that only waits for its turn always may.
            self._writer = _DUE
            self._owner.spawn_soon(self._run)
            return
        waiting = len(queue)
        if waiting == _LONG or waiting > self._max_messages or self._queued_size > self._max_size:
            if self._writer is _DUE:
                # It has become much before its turn: where tasks start eagerly it is written now.
                self._owner.spawn(self._run)
            if self._is_over:
                self._overflow()

    #: The same for an event.
    put_event = put

    @property
    def _is_over(self) -> bool:
        """Whether more waits than may; one message that only waits for its turn always may."""
        if len(self._queue) == 1 and self._writer is _DUE:
            return False
        return len(self._queue) > self._max_messages or self._queued_size > self._max_size

    def _overflow(self) -> None:
        self._on_overflow(*self._clear())

    def _clear(self) -> tuple[int, int]:
        lost = len(self._queue)
        self._queue.clear()
        self._queued_size = 0
        return lost, lost

    def finish(self, item: Any, size: int) -> None:
        """Write ``item`` as the last one, whatever the bounds say."""
        if self.closed:
            return
        self.close()
        self._queue.append(item)
        self._queued_size += size
        if self._writer is _RESTING:
            self._writer = _DUE
            self._owner.spawn_soon(self._run)

    def close(self) -> None:
        """Take nothing more."""
        self.closed = True

    @property
    def congested(self) -> bool:
        """Whether messages wait because the peer has not taken the ones before, or are many."""
        if not self._queue:
            return False
        return self._writer is _WRITING or len(self._queue) >= _SOME or self.half_full

    @property
    def half_full(self) -> bool:
        """Whether more than half of a bound is used."""
        return 2 * len(self._queue) > self._max_messages or 2 * self._queued_size > self._max_size

    async def drained(self) -> None:
        """Wait until all that was put has been written."""
        if self._writer is not _RESTING:
            if self._drained is None:
                self._drained = anyio.Event()
            await self._drained.wait()

    async def _run(self) -> None:
        if self._writer is _WRITING:
            # It was begun before its turn came.
            return
        self._writer = _WRITING
        try:
            while queue := self._queue:
                size, self._queued_size = self._queued_size, 0
                if len(queue) == 1:
                    await self._write_one(queue.pop(), size)
                else:
                    self._queue = []
                    await self._write(queue, size)
        except GONE:
            self.closed = True
        finally:
            self._writer = _RESTING
            if self._drained is not None:
                self._drained.set()
                self._drained = None


#: Stands in the queue where an event was.
_GAP: Final = object()


class DroppingOutbound(Outbound):
    """Drops the events that have waited longest where more waits than may; everything else is kept.

    ``on_drop`` is called with the number of events each time, and ``on_dropped`` with all of a stretch when
    it is over: when the peer has taken what it was behind with, or its session ends. Where there are no
    events to drop, the queue overflows as any other.
    """

    __slots__ = ("_events", "_gaps", "_lost", "_on_drop", "_on_dropped", "_removed")

    def __init__(
        self,
        write: Write,
        write_one: WriteOne,
        owner: TaskOwner,
        *,
        on_drop: Callable[[int], None],
        on_dropped: Callable[[int], None],
        **bounds: Any,
    ) -> None:
        super().__init__(
            partial(self._write_what_is_left, write), partial(self._write_it, write_one), owner, **bounds
        )
        self._on_drop = on_drop
        self._on_dropped = on_dropped
        # Place in the queue and size of each event that waits; there is nothing as long as none does.
        self._events: deque[tuple[int, int]] | None = None
        # All of them before the first event: the oldest go first.
        self._gaps = 0
        # Places that the gaps had which are no longer in the queue.
        self._removed = 0
        self._lost = 0

    def put_event(self, item: Any, size: int) -> None:
        """Write ``item`` as any other, unless it has to be dropped."""
        if not self.closed:
            if self._events is None:
                self._events = deque()
            self._events.append((len(self._queue) + self._removed, size))
        self.put(item, size)

    @property
    def half_full(self) -> bool:
        """Whether more than half of a bound is used."""
        waiting = len(self._queue) - self._gaps
        return 2 * waiting > self._max_messages or 2 * self._queued_size > self._max_size

    @property
    def _is_over(self) -> bool:
        waiting = len(self._queue) - self._gaps
        if waiting == 1 and self._writer is _DUE:
            return False
        return waiting > self._max_messages or self._queued_size > self._max_size

    def _overflow(self) -> None:
        dropped = 0
        while self._is_over and self._events:
            place, size = self._events.popleft()
            self._queue[place - self._removed] = _GAP
            self._queued_size -= size
            self._gaps += 1
            dropped += 1
        if dropped:
            self._lost += dropped
            self._on_drop(dropped)
        if self._is_over:
            super()._overflow()
            return
        # So that each event that is dropped costs the same, however many there are.
        if 2 * self._gaps > len(self._queue):
            self._queue = [item for item in self._queue if item is not _GAP]
            self._removed += self._gaps
            self._gaps = 0

    def _write_what_is_left(self, write: Write, items: Sequence[Any], size: int) -> Awaitable[None]:
        if self._gaps:
            items = [item for item in items if item is not _GAP]
        self._end_stretch()
        return write(items, size)

    def _write_it(self, write_one: WriteOne, item: Any, size: int) -> Awaitable[None]:
        # A gap never waits alone.
        self._end_stretch()
        return write_one(item, size)

    async def _run(self) -> None:
        try:
            await super()._run()
        finally:
            if self._writer is _RESTING:
                self._end_stretch()

    def close(self) -> None:
        """Take nothing more."""
        super().close()
        if self._lost:
            self._report()

    def _clear(self) -> tuple[int, int]:
        lost, before = len(self._queue) - self._gaps, self._lost
        super()._clear()
        self._events = None
        self._gaps = self._removed = self._lost = 0
        return lost, lost + before

    def _end_stretch(self) -> None:
        self._events = None
        self._gaps = self._removed = 0
        if self._lost:
            self._report()

    def _report(self) -> None:
        lost, self._lost = self._lost, 0
        self._on_dropped(lost)
