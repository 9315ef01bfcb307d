"""The connections over which a node sends frames, with their queues."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final

import anyio

from wampasgi.backplanes.base import BackplaneCounts, NodeId
from wampasgi.backplanes.unix_sockets import LENGTH, Poller

# Less than IOV_MAX, which is 1024.
_MAX_BUFFERS: Final = 512
# A queue of this size is written before the end of the turn.
_WRITE_SIZE: Final = 65536


class Outgoing:
    """A connection to another node, over which this one sends frames.

    Frames that the kernel does not take at once wait in a queue.
    """

    __slots__ = ("_queue", "_socket", "fd", "is_closed", "node", "position", "queued", "watched")

    def __init__(self, node: NodeId, connection: socket.socket) -> None:
        self._socket = connection
        self._queue: deque[bytes | memoryview] = deque()
        self.node = node
        self.fd = connection.fileno()
        #: The number of bytes in the queue.
        self.queued = 0
        #: The number of bytes that the kernel has taken.
        self.position = 0
        #: True if the connection is closed, and its queue discarded.
        self.is_closed = False
        #: True if the poller waits until the connection is writable.
        self.watched = False

    @property
    def frames_queued(self) -> int:
        """The number of frames in the queue, including one of which a part was sent."""
        return len(self._queue)

    def write(self, data: bytes) -> bool:
        """Write a frame with its length. Return False if a part of it is in the queue.

        Call it only if the queue is empty. Raises OSError if the connection has ended.
        """
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        self.position += sent
        if sent == len(data):
            return True
        self._queue.append(memoryview(data)[sent:])
        self.queued = len(data) - sent
        return False

    def put(self, data: bytes) -> None:
        """Add a frame with its length to the queue."""
        self._queue.append(data)
        self.queued += len(data)

    def flush(self) -> tuple[int, int]:
        """Write the head of the queue, once, and return the number of frames and bytes that were sent.

        Raises OSError if the connection has ended.
        """
        queue = self._queue
        try:
            if len(queue) == 1:
                sent = self._socket.send(queue[0])
            else:
                sent = self._socket.sendmsg(islice(queue, _MAX_BUFFERS))
        except BlockingIOError:
            return 0, 0
        self.position += sent
        self.queued -= sent
        if not self.queued:
            frames = len(queue)
            queue.clear()
            return frames, sent
        frames, rest = 0, sent
        while rest >= len(queue[0]):
            rest -= len(queue.popleft())
            frames += 1
        if rest:
            queue[0] = memoryview(queue[0])[rest:]
        return frames, sent

    def close(self) -> None:
        """Close the socket and discard the queue. The poller must not watch the socket any more."""
        self.is_closed = True
        self._socket.close()
        self._queue.clear()
        self.queued = 0


class FrameWriter:
    """Writes frames to connections: if possible, to each connection once in a turn of the event loop.

    The first frame of a turn is written at once, because often it is the only one. Further frames wait in the
    queue of the connection until ``flush`` is called at the end of the turn. While ``is_batching`` is set,
    all frames wait for ``flush``.

    ``turn_begun`` is called with the first frame of a turn. ``failed`` is called for a connection that the
    peer has closed, and ``overflowed`` for one whose queue is larger than ``max_pending`` bytes. Both must
    close it.
    """

    def __init__(
        self,
        poller: Poller,
        counts: BackplaneCounts,
        max_pending: int,
        *,
        turn_begun: Callable[[], None],
        failed: Callable[[Outgoing], None],
        overflowed: Callable[[Outgoing], None],
    ) -> None:
        self._poller = poller
        self._counts = counts
        self._max_pending = max_pending
        self._turn_begun = turn_begun
        self._failed = failed
        self._overflowed = overflowed
        # The connections that were written to in this turn.
        self._unwritten: dict[Outgoing, None] = {}
        # Set when the kernel takes bytes, or a connection is closed.
        self._waiters: set[anyio.Event] = set()
        self.is_batching = False

    def write(self, connection: Outgoing, data: bytes) -> None:
        """Write a frame with its length, or put it into the queue."""
        if self.is_batching or connection.queued or connection in self._unwritten:
            self._put(connection, data)
            return
        self._unwritten[connection] = None
        self._turn_begun()
        try:
            is_sent = connection.write(data)
        except OSError:
            self._counts.dropped += 1
            self._failed(connection)
            return
        counts = self._counts
        if is_sent:
            counts.sent += 1
            counts.bytes_sent += len(data) - LENGTH.size
        else:
            counts.bytes_sent += len(data) - connection.queued
            counts.queued += connection.queued
            self._watch(connection)

    def flush(self) -> None:
        """Write the queues of this turn, as far as the kernel takes them."""
        if self._unwritten:
            unwritten, self._unwritten = self._unwritten, {}
            for connection in unwritten:
                # The poller reports when a connection that it watches can be written to.
                if connection.queued and not connection.watched:
                    self._write_queue(connection)

    async def written(self, connections: list[Outgoing]) -> None:
        """Wait until the kernel has all bytes that are in the queues of these connections now."""
        ends = [(connection, connection.position + connection.queued) for connection in connections]
        changed = anyio.Event()
        try:
            while any(not connection.is_closed and connection.position < end for connection, end in ends):
                changed = anyio.Event()
                self._waiters.add(changed)
                await changed.wait()
        finally:
            self._waiters.discard(changed)

    def close(self, connection: Outgoing) -> None:
        """Close a connection, and drop the frames in its queue."""
        self._unwritten.pop(connection, None)
        if connection.watched:
            self._poller.remove_writer(connection.fd)
        self._counts.dropped += connection.frames_queued
        self._counts.queued -= connection.queued
        connection.close()
        self._notify_waiters()

    def _put(self, connection: Outgoing, data: bytes) -> None:
        connection.put(data)
        self._counts.queued += len(data)
        if not connection.watched:
            self._unwritten[connection] = None
            if connection.queued >= _WRITE_SIZE:
                self._write_queue(connection)
        if connection.queued > self._max_pending:
            self._overflowed(connection)

    def _write_queue(self, connection: Outgoing) -> None:
        try:
            frames, size = connection.flush()
        except OSError:
            self._failed(connection)
            return
        counts = self._counts
        counts.sent += frames
        counts.bytes_sent += size - frames * LENGTH.size
        counts.queued -= size
        self._watch(connection)
        self._notify_waiters()

    def _watch(self, connection: Outgoing) -> None:
        """Let the poller wait until a connection is writable as long as its queue is not empty."""
        if connection.queued and not connection.watched:
            connection.watched = True
            self._poller.add_writer(connection.fd, lambda: self._write_queue(connection))
        elif connection.watched and not connection.queued:
            connection.watched = False
            self._poller.remove_writer(connection.fd)

    def _notify_waiters(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, set()
            for changed in waiters:
                changed.set()


def framed(frame: bytes) -> bytes:
    """Return a frame with its length before it."""
    return LENGTH.pack(len(frame)) + frame
