"""The part that backplanes over NATS and Redis share: they keep one connection to a server."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import ClassVar, Final

import anyio

from wampasgi.backplanes.base import BackplaneCounts, FrameSink, NodeId
from wampasgi.backplanes.connection import EngineConnection, Refused, check_asyncio
from wampasgi.errors import ConfigurationError
from wampasgi.logs import logger_named

logger = logger_named("wampasgi.backplane")

# The longest time in seconds that leaving takes to send the queue.
_LEAVE_TIMEOUT: Final = 1.0
# Replicas must agree within two seconds after the engine is back, so the delays between attempts are short.
_FIRST_DELAY: Final = 0.05
_MAX_DELAY: Final = 0.5
# An engine that refuses the credentials will not accept them soon, and logs each attempt.
_DELAY_AFTER_REFUSAL: Final = 5.0


class EngineBackplane(ABC):
    """A backplane over an engine that runs as a server of its own. It needs asyncio."""

    library: Final = "asyncio"
    #: The name of the engine in messages.
    engine: ClassVar[str]

    def __init__(
        self,
        *,
        name: str | None,
        connect_timeout: float,
        wait_for_engine: bool,
        max_pending: int,
        max_frame: int,
    ) -> None:
        self._name = name
        self._connect_timeout = connect_timeout
        self._wait_for_engine = wait_for_engine
        self._max_pending = max_pending
        self._max_frame = max_frame
        self._counts = BackplaneCounts()
        self._keeper: ConnectionKeeper | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"

    @property
    @abstractmethod
    def address(self) -> str:
        """The addresses of the engine, without passwords."""

    @abstractmethod
    def _connector(
        self, node: NodeId, sink: FrameSink, name: str
    ) -> Callable[[], Awaitable[EngineConnection]]:
        """Return the function that opens one connection, for a ConnectionKeeper."""

    @property
    def name(self) -> str | None:
        """The name that separates applications on one engine; None to let the application choose it."""
        return self._name

    @property
    def max_frame(self) -> int:
        """The maximum size of a frame in bytes. Known once the backplane is open."""
        connection = self._connection
        if connection is not None:
            self._max_frame = connection.max_frame
        return self._max_frame

    @property
    def counts(self) -> BackplaneCounts:
        """The counters of the backplane."""
        connection = self._connection
        self._counts.queued = connection.queued if connection is not None else 0
        return self._counts

    @property
    def _connection(self) -> EngineConnection | None:
        return self._keeper.connection if self._keeper is not None else None

    @asynccontextmanager
    async def open(self, node: NodeId, sink: FrameSink, *, name: str) -> AsyncIterator[None]:
        """Connect, and receive the frames for ``node`` and those for all nodes of ``name``.

        Raises ConnectionError if the engine cannot be reached in time, or if it refuses the credentials.
        Raises ConfigurationError on trio, and if the backplane is open already.
        """
        check_asyncio(type(self).__name__)
        if self._keeper is not None:
            raise ConfigurationError(f"{self!r} is open already: each application needs its own")
        keeper = ConnectionKeeper(
            self.engine,
            self.address,
            self._connector(node, sink, name),
            sink,
            self._counts,
            connect_timeout=self._connect_timeout,
        )
        self._keeper = keeper
        try:
            await keeper.start(wait_for_engine=self._wait_for_engine)
            yield
        finally:
            with anyio.move_on_after(_LEAVE_TIMEOUT, shield=True):
                await self.flushed()
            self._keeper = None
            with anyio.CancelScope(shield=True):
                await keeper.stop()

    def send(self, node: NodeId, frame: bytes) -> None:
        """Send a frame to one node, or drop it if that is impossible. Never waits and never raises."""
        connection = self._connection
        self._count(frame, connection is not None and connection.send(node, frame))

    def broadcast(self, frame: bytes) -> None:
        """Send a frame to all nodes, including this one. Never waits and never raises."""
        connection = self._connection
        self._count(frame, connection is not None and connection.broadcast(frame))

    def _count(self, frame: bytes, sent: bool) -> None:
        counts = self._counts
        if sent:
            counts.sent += 1
            counts.bytes_sent += len(frame)
        else:
            counts.dropped += 1

    async def flushed(self) -> bool:
        """Wait until the engine has all frames sent so far; return False if some may be lost."""
        connection = self._connection
        return connection is not None and await connection.flushed()

    async def reconnect(self) -> None:
        """Replace the connection, and wait for the new one, for ``connect_timeout`` seconds at most."""
        if self._keeper is not None:
            await self._keeper.reconnect()


def delays() -> Iterator[float]:
    """Yield the delays in seconds between attempts to connect, with jitter.

    Without jitter, all workers would return at the same moments.
    """
    delay = _FIRST_DELAY
    while True:
        yield delay * random.uniform(0.5, 1.0)
        delay = min(delay * 2, _MAX_DELAY)


class ConnectionKeeper:
    """Keeps a connection to an engine, and tells a sink when it is lost and when it is back.

    ``engine`` and ``address`` name the engine in messages, without passwords. ``connect`` opens a connection;
    it raises OSError, or Refused, and closes what it opened if it is cancelled. It gets ``connect_timeout``
    seconds for each attempt.
    """

    def __init__(
        self,
        engine: str,
        address: str,
        connect: Callable[[], Awaitable[EngineConnection]],
        sink: FrameSink,
        counts: BackplaneCounts,
        *,
        connect_timeout: float,
    ) -> None:
        self._engine = engine
        self._address = address
        self._connect = connect
        self._sink = sink
        self._counts = counts
        self._connect_timeout = connect_timeout
        self._up = asyncio.Event()
        self._was_lost = False
        self._task: asyncio.Task[None] | None = None
        # Tasks that close lost connections, so that the next one need not wait for them.
        self._closing: set[asyncio.Task[None]] = set()
        #: The current connection, None while there is none.
        self.connection: EngineConnection | None = None

    async def start(self, *, wait_for_engine: bool) -> None:
        """Connect, and keep the connection until ``stop``.

        Raises ConnectionError if the engine cannot be reached in time. With ``wait_for_engine=False`` it
        returns at once instead.
        """
        if wait_for_engine:
            self.connection = await self._first_connection()
            self._up.set()
        self._task = asyncio.create_task(self._keep(), name=f"wampasgi: connection to {self._engine}")

    async def stop(self) -> None:
        """Close the connection. The sink is not called any more."""
        if self._task is not None:
            self._task.cancel()
            # wait() does not raise the task's cancellation, which must not be confused with our own.
            await asyncio.wait([self._task])
            self._task = None
        connection, self.connection = self.connection, None
        if connection is not None:
            await connection.close()
        if self._closing:
            # Each of them takes a bounded time.
            await asyncio.wait(list(self._closing))

    async def reconnect(self) -> None:
        """Drop the connection, and wait for the next one, for ``connect_timeout`` seconds at most."""
        if self.connection is not None:
            self._drop(self.connection, "no frames arrive over it")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._up.wait(), self._connect_timeout)

    async def _first_connection(self) -> EngineConnection:
        failure: OSError | None = None
        try:
            async with asyncio.timeout(self._connect_timeout):
                for delay in delays():
                    try:
                        return await self._connect()
                    except Refused as error:
                        raise ConnectionError(
                            f"{self._engine} at {self._address} refuses this worker: {error}"
                        ) from error
                    except OSError as error:
                        failure = error
                    await asyncio.sleep(delay)
        except TimeoutError:
            pass
        raise ConnectionError(
            f"{self._engine} at {self._address} cannot be reached within {self._connect_timeout:g} s:"
            f" {failure or 'it does not answer'}"
        ) from failure

    async def _keep(self) -> None:
        while True:
            try:
                if self.connection is None:
                    self._established(await self._next_connection())
                connection = self.connection
                assert connection is not None
                await connection.lost.wait()
                if self.connection is connection:
                    self._drop(connection, connection.reason)
            except Exception:
                logger.exception("the connection to %s at %s failed", self._engine, self._address)
                if self.connection is not None:
                    self._drop(self.connection, "of the error above")
                await asyncio.sleep(_MAX_DELAY)

    async def _next_connection(self) -> EngineConnection:
        reported = ""
        for delay in delays():
            try:
                async with asyncio.timeout(self._connect_timeout):
                    return await self._connect()
            except OSError as error:
                text = str(error) or "it does not answer"
                if text != reported:
                    # Each reason once, because an engine may be away for hours.
                    logger.warning("%s at %s cannot be reached: %s", self._engine, self._address, text)
                    reported = text
                if isinstance(error, Refused):
                    delay = _DELAY_AFTER_REFUSAL
            await asyncio.sleep(delay)
        raise AssertionError("the delays never end")

    def _established(self, connection: EngineConnection) -> None:
        self.connection = connection
        if self._was_lost:
            self._counts.reconnects += 1
        logger.info("connected to %s at %s", self._engine, self._address)
        self._up.set()
        self._sink.connected()

    def _drop(self, connection: EngineConnection, reason: str) -> None:
        self.connection = None
        self._was_lost = True
        self._up.clear()
        closing = asyncio.create_task(connection.close(), name=f"wampasgi: closing of {self._engine}")
        self._closing.add(closing)
        closing.add_done_callback(self._closed)
        logger.warning("the connection to %s at %s is lost: %s", self._engine, self._address, reason)
        self._sink.disconnected()

    def _closed(self, closing: asyncio.Task[None]) -> None:
        self._closing.discard(closing)
        if not closing.cancelled() and (error := closing.exception()) is not None:
            logger.error("a connection to %s could not be closed", self._engine, exc_info=error)
