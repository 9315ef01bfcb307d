"""A backplane in memory, for several workers in one event loop, which can lose frames and fail."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from wampasgi.backplanes.base import BackplaneCounts, FrameSink, NodeId

MAX_FRAME = 64 * 1024


class Bus:
    """Connects the backplanes that were made with it, while ``run`` runs.

    ``loses`` decides which frames are lost: it gets the sender, the receiver and the frame.
    """

    def __init__(self) -> None:
        self.sinks: dict[NodeId, FrameSink] = {}
        self.loses: Callable[[NodeId, NodeId, bytes], bool] = lambda sender, receiver, frame: False
        self._frames: deque[tuple[NodeId, NodeId, bytes]] = deque()
        self._woken = anyio.Event()

    def put(self, sender: NodeId, receiver: NodeId, frame: bytes) -> None:
        self._frames.append((sender, receiver, frame))
        self._woken.set()

    async def run(self) -> None:
        """Deliver frames, in order."""
        while True:
            await self._woken.wait()
            self._woken = anyio.Event()
            while self._frames:
                sender, receiver, frame = self._frames.popleft()
                sink = self.sinks.get(receiver)
                if sink is not None and not self.loses(sender, receiver, frame):
                    sink.received(frame)

    def kill(self, node: NodeId) -> None:
        """Stop delivering frames to a node, and tell the others that it has ended."""
        del self.sinks[node]
        for sink in list(self.sinks.values()):
            sink.ended(node)


class MemoryBackplane:
    """The backplane of one worker, over a bus. ``fails`` makes opening fail."""

    library = None
    max_frame = MAX_FRAME

    def __init__(self, bus: Bus, *, name: str | None = None, fails: bool = False) -> None:
        self.name = name
        self.counts = BackplaneCounts()
        self.reconnects = 0
        #: True if ``flushed`` reports that all frames have arrived.
        self.is_safe = True
        self._bus = bus
        self._fails = fails
        self.node: NodeId | None = None

    def __repr__(self) -> str:
        return "<MemoryBackplane>"

    @asynccontextmanager
    async def open(self, node: NodeId, sink: FrameSink, *, name: str) -> AsyncIterator[None]:
        if self._fails:
            raise ConnectionError("memory:1 cannot be reached")
        self.node = node
        self._bus.sinks[node] = sink
        try:
            yield
        finally:
            self._bus.sinks.pop(node, None)

    def send(self, node: NodeId, frame: bytes) -> None:
        assert self.node is not None
        self._bus.put(self.node, node, frame)

    def broadcast(self, frame: bytes) -> None:
        for node in self._bus.sinks:
            self.send(node, frame)

    async def flushed(self) -> bool:
        return self.is_safe

    async def reconnect(self) -> None:
        self.reconnects += 1
