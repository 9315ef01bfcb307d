"""A connection to an engine: its queue, its writer and its end."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from wampasgi.backplanes.base import BackplaneCounts, FrameSink, NodeId
from wampasgi.errors import ConfigurationError
from wampasgi.logs import logger_named

logger = logger_named("wampasgi.backplane")

#: The request to confirm that the engine has all frames before it.
Flush: TypeAlias = asyncio.Future[bool]
#: A frame for one node, a frame for all nodes (None), or a flush.
Item: TypeAlias = tuple[NodeId | None, bytes] | Flush

# The maximum size in bytes of the frames that are written at once.
_BATCH_SIZE: Final = 1024 * 1024


# Seconds until a task is cancelled again.
_CANCEL_INTERVAL: Final = 0.5


class Refused(ConnectionError):
    """The engine can be reached, but refuses the credentials or the permissions. To try again is no use."""


class EngineConnection(ABC):
    """A connection over which frames are sent and received.

    One task writes the queue: all frames of a turn of the event loop at once. ``max_pending`` is the maximum
    number of bytes in the queue. Subclasses use the client library of an engine.
    """

    def __init__(self, sink: FrameSink, counts: BackplaneCounts, *, max_frame: int, max_pending: int) -> None:
        self._sink = sink
        self._counts = counts
        self._max_pending = max_pending
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Item] = deque()
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        # True if a frame was dropped since the queue was empty.
        self._lossy = False
        # The flushes that the engine did not confirm yet.
        self._flushes: set[Flush] = set()
        #: The maximum size of a frame in bytes.
        self.max_frame = max_frame
        #: The size in bytes of the frames in the queue.
        self.queued = 0
        #: Set when the connection is lost or closed.
        self.lost = asyncio.Event()
        #: The reason for the loss, for the log.
        self.reason = ""

    # For the client libraries

    @abstractmethod
    async def _write(self, batch: Sequence[Item]) -> None:
        """Send some items in order. The result of a flush is set when the engine confirms it.

        Raises ``_errors`` if the connection is lost.
        """

    @abstractmethod
    async def _release(self) -> None:
        """Close the client. The engine may be frozen, so nothing waits for it."""

    #: The exceptions of the client library that mean that the connection is lost.
    _errors: tuple[type[Exception], ...] = (OSError,)

    def _start_writer(self) -> None:
        self._writer = self._loop.create_task(self._write_queue(), name="wampasgi: writer of a backplane")

    async def _write_queue(self) -> None:
        # A library may swallow a cancellation, so each round also checks whether the connection is lost.
        while not self.lost.is_set():
            while self._queue and not self.lost.is_set():
                try:
                    await self._write(self._next_batch())
                except self._errors as error:
                    self._lose(str(error) or type(error).__name__)
                except Exception as error:
                    logger.exception("frames could not be sent")
                    self._lose(repr(error))
            self._lossy = False
            self._wake.clear()
            if not self.lost.is_set():
                await self._wake.wait()

    def _next_batch(self) -> Sequence[Item]:
        queue = self._queue
        if self.queued <= _BATCH_SIZE:
            batch = list(queue)
            queue.clear()
            return batch
        batch, size = [], 0
        while queue and size < _BATCH_SIZE:
            item = queue.popleft()
            batch.append(item)
            if isinstance(item, tuple):
                size += len(item[1])
        return batch

    def _enqueue(self, node: NodeId | None, frame: bytes) -> bool:
        size = len(frame)
        # A frame that waits alone is always allowed.
        full = self.queued > 0 and self.queued + size > self._max_pending
        if full or size > self.max_frame or self.lost.is_set():
            self._lossy = True
            self._wake.set()
            return False
        self._queue.append((node, frame))
        self.queued += size
        self._wake.set()
        return True

    def _written(self, frame: bytes) -> None:
        """Count a frame of a batch as sent."""
        if not self.lost.is_set():
            self.queued -= len(frame)

    def _take_frame(self, frame: bytes) -> None:
        """Pass a frame of the engine to the sink."""
        if self.lost.is_set():
            return
        counts = self._counts
        counts.received += 1
        counts.bytes_received += len(frame)
        try:
            self._sink.received(frame)
        except Exception:
            # The reader of the library must survive it.
            logger.exception("a frame could not be handled")

    def _report_unreachable(self, node: NodeId) -> None:
        if not self.lost.is_set():
            self._sink.unreachable(node)

    def _confirm(self, flush: Flush, complete: bool) -> None:
        self._flushes.discard(flush)
        if not flush.done():
            flush.set_result(complete)

    def _fail_flushes(self) -> None:
        for flush in list(self._flushes):
            self._confirm(flush, complete=False)

    def _lose(self, reason: str) -> None:
        """End the connection. Calling it again has no effect."""
        if self.lost.is_set():
            return
        self.reason = reason
        self.lost.set()
        self._wake.set()
        self._queue.clear()
        self.queued = 0
        self._fail_flushes()

    # For the backplane

    def send(self, node: NodeId, frame: bytes) -> bool:
        """Queue a frame for one node, or return False if that is impossible."""
        return self._enqueue(node, frame)

    def broadcast(self, frame: bytes) -> bool:
        """Queue a frame for all nodes, or return False if that is impossible."""
        return self._enqueue(None, frame)

    async def flushed(self) -> bool:
        """Wait until the engine has everything; return False if something may be lost."""
        if self.lost.is_set() or self._lossy:
            return False
        flush: Flush = self._loop.create_future()
        self._flushes.add(flush)
        self._queue.append(flush)
        self._wake.set()
        try:
            return await flush
        finally:
            self._flushes.discard(flush)

    async def close(self) -> None:
        """Drop the connection and its queue. It takes a bounded time, even if the engine is frozen."""
        self._lose("this node closed it")
        if self._writer is not None:
            self._writer.cancel()
        await self._release()
        if self._writer is not None:
            await cancel_and_wait(self._writer)


async def cancel_and_wait(task: asyncio.Task[Any]) -> None:
    """End a task that a client library may keep from noticing its cancellation. Its result is ignored."""
    while not task.done():
        task.cancel()
        # wait() does not raise the task's cancellation, which must not be confused with our own.
        await asyncio.wait([task], timeout=_CANCEL_INTERVAL)
    if not task.cancelled():
        # Otherwise asyncio would log that nobody asked for it.
        task.exception()


def check_asyncio(backplane: str) -> None:
    """Raise ConfigurationError unless the current task runs on asyncio."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(
            f"{backplane} runs on asyncio only, but this application runs on trio:"
            " use LocalBackplane for the workers of one host, or start the server on asyncio"
        ) from None
