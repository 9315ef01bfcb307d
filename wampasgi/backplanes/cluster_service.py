"""The cluster of an application, while it runs: its backplane, its heartbeats, its log and its metrics."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from hashlib import blake2b
from typing import Any, Final, TypeVar

import anyio
from anyio.abc import TaskGroup

from wampasgi.backplanes.base import Backplane, NodeId
from wampasgi.errors import ConfigurationError
from wampasgi.logs import fields, logger_named, shown
from wampasgi.router.cluster import Cluster
from wampasgi.router.clustered_router import ClusteredRouter
from wampasgi.router.interfaces import JoinedSession
from wampasgi.router.realm_channel import RealmChannel
from wampasgi.router.router import Router
from wampasgi.serializers.node_codec import decode_frame, encode_item

logger = logger_named("wampasgi.cluster")

S = TypeVar("S", bound=JoinedSession)

#: Called with the ID of a node and the number of frames of it that were lost.
OnGap = Callable[[NodeId, int], Any]

_TICK: Final = 0.25
#: The maximum time until other workers have sent their rows, in seconds: a dead one is noticed before.
_JOIN_TIMEOUT: Final = 15.0
#: The bytes that wait for the engine from which on other workers get no further invocations.
_CONGESTED: Final = 8 * 1024 * 1024
#: The maximum time for the last frames of a worker that ends, in seconds.
_LEAVE_TIMEOUT: Final = 1.0


class ClusterService:
    """The node of this process, and the routers of its realms.

    ``name`` separates applications on one engine. ``on_gap`` is called after frames of another node were
    lost.
    """

    def __init__(self, backplane: Backplane, *, name: str, on_gap: OnGap | None = None) -> None:
        self._backplane = backplane
        self._name = backplane.name or name
        self._on_gap = on_gap
        self._cluster: Cluster | None = None
        self._routers: dict[str, ClusteredRouter[Any]] = {}
        self._tasks: TaskGroup | None = None
        # None until the backplane has said whether the engine can be reached.
        self._connected: bool | None = None
        self._ready = anyio.Event()
        self._reconnecting = False
        self._congested = False
        self._host: asyncio.Task[Any] | None = None
        self._flush_soon: Callable[[], None] = _nothing
        self._time: Callable[[], float] = anyio.current_time

    def __repr__(self) -> str:
        return f"<ClusterService {self._name!r} over {self._backplane!r}>"

    def make_router(
        self,
        key: str,
        *,
        now: Callable[[], str],
        private_registrations: bool,
        testaments_published: Callable[[], Any],
    ) -> Router[Any]:
        """Return the router of a realm. ``key`` names the realm on all workers.

        ``testaments_published`` is a coroutine function, which is run after this worker has published
        testaments of a dead one for the realm's own handlers.
        """
        channel = RealmChannel(key)
        router: ClusteredRouter[Any] = ClusteredRouter(
            channel,
            now=now,
            private_registrations=private_registrations,
            id_key=blake2b(self._name.encode(), digest_size=32).digest(),
            report=partial(_report_unsent, key),
            testaments_published=partial(self._spawn, testaments_published),
        )
        router.flushed = self._flushed
        self._routers[key] = router
        if self._cluster is not None:
            channel.bind(self._cluster)
            self._cluster.add_realm(key, router)
        return router

    @property
    def running(self) -> bool:
        """Return whether the backplane is open."""
        return self._cluster is not None

    def require_running(self) -> None:
        """Raise ConfigurationError if the application's lifespan does not run."""
        if not self.running:
            raise ConfigurationError(
                "the application has a backplane, which its lifespan opens, but the lifespan does not run: "
                "enter `async with wamp.lifespan()` in the lifespan of the app that mounts it"
            )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Join the other workers, and leave them at the end.

        Entering returns when this worker has the rows of the others. Raises ConnectionError if the engine
        cannot be reached, and ConfigurationError if it does not work with the event loop.
        """
        if self.running:
            raise ConfigurationError(f"{self!r} is open already: one process runs an application once")
        cluster = self._make_cluster()
        self._connected = None
        async with self._backplane.open(cluster.node, self, name=self._name):
            cluster.set_max_frame(self._backplane.max_frame)
            await self._find_engine()
            self._cluster = cluster
            failure: Exception | None = None
            try:
                async with anyio.create_task_group() as tasks:
                    self._tasks = tasks
                    self._begin(cluster, tasks)
                    try:
                        await self._wait_ready(cluster)
                        yield
                    except Exception as error:  # noqa: BLE001 - raised below
                        # The task group would wrap it in an exception group.
                        failure = error
                    await self._leave(cluster)
                    tasks.cancel_scope.cancel()
            finally:
                self._end(cluster)
        if failure is not None:
            raise failure

    def _make_cluster(self) -> Cluster:
        return Cluster(
            secrets.randbits(63) + 1,
            encode=encode_item,
            decode=decode_frame,
            send=self._backplane.send,
            broadcast=self._backplane.broadcast,
            # Known when the backplane is open.
            max_frame=1024 * 1024,
            clock=time.time,
            wake=self._wake,
            observer=self,
        )

    def _begin(self, cluster: Cluster, tasks: TaskGroup) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._time = anyio.current_time
            flusher = _Flusher(self._flush)
            self._flush_soon = flusher.wake
            tasks.start_soon(flusher.run)
        else:
            self._time = loop.time
            self._host = asyncio.current_task()
            self._flush_soon = partial(_call_soon, loop, self._flush)
        self._ready = anyio.Event()
        for key, router in self._routers.items():
            router.channel.bind(cluster)
            cluster.add_realm(key, router)
        if not self._connected:
            cluster.disconnected(self._time())
        cluster.start(self._time())
        cluster.flush()
        tasks.start_soon(self._tick, cluster)

    async def _find_engine(self) -> None:
        """Find out whether the engine can be reached, because a backplane may open without it."""
        reached = await self._backplane.flushed()
        if self._connected is None:
            self._connected = reached

    async def _wait_ready(self, cluster: Cluster) -> None:
        if not self._connected:
            logger.warning(
                "this worker starts without the others: the engine cannot be reached", extra=_extra()
            )
            return
        with anyio.move_on_after(_JOIN_TIMEOUT):
            await self._ready.wait()
        if not cluster.ready:
            raise ConnectionError(
                f"the other workers did not answer over {self._backplane!r} within {_JOIN_TIMEOUT} s"
            )

    async def _leave(self, cluster: Cluster) -> None:
        cluster.leave()
        cluster.flush()
        with anyio.move_on_after(_LEAVE_TIMEOUT):
            await self._backplane.flushed()

    def _end(self, cluster: Cluster) -> None:
        self._tasks = self._host = None
        self._flush_soon = _nothing
        for router in self._routers.values():
            for node in list(cluster.nodes):
                router.remove(node, orderly=True)
            router.channel.bind(None)
        self._cluster = None

    # Time

    async def _tick(self, cluster: Cluster) -> None:
        while True:
            cluster.tick(self._time())
            self._flush()
            await anyio.sleep(_TICK)

    def _wake(self) -> None:
        self._flush_soon()

    def _flush(self) -> None:
        if self._cluster is not None:
            self._cluster.flush()
            congested = self._backplane.counts.queued > _CONGESTED
            if congested is not self._congested:
                self._congested = congested
                for router in self._routers.values():
                    router.channel.congested = congested

    async def _flushed(self) -> bool:
        """Wait until the engine has everything; return False if frames may be lost."""
        dropped = self._backplane.counts.dropped
        self._flush()
        return await self._backplane.flushed() and self._backplane.counts.dropped == dropped

    def _spawn(self, function: Callable[[], Any]) -> None:
        if self._tasks is not None:
            self._tasks.start_soon(function)

    # The engine

    def received(self, frame: bytes) -> None:
        """Take a frame."""
        if self._cluster is not None:
            try:
                self._as_task(self._cluster.received, frame, self._time())
            except Exception:
                # The sender's rows follow again. Other connections must not end with the one of the engine.
                logger.exception("a frame of another worker could not be handled", extra=_extra())

    def ended(self, node: NodeId) -> None:
        """Take the news that a node has ended."""
        if self._cluster is not None:
            self._as_task(self._cluster.ended, node, self._time())

    def unreachable(self, node: NodeId) -> None:
        """Take the news that a node does not receive frames."""
        if self._cluster is not None:
            self._as_task(self._cluster.unreachable, node, self._time())

    def disconnected(self) -> None:
        """Take the news that the engine is gone."""
        self._connected = False
        if self._cluster is not None:
            self._as_task(self._cluster.disconnected, self._time())

    def connected(self) -> None:
        """Take the news that the engine is back."""
        self._connected = True
        if self._cluster is not None:
            self._as_task(self._cluster.connected, self._time())

    def _as_task(self, function: Callable[..., None], *args: Any) -> None:
        """Call a function as the task that has opened the backplane.

        On asyncio, engines call back outside of tasks, and anyio works only in tasks.
        """
        host = self._host
        if host is None or asyncio.current_task() is not None:
            function(*args)
            return
        loop = host.get_loop()
        asyncio._enter_task(loop, host)  # noqa: SLF001 - for those who extend asyncio
        try:
            function(*args)
        finally:
            asyncio._leave_task(loop, host)  # noqa: SLF001

    # The observer of the cluster

    def ready(self) -> None:
        """Let the application accept sessions."""
        self._ready.set()

    def joined(self, node: NodeId) -> None:
        """Log a new worker."""
        logger.info("worker %x has joined", node, extra=_extra())

    def left(self, node: NodeId) -> None:
        """Log the orderly end of a worker."""
        logger.info("worker %x has left", node, extra=_extra())

    def buried(self, node: NodeId, silent_for: float) -> None:
        """Log the death of a worker."""
        logger.warning(
            "worker %x has ended without a goodbye, or cannot be reached: its last frame came %.1f s ago",
            node,
            silent_for,
            extra=_extra(),
        )

    def reinstated(self, node: NodeId) -> None:
        """Log the return of a worker."""
        logger.warning("worker %x, which was taken for dead, is back", node, extra=_extra())

    def was_buried(self, by: NodeId) -> None:
        """Log that others took this worker for dead."""
        logger.warning("worker %x took this worker for dead: it was paused or cut off", by, extra=_extra())

    def gap(self, node: NodeId, lost: int) -> None:
        """Log lost frames, and tell the application."""
        logger.warning(
            "%s frames of worker %x were lost: the calls between it and this worker have failed",
            lost,
            node,
            extra=_extra(),
        )
        if self._on_gap is not None:
            self._spawn(partial(self._on_gap, node, lost))

    def deaf(self) -> None:
        """Replace the connection to the engine, over which nothing comes back."""
        logger.warning("the heartbeats of this worker do not come back: reconnecting", extra=_extra())
        if not self._reconnecting:
            self._reconnecting = True
            self._spawn(self._reconnect)

    async def _reconnect(self) -> None:
        try:
            await self._backplane.reconnect()
        finally:
            self._reconnecting = False

    def hearing(self) -> None:
        """Log the end of a deafness."""
        logger.info("the heartbeats of this worker come back again", extra=_extra())

    def refused_version(self, node: NodeId, version: int) -> None:
        """Log a worker of another release, which this one does not understand."""
        logger.error(
            "worker %x is refused: its frames have version %s, so it does not share realms with this one",
            node,
            version,
            extra=_extra(),
        )

    def malformed(self, node: NodeId | None, reason: str) -> None:
        """Log a frame that was not understood."""
        text = "an unknown worker" if node is None else f"worker {node:x}"
        logger.error("a frame of %s was not understood: %s", text, reason, extra=_extra())

    # Metrics

    def metrics(self) -> dict[str, int]:
        """Return the counters and gauges of this node; see ``Application.metrics``."""
        cluster = self._cluster
        if cluster is None:
            return {}
        counts, engine = cluster.counts, self._backplane.counts
        return {
            "nodes": len(cluster.nodes) + 1,
            "reachable": int(cluster.reachable),
            "frames_sent": counts.frames_sent,
            "frames_received": counts.frames_received,
            "frames_lost": counts.frames_lost,
            "frames_dropped": engine.dropped,
            "bytes_sent": counts.bytes_sent,
            "bytes_received": counts.bytes_received,
            "items_sent": counts.items_sent,
            "items_received": counts.items_received,
            "gaps": counts.gaps,
            "resets": counts.resets,
            "snapshots": counts.snapshots,
            "burials": counts.burials,
            "reinstatements": counts.reinstatements,
            "deafness": counts.deafness,
            "malformed": counts.malformed,
            "reconnects": engine.reconnects,
            "queued_bytes": engine.queued,
            "latency_us": round(cluster.latency * 1_000_000),
        }


class _Flusher:
    """Flushes in a task of its own, for event loops without ``call_soon``."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._woken = anyio.Event()

    def wake(self) -> None:
        """Flush soon."""
        self._woken.set()

    async def run(self) -> None:
        """Flush each time that ``wake`` is called."""
        while True:
            await self._woken.wait()
            self._woken = anyio.Event()
            self._flush()


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    loop.call_soon(function)


def _nothing() -> None:
    """Flush nothing: the cluster does not run."""


def _report_unsent(realm: str, topic: str, reason: str) -> None:
    logger.error("an event of %s cannot be sent to other workers: %s", shown(topic), reason, extra=_extra())


def _extra() -> dict[str, Any]:
    return fields(None, None)
