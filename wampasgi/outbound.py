"""The bounded queue of one session's outgoing messages, and the writer that exists while it isn't empty."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio

from wampasgi.adapters import TaskOwner
from wampasgi.transport import GONE

#: Writes several messages.
Write = Callable[[Sequence[Any]], Awaitable[None]]
#: Writes one message; nearly all go out alone.
WriteOne = Callable[[Any], Awaitable[None]]


class Outbound:
    """Messages on their way to one peer, in order.

    ``put`` never waits, so a slow peer costs nobody else time; when it would pass a bound, the queue is
    emptied, ``on_overflow`` is called once, and nothing more is taken. There is no writer task while there
    is nothing to write: an idle session costs no task, and where tasks start eagerly a message that the
    socket takes at once costs no turn of the event loop.
    """

    __slots__ = (
        "_drained",
        "_max_messages",
        "_max_size",
        "_on_overflow",
        "_queue",
        "_queued_size",
        "_write",
        "_write_one",
        "_writing",
        "closed",
        "owner",
    )

    def __init__(
        self,
        write: Write,
        write_one: WriteOne,
        owner: TaskOwner,
        *,
        max_messages: int,
        max_size: int,
        on_overflow: Callable[[], None],
    ) -> None:
        self._write = write
        self._write_one = write_one
        #: Of the tasks that write.
        self.owner = owner
        self._max_messages = max_messages
        self._max_size = max_size
        self._on_overflow = on_overflow
        self._queue: list[Any] = []
        self._queued_size = 0
        self._writing = False
        self._drained: anyio.Event | None = None
        #: Nothing more is taken; what was put before is still written.
        self.closed = False

    def put(self, item: Any, size: int) -> None:
        """Write ``item`` after all that was put before; ``size`` counts against the bound in bytes."""
        if self.offer(item, size):
            self.owner.spawn(self.run, item)

    def offer(self, item: Any, size: int) -> bool:
        """Take ``item`` like ``put``, but leave starting the writer, where there is none, to the caller.

        True says that ``run(item)`` has to be started, for ``owner``.
        """
        if self.closed:
            return False
        if not self._writing:
            self._writing = True
            return True
        self._queue.append(item)
        self._queued_size += size
        if len(self._queue) > self._max_messages or self._queued_size > self._max_size:
            self.closed = True
            self._queue.clear()
            self._on_overflow()
        return False

    async def write(self, item: Any, size: int) -> None:
        """Write ``item`` like ``put``, and wait until it is written where nothing else is being written.

        Then the caller's own task writes, which saves starting one.
        """
        if self.closed or self._writing:
            self.put(item, size)
            return
        self._writing = True
        try:
            await self._write_one(item)
        except GONE:
            self.closed = True
        finally:
            if self._queue:
                self.owner.spawn(self._run_queue)
            else:
                self._rest()

    @property
    def congested(self) -> bool:
        """Whether messages wait because the peer has not taken the ones before."""
        return bool(self._queue)

    @property
    def half_full(self) -> bool:
        """Whether more than half of a bound is used."""
        return 2 * len(self._queue) > self._max_messages or 2 * self._queued_size > self._max_size

    async def drained(self) -> None:
        """Wait until all that was put has been written."""
        if self._writing:
            if self._drained is None:
                self._drained = anyio.Event()
            await self._drained.wait()

    async def run(self, item: Any) -> None:
        """Write one message that was taken, and then what came meanwhile."""
        try:
            await self._write_one(item)
            if self._queue:
                await self._write_queue()
        except GONE:
            self.closed = True
        finally:
            self._rest()

    async def _run_queue(self) -> None:
        try:
            await self._write_queue()
        finally:
            self._rest()

    async def _write_queue(self) -> None:
        while self._queue:
            items, self._queue, self._queued_size = self._queue, [], 0
            await self._write(items)

    def _rest(self) -> None:
        self._writing = False
        if self._drained is not None:
            self._drained.set()
            self._drained = None
