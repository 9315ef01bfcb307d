"""The backplane for the workers of one host: Unix sockets in a directory, and no engine at all."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import TaskGroup

from wampasgi.adapters import running_library
from wampasgi.backplanes.base import BackplaneCounts, FrameSink, NodeId
from wampasgi.backplanes.unix_sockets import (
    MAX_FRAME,
    Incoming,
    InvalidStreamError,
    Poller,
    SocketDirectory,
    TaskPoller,
    require_same_user,
)
from wampasgi.backplanes.unix_writer import FrameWriter, Outgoing, framed
from wampasgi.errors import ConfigurationError
from wampasgi.logs import logger_named

logger = logger_named("wampasgi.backplane")

#: Seconds between two searches for new nodes. A node that opens connects to all others at once, so this only
#: matters if that failed.
SEARCH_INTERVAL: Final = 0.5
#: The maximum number of seconds that ``flushed``, and leaving, wait for slow peers.
FLUSH_TIMEOUT: Final = 1.0

# The maximum number of reads from one connection before others get their turn. An ended connection has less.
_MAX_READS: Final = 64
# The maximum number of new connections to a node between two searches. One is not enough, because the
# connections of a killed process may end before its listening socket does. With no maximum, a peer that
# closes each connection at once would keep this process busy.
_MAX_RECONNECTS: Final = 3


class LocalBackplane:
    """Carries frames between the processes of one user on one host, over Unix sockets in a directory.

    ``directory`` is created with mode 0700 if it is missing. It must belong to the user of the process, and
    others must not be able to write to it or enter it; opening raises ConfigurationError otherwise. ``name``
    separates applications in one directory. At most ``max_pending`` bytes are queued for each peer. The
    connection to a peer that lets its queue overflow is closed, and opened again within half a second.

    A broadcast counts once for each node that it goes to, this one included.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        name: str | None = None,
        max_pending: int = 64 * 1024 * 1024,
    ) -> None:
        if not hasattr(socket, "AF_UNIX"):
            raise ConfigurationError("this system has no Unix sockets: use a backplane with an engine")
        if max_pending < MAX_FRAME:
            raise ConfigurationError(f"max_pending must be at least {MAX_FRAME}, the size of one frame")
        self._path = Path(directory).absolute()
        self._name = name
        self._max_pending = max_pending
        self._counts = BackplaneCounts()
        self._is_open = False
        self._is_accepting = False
        self._outgoing: dict[NodeId, Outgoing] = {}
        # In the order in which they were accepted.
        self._incoming: dict[int, Incoming] = {}
        # True if a call of `_end_turn` is scheduled.
        self._turn_ends = False
        # Frames from this node to itself.
        self._own: list[bytes] = []
        # Nodes whose connection has just ended.
        self._lost: dict[NodeId, None] = {}
        # Nodes that the sink does not know yet to have ended.
        self._unreachable: dict[NodeId, None] = {}
        # Living nodes that are not connected to before the next search.
        self._held: set[NodeId] = set()
        # How often nodes were connected to again since the last search.
        self._reconnected: Counter[NodeId] = Counter()
        # The number of times that frames for a living node may have been lost.
        self._losses = 0

    _poller: Poller
    _writer: FrameWriter
    _sink: FrameSink
    _node: NodeId
    _sockets: SocketDirectory
    _listener: socket.socket
    _listener_identity: tuple[int, int] | None

    @property
    def name(self) -> str | None:
        """The name that separates applications in one directory; None to let the application choose it."""
        return self._name

    @property
    def library(self) -> str | None:
        """None: the backplane runs on asyncio and trio."""
        return None

    @property
    def max_frame(self) -> int:
        """The maximum size of a frame, 4 MiB."""
        return MAX_FRAME

    @property
    def counts(self) -> BackplaneCounts:
        """The counters of the backplane."""
        return self._counts

    def open(self, node: NodeId, sink: FrameSink, *, name: str) -> AbstractAsyncContextManager[None]:
        """Listen as ``node``, and connect to all nodes of ``name`` in the directory.

        Entering raises ConfigurationError if the directory cannot be used safely. Leaving sends the queued
        frames, for at most a second, and removes the socket.
        """
        return self._opened(node, sink, name)

    @asynccontextmanager
    async def _opened(self, node: NodeId, sink: FrameSink, name: str) -> AsyncIterator[None]:
        if self._is_open:
            raise ConfigurationError("the backplane is open already: make one for each application")
        self._node, self._sink, self._sockets = node, sink, SocketDirectory(self._path, name)
        self._sockets.prepare()
        listener, self._listener_identity = self._sockets.listen(self._node)
        failure: BaseException | None = None
        async with anyio.create_task_group() as tasks:
            try:
                self._start(listener, tasks)
                yield
            except BaseException as error:  # noqa: BLE001 - raised below, because the task group would wrap it
                failure = error
            try:
                with anyio.CancelScope(shield=True):
                    await self.flushed()
            finally:
                try:
                    self._close()
                finally:
                    if isinstance(self._poller, TaskPoller):
                        self._poller.close()
                    tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    def send(self, node: NodeId, frame: bytes) -> None:
        """Send a frame to one node, or drop it if the node has ended or does not read. Never waits."""
        if (connection := self._outgoing.get(node)) is not None and len(frame) <= MAX_FRAME:
            self._writer.write(connection, framed(frame))
        else:
            self._send_otherwise(node, frame)

    def broadcast(self, frame: bytes) -> None:
        """Send a frame to all nodes. This node receives it in the next turn of the event loop."""
        if not self._is_open or len(frame) > MAX_FRAME:
            self._drop(frame)
            return
        data = framed(frame)
        for connection in list(self._outgoing.values()):
            self._writer.write(connection, data)
        self._send_to_self(frame)

    async def flushed(self) -> bool:
        """Wait until the kernel has all frames sent so far, for at most a second.

        Returns False if a peer does not read fast enough, or if frames for it were discarded meanwhile. Nodes
        that have ended do not count.
        """
        if not self._is_open:
            return True
        losses = self._losses
        self._writer.flush()
        with anyio.move_on_after(FLUSH_TIMEOUT) as scope:
            await self._writer.written(list(self._outgoing.values()))
        return not scope.cancelled_caught and self._losses == losses

    async def reconnect(self) -> None:
        """Replace the socket of this node, and all connections."""
        if not self._is_open:
            return
        self._accept()
        for incoming in list(self._incoming.values()):
            self._drain(incoming)
            self._close_incoming(incoming)
        self._replace_listener()
        for outgoing in list(self._outgoing.values()):
            self._close_outgoing(outgoing)
            self._counts.reconnects += 1
        self._search()

    # Opening and closing

    def _start(self, listener: socket.socket, tasks: TaskGroup) -> None:
        self._listener = listener
        self._poller = asyncio.get_running_loop() if running_library() == "asyncio" else TaskPoller(tasks)
        self._writer = FrameWriter(
            self._poller,
            self._counts,
            self._max_pending,
            turn_begun=self._schedule_end_of_turn,
            failed=self._lose,
            overflowed=self._overflow,
        )
        self._is_open = True
        self._turn_ends = False
        self._start_accepting()
        self._search()
        tasks.start_soon(self._search_regularly)

    def _replace_listener(self) -> None:
        try:
            listener, self._listener_identity = self._sockets.listen(self._node)
        except OSError as error:
            logger.warning("the socket of this worker could not be replaced: %s", error)
            return
        self._close_listener()
        self._listener = listener
        self._start_accepting()

    def _close_listener(self) -> None:
        self._stop_accepting()
        self._listener.close()

    def _start_accepting(self) -> None:
        # Accepting stops for a while if there are no free file descriptors.
        if not self._is_accepting:
            self._is_accepting = True
            self._poller.add_reader(self._listener.fileno(), self._on_connection)

    def _stop_accepting(self) -> None:
        if self._is_accepting:
            self._is_accepting = False
            self._poller.remove_reader(self._listener.fileno())

    def _close(self) -> None:
        self._is_open = False
        self._sockets.remove(self._node, self._listener_identity)
        self._close_listener()
        for incoming in list(self._incoming.values()):
            self._close_incoming(incoming)
        for outgoing in list(self._outgoing.values()):
            self._close_outgoing(outgoing)
        self._own.clear()
        self._lost.clear()
        self._unreachable.clear()
        self._held.clear()
        self._reconnected.clear()

    # Finding other nodes

    async def _search_regularly(self) -> None:
        while True:
            await anyio.sleep(SEARCH_INTERVAL)
            # A sleep that ends in the turn of the closing is not cancelled.
            if self._is_open:
                self._search()

    def _search(self) -> None:
        """Connect to nodes without a connection, and restore the own socket file if somebody removed it."""
        held, self._held = self._held, set()
        self._reconnected.clear()
        try:
            if self._listener_identity != self._sockets.identity_of(self._node):
                self._sockets.prepare()
                self._replace_listener()
            nodes = self._sockets.nodes()
        except (OSError, ConfigurationError) as error:
            logger.warning("the directory of the backplane cannot be read: %s", error)
            return
        for node in nodes:
            if node != self._node and node not in self._outgoing:
                self._connect(node)
        for node in held:
            if node not in self._outgoing and node not in self._held and not self._connect(node):
                self._unreachable[node] = None
                self._schedule_end_of_turn()
        self._start_accepting()

    def _connect(self, node: NodeId) -> bool:
        """Connect to a node; return False if nobody listens any more, which is no error."""
        try:
            connection = self._sockets.connect(node, self._node)
        except OSError as error:
            logger.warning("a worker cannot be connected to: %s", error)
            self._held.add(node)
            return True
        if connection is None:
            return False
        outgoing = self._outgoing[node] = Outgoing(node, connection)
        # A peer sends nothing over this connection. It becomes readable when the peer ends.
        self._poller.add_reader(outgoing.fd, lambda: self._lose(outgoing))
        return True

    # Receiving

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                logger.warning("connections of other workers cannot be accepted now: %s", error)
                self._stop_accepting()
                return
            try:
                require_same_user(connection)
            except OSError as error:
                logger.warning("a connection was refused: %s", error)
                connection.close()
                continue
            connection.setblocking(False)
            incoming = Incoming(connection)
            self._incoming[incoming.fd] = incoming
            self._poller.add_reader(incoming.fd, lambda incoming=incoming: self._on_readable(incoming))  # type: ignore[misc]
            self._receive(incoming)

    def _on_connection(self) -> None:
        self._writer.is_batching = True
        try:
            self._accept()
        finally:
            self._writer.is_batching = False
            self._writer.flush()

    def _on_readable(self, incoming: Incoming) -> None:
        self._writer.is_batching = True
        try:
            self._receive(incoming)
        finally:
            self._writer.is_batching = False
            self._writer.flush()

    def _receive(self, incoming: Incoming) -> bool:
        """Read once from a connection, and deliver the frames. Return False if there was nothing to read."""
        data: bytes | None = incoming.read()
        if not data:
            if incoming.ended:
                self._close_incoming(incoming)
            return False
        try:
            if incoming.node is None:
                if (data := incoming.take_hello(data)) is None:
                    return True
                self._welcome(incoming)
            received = self._sink.received
            counts = self._counts
            for frame in incoming.frames(data):
                counts.received += 1
                counts.bytes_received += len(frame)
                received(frame)
        except InvalidStreamError as error:
            logger.warning("the connection of a worker was closed: %s", error)
            self._close_incoming(incoming)
        return not incoming.ended

    def _welcome(self, newcomer: Incoming) -> None:
        """Deliver all frames that a node has sent over older connections, and connect to it."""
        for older in list(self._incoming.values()):
            if older is newcomer:
                break
            # The hello of an older connection may not have been read yet.
            if older.node is None or older.node == newcomer.node:
                self._drain(older)
            # A node opens no connection before it has closed the one before.
            if older.node == newcomer.node:
                self._close_incoming(older)
        node = newcomer.node
        if node is None or node in self._outgoing or node in self._lost:
            return
        if not self._connect(node):
            self._lost[node] = None
            self._schedule_end_of_turn()

    def _drain(self, incoming: Incoming) -> None:
        for _ in range(_MAX_READS):
            if incoming.ended or not self._receive(incoming):
                return

    def _close_incoming(self, incoming: Incoming) -> None:
        # The number of a closed file descriptor may already belong to another connection.
        if self._incoming.get(incoming.fd) is incoming:
            del self._incoming[incoming.fd]
            incoming.ended = True
            self._poller.remove_reader(incoming.fd)
            incoming.close()

    # Sending

    def _send_otherwise(self, node: NodeId, frame: bytes) -> None:
        if not self._is_open or len(frame) > MAX_FRAME:
            self._drop(frame)
        elif node == self._node:
            self._send_to_self(frame)
        elif node in self._lost or node in self._held:
            self._counts.dropped += 1
        elif not self._connect(node):
            self._counts.dropped += 1
            self._unreachable[node] = None
            self._schedule_end_of_turn()
        elif (connection := self._outgoing.get(node)) is not None:
            self._writer.write(connection, framed(frame))
        else:
            self._counts.dropped += 1

    def _send_to_self(self, frame: bytes) -> None:
        self._counts.sent += 1
        self._counts.bytes_sent += len(frame)
        self._own.append(frame)
        self._schedule_end_of_turn()

    def _drop(self, frame: bytes) -> None:
        self._counts.dropped += 1
        if len(frame) > MAX_FRAME:
            logger.error("a frame of %d bytes was dropped: the maximum is %d", len(frame), MAX_FRAME)

    def _schedule_end_of_turn(self) -> None:
        if not self._turn_ends:
            self._turn_ends = True
            self._poller.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        """Write the frames of this turn, then deliver the own ones, and handle the connections that ended."""
        self._turn_ends = False
        self._writer.flush()
        self._writer.is_batching = True
        try:
            own, self._own = self._own, []
            for frame in own:
                self._counts.received += 1
                self._counts.bytes_received += len(frame)
                self._sink.received(frame)
            if self._lost:
                self._handle_lost_connections()
            unreachable, self._unreachable = self._unreachable, {}
            for node in unreachable:
                self._sink.ended(node)
        finally:
            self._writer.is_batching = False
            self._writer.flush()

    def _overflow(self, connection: Outgoing) -> None:
        logger.warning("a worker does not read its frames: its connection is closed, and opened again later")
        self._close_outgoing(connection)
        self._losses += 1
        self._counts.reconnects += 1
        self._held.add(connection.node)

    def _close_outgoing(self, connection: Outgoing) -> None:
        """Close a connection and discard its queue."""
        if self._outgoing.get(connection.node) is not connection:
            return
        del self._outgoing[connection.node]
        self._poller.remove_reader(connection.fd)
        self._writer.close(connection)

    # Nodes that end

    def _lose(self, connection: Outgoing) -> None:
        """Close a connection that the peer has closed. The rest waits until the sink is not running."""
        # A connection may be reported by several functions of one turn.
        if self._outgoing.get(connection.node) is not connection:
            return
        self._lost[connection.node] = None
        self._close_outgoing(connection)
        self._schedule_end_of_turn()

    def _handle_lost_connections(self) -> None:
        """Connect again to nodes whose connection has ended; the others have ended themselves."""
        # Their last frames come first. Their last connections may not even be accepted yet.
        self._accept()
        lost, self._lost = self._lost, {}
        for incoming in list(self._incoming.values()):
            if incoming.node in lost:
                self._drain(incoming)
        for node in lost:
            if node in self._outgoing:
                continue
            if self._reconnected[node] >= _MAX_RECONNECTS:
                self._held.add(node)
            elif self._connect(node):
                self._reconnected[node] += 1
                self._counts.reconnects += 1
                self._losses += 1
            else:
                self._unreachable[node] = None
