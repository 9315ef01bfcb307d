"""The interface between a cluster of nodes and the engine that carries their frames.

A node is one process that serves an application. An engine is a bus and nothing else: it carries frames, and
keeps no state of realms.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from wampasgi.router.nodes import NodeId

__all__ = ["Backplane", "BackplaneCounts", "FrameSink", "NodeId"]


class FrameSink(Protocol):
    """Receives the frames of other nodes, and what the engine tells about them.

    The backplane calls it from the event loop that opened it. No method blocks or raises.
    """

    def received(self, frame: bytes) -> None:
        """Take a frame that was sent to this node, or to all nodes."""

    def unreachable(self, node: NodeId) -> None:
        """Take the engine's word that nobody received a frame for ``node``.

        Its process has ended, or has lost its connection.
        """

    def ended(self, node: NodeId) -> None:
        """Take the news that the process of ``node`` has ended."""

    def disconnected(self) -> None:
        """Take the news that the connection to the engine is lost. Frames may be lost from now on."""

    def connected(self) -> None:
        """Take the news that the engine can be reached again."""


@dataclass(slots=True)
class BackplaneCounts:
    """The counters of a backplane.

    ``sent`` and ``received`` count frames, ``bytes_sent`` and ``bytes_received`` their sizes. ``dropped``
    counts frames that were not sent, because the engine was gone or the queue full. ``reconnects`` counts
    lost connections that were replaced. ``queued`` is a gauge: bytes that wait to be sent.
    """

    sent: int = 0
    received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    dropped: int = 0
    reconnects: int = 0
    queued: int = 0


class Backplane(Protocol):
    """Carries frames between nodes: at most once, in order from one sender to one receiver.

    The order holds for all frames of a sender together, whether they were sent or broadcast.
    """

    @property
    def name(self) -> str | None:
        """The name that separates applications on one engine; None to let the application choose it."""

    @property
    def library(self) -> str | None:
        """The asynchronous library that the backplane needs, such as ``"asyncio"``; None for any."""

    @property
    def max_frame(self) -> int:
        """The maximum size of a frame in bytes. Known once the backplane is open."""

    @property
    def counts(self) -> BackplaneCounts:
        """The counters of the backplane."""

    def open(self, node: NodeId, sink: FrameSink, *, name: str) -> AbstractAsyncContextManager[None]:
        """Connect to the engine, and receive the frames for ``node`` and those for all nodes of ``name``.

        Entering returns when frames can be sent and received. Raises ConnectionError if the engine cannot be
        reached within ``connect_timeout`` seconds; its text names the address, without passwords. A backplane
        with ``wait_for_engine=False`` returns at once instead, and calls ``sink.connected`` later. Leaving
        sends the frames that are queued, for at most a second.
        """

    def send(self, node: NodeId, frame: bytes) -> None:
        """Send a frame to one node, or drop it if that is impossible. Never waits and never raises."""

    def broadcast(self, frame: bytes) -> None:
        """Send a frame to all nodes, including this one. Never waits and never raises."""

    async def flushed(self) -> bool:
        """Wait until the engine has all frames sent so far; return False if some may be lost."""

    async def reconnect(self) -> None:
        """Replace the connection to the engine, because no frames arrive over it."""
