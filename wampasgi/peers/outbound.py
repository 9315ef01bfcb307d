"""The bounded queue of a session's outgoing messages, and its writer."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any, Final, Protocol

import anyio
from anyio.lowlevel import checkpoint

from wampasgi.adapters import TaskOwner
from wampasgi.adapters.suspension import on_suspension_of
from wampasgi.peers.frames import FrameSender
from wampasgi.peers.transport import GONE

#: Write several messages; the int is their total size in bytes.
Write = Callable[[Sequence[Any], int], Awaitable[None]]
#: Write one message, as nearly all are written; the int is its size in bytes.
WriteOne = Callable[[Any, int], Awaitable[None]]

#: A queue of this length is written at once, without waiting for the next turn of the event loop.
_LONG: Final = 64
#: A queue of this length is congested, even if nothing is being written.
_SOME: Final = 8


class _Writer(IntEnum):
    """The state of a queue's writer."""

    RESTING = 0
    """The queue is empty, and there is no writer."""
    DUE = 1
    """The writer begins in the next turn of the event loop."""
    WRITING = 2
    """The writer writes the queue until it is empty."""


_RESTING, _DUE, _WRITING = _Writer


class Progress(Protocol):
    """Counts what was written."""

    @property
    def messages_written(self) -> int:
        """The number of messages that were written."""


@dataclass(frozen=True, slots=True)
class WriteTimeout:
    """The longest time without ``progress`` of a write that waits. Then ``on_stuck`` is called."""

    #: In seconds.
    seconds: float
    progress: Progress
    on_stuck: Callable[[], None]


class Outbound:
    """Queues the messages to one peer and writes them in order.

    Messages that are put in one turn of the event loop are written together in the next turn, which costs
    less than writing each of them at once. The writer is a task that exists only until the queue is empty, so
    an idle session has none. It runs in the context that ``owner`` was entered in, because anybody may put a
    message, and a middleware's ``send`` should not see the context variables of a publisher.

    A ``direct`` way to the peer writes the messages of a turn together, too. If there is one, messages are
    queued only as long as the peer reads slowly.

    ``put`` never waits, so a slow peer does not delay anybody else. When the queue exceeds a limit, it is
    cleared and ``on_overflow`` is called, which should ``finish`` the queue. Its arguments are the number of
    messages that were lost just now, and in the whole stretch (see ``DroppingOutbound``).

    If there is no progress within ``write_timeout``, the queue is closed. A direct way has a timeout of its
    own.
    """

    __slots__ = (
        "_direct",
        "_drained",
        "_is_stuck",
        "_max_messages",
        "_max_size",
        "_on_overflow",
        "_owner",
        "_queue",
        "_queued_size",
        "_watched",
        "_write",
        "_write_one",
        "_write_soon",
        "_write_timeout",
        "_writer",
        "_written",
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
        write_timeout: WriteTimeout | None = None,
        direct: FrameSender | None = None,
    ) -> None:
        self._direct = direct
        self._write_soon = None if direct is None else direct.write_soon
        self._write = write
        self._write_one = write_one
        self._owner = owner
        self._max_messages = max_messages
        self._max_size = max_size
        self._on_overflow = on_overflow
        self._write_timeout = write_timeout
        # The number of finished writes; a task watches them if the writer has had to wait.
        self._written = 0
        self._watched = False
        # The peer has read nothing for too long. The writer waits until its owner ends.
        self._is_stuck = False
        self._queue: list[Any] = []
        self._queued_size = 0
        self._writer: _Writer = _RESTING
        self._drained: anyio.Event | None = None
        #: The queue takes no more messages; those that it has are still written.
        self.closed = False

    def put(self, item: Any, size: int) -> None:
        """Write ``item`` after the items before it; ``size`` counts towards the limit in bytes."""
        if self.closed:
            return
        if self._write_soon is not None and self._writer is _RESTING and self._write_soon(item, size):
            return
        queue = self._queue
        queue.append(item)
        self._queued_size += size
        if self._writer is _RESTING:
            # The queue was empty, as it nearly always is, and a single unsent message is always allowed.
            self._writer = _DUE
            self._owner.spawn_soon(self._run, self._watch)
            return
        waiting = len(queue)
        if waiting == _LONG or waiting > self._max_messages or self._queued_size > self._max_size:
            if self._writer is _DUE:
                # The queue is long before its turn. If tasks start eagerly, it is written now.
                self._owner.spawn_in_owner_context(on_suspension_of, self._run, self._watch)
            if self._is_over:
                self._overflow()

    #: Write an event, which a subclass may drop.
    put_event = put

    @property
    def _is_over(self) -> bool:
        """Return whether the queue is over its limits. A single unsent message is always allowed."""
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
        """Write ``item`` as the last one, even if it exceeds the limits."""
        if self.closed:
            return
        self.close()
        if self._write_soon is not None and self._writer is _RESTING and self._write_soon(item, size):
            return
        self._queue.append(item)
        self._queued_size += size
        if self._writer is _RESTING:
            self._writer = _DUE
            self._owner.spawn_soon(self._run, self._watch)

    def close(self) -> None:
        """Take no more messages."""
        self.closed = True

    @property
    def congested(self) -> bool:
        """Return whether the peer reads slowly, or many messages are queued: callers that can wait should."""
        if not self._queue:
            return self._direct is not None and self._direct.pending >= _SOME
        return self._writer is _WRITING or len(self._queue) >= _SOME or self.half_full

    @property
    def half_full(self) -> bool:
        """Return whether the queue is past half of a limit."""
        return 2 * len(self._queue) > self._max_messages or 2 * self._queued_size > self._max_size

    async def drained(self) -> None:
        """Wait until the queue is empty and nothing is being written."""
        if self._writer is _RESTING:
            if self._direct is not None and self._direct.pending:
                await checkpoint()
        elif not self._is_stuck:
            if self._drained is None:
                self._drained = anyio.Event()
            await self._drained.wait()

    async def _run(self) -> None:
        if self._writer is _WRITING:
            # The queue was long, so another writer has begun before the turn of this one.
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
                self._written += 1
        except GONE:
            self.closed = True
        except Exception:
            # The message is lost, and the peer must not get later ones without it. The owner ends the
            # session.
            self.closed = True
            raise
        finally:
            self._writer = _RESTING
            if self._drained is not None:
                self._drained.set()
                self._drained = None

    def _watch(self) -> None:
        """Watch the progress of the writer, because it has to wait."""
        if not self._watched and self._write_timeout is not None:
            self._watched = True
            self._owner.spawn(self._watch_progress, self._write_timeout)

    async def _watch_progress(self, limit: WriteTimeout) -> None:
        before = -1
        while self._writer is _WRITING and (now := self._written + limit.progress.messages_written) != before:
            before = now
            await anyio.sleep(limit.seconds)
        self._watched = False
        if self._writer is _WRITING:
            self._is_stuck = True
            self.closed = True
            if self._drained is not None:
                self._drained.set()
            limit.on_stuck()


#: Takes the place of a dropped event in the queue.
_GAP: Final = object()


class DroppingOutbound(Outbound):
    """Drops the oldest events of a queue that exceeds a limit; other messages stay.

    ``on_drop`` is called with the number of dropped events each time. ``on_dropped`` is called with their
    total at the end of a stretch: the time from the first dropped event until the peer has caught up with its
    queue, or its session ends. If there are no events to drop, the queue overflows like any other.
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
        # The place and the size of each queued event. None if no events are queued, as in most sessions.
        self._events: deque[tuple[int, int]] | None = None
        # The number of gaps in the queue. All stand before the first event, because the oldest go first.
        self._gaps = 0
        # The number of gaps that were removed from the queue. The places in ``_events`` still count them.
        self._removed = 0
        # The number of events that were dropped in this stretch.
        self._lost = 0

    def put_event(self, item: Any, size: int) -> None:
        """Write ``item`` like any other message, unless it has to be dropped."""
        if self.closed:
            return
        if self._write_soon is not None and self._writer is _RESTING and self._write_soon(item, size):
            return
        if self._events is None:
            self._events = deque()
        self._events.append((len(self._queue) + self._removed, size))
        self.put(item, size)

    @property
    def half_full(self) -> bool:
        """Return whether the queue is past half of a limit."""
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
        # Removing gaps only when they are the majority keeps the cost of each dropped event constant.
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
        # A gap is never alone in the queue.
        self._end_stretch()
        return write_one(item, size)

    async def _run(self) -> None:
        try:
            await super()._run()
        finally:
            if self._writer is _RESTING:
                self._end_stretch()

    def close(self) -> None:
        """Take no more messages, and end the stretch."""
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
