"""Lines to the workers of an application: each client of a test is connected to another worker.

The test makes one application. Its twin, with the same settings and handlers, is the other worker. Both run
in the event loop of the test, over one backplane.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest
from anyio.abc import TaskGroup, TaskStatus
from anyio.lowlevel import checkpoint

from tests.websocket import PATIENCE, MemoryLine, WebSocket
from wampasgi import Application, Events, Realm
from wampasgi.backplanes import cluster_service
from wampasgi.backplanes.base import Backplane
from wampasgi.backplanes.local import LocalBackplane
from wampasgi.router.cluster import Cluster
from wampasgi.types import ASGIApp, Receive, Scope, Send

_Init = Callable[..., None]


class _Arguments:
    """The arguments of the applications and realms of a test, and the histories of its realms."""

    def __init__(self, make_backplane: Callable[[], Backplane]) -> None:
        self._make_backplane = make_backplane
        self._of: dict[int, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self._histories: dict[int, list[tuple[Any, ...]]] = {}
        # The realms of the other worker, by the IDs of the realms of the test.
        self._twins: dict[int, Realm] = {}
        # The changes at run time that a twin has to repeat.
        self._changes: dict[int, list[Callable[[Realm], None]]] = {}
        # Keeps the IDs of the objects unique.
        self._objects: list[object] = []

    def note_application(self, original: _Init, app: Application, *args: Any, **options: Any) -> None:
        """Construct an application with a backplane."""
        self._note(app, args, options)
        original(app, *args, backplane=self._make_backplane(), **options)

    def note_realm(self, original: _Init, realm: Realm, *args: Any, **options: Any) -> None:
        """Construct a realm, and note the histories that it will keep."""
        self._note(realm, args, options)
        original(realm, *args, **options)
        histories = self._histories[id(realm)] = []
        keep_history = realm.settings.keep_history

        def keep(*history: Any) -> None:
            keep_history(*history)
            histories.append(history)

        realm.settings.keep_history = keep

    def _note(self, created: object, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        self._objects.append(created)
        self._of[id(created)] = args, options

    def twin_of(self, app: Application) -> Application:
        """Return another worker of an application."""
        _, options = self._of[id(app)]
        realms = list(app.realms.values())
        twins = [Realm(*self._of[id(realm)][0], **self._of[id(realm)][1]) for realm in realms]
        twin = Application(twins, **{name: value for name, value in options.items() if name != "realms"})
        if options.get("allow_default_realm", True):
            realms.append(app.default_realm)
            twins.append(twin.default_realm)
        for realm, copy in zip(realms, twins, strict=True):
            self._share_settings(realm, copy)
        return twin

    def _share_settings(self, realm: Realm, twin: Realm) -> None:
        """Let a twin use the settings of a realm, including later changes."""
        self._twins[id(realm)] = twin
        changed, twin_changed = realm.settings.changed, twin.settings.changed
        own = {"changed", "keep_history"}
        shared = {name: value for name, value in vars(realm.settings).items() if name not in own}
        vars(twin.settings).update(shared)
        for history in self._histories[id(realm)]:
            twin.settings.keep_history(*history)

        def both_changed() -> None:
            changed()
            twin_changed()

        realm.settings.changed = twin.settings.changed = both_changed
        both_changed()
        for change in self._changes.pop(id(realm), ()):
            change(twin)

    def change_twin(self, realm: Realm, change: Callable[[Realm], None]) -> None:
        """Repeat a change of a realm of the test on the other worker, as soon as that exists."""
        if id(realm) in self._twins:
            change(self._twins[id(realm)])
        elif not self.has_twin(realm):
            self._changes.setdefault(id(realm), []).append(change)

    def has_twin(self, realm: Realm) -> bool:
        """Return whether another worker was made for the realm, or the realm for another worker."""
        return id(realm) in self._twins or any(realm is twin for twin in self._twins.values())


class _Workers:
    """The running workers of one application."""

    def __init__(self, app: Application) -> None:
        self.apps = [app]
        self.connections = 0
        self.started = anyio.Event()


class WorkerPool:
    """The workers of all applications of a test. ``run`` owns their lifespans."""

    def __init__(self, arguments: _Arguments) -> None:
        self._arguments = arguments
        self._workers: dict[int, _Workers] = {}
        self._tasks: TaskGroup | None = None
        # To end each worker that runs, and its end.
        self._running: dict[int, tuple[anyio.Event, anyio.Event]] = {}

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Run the workers that are needed while the context is open."""
        async with anyio.create_task_group() as self._tasks:
            yield
            for ending, _ in self._running.values():
                ending.set()

    async def stop(self, app: Application) -> None:
        """End a worker in order, and wait for its end."""
        ending, ended = self._running[id(app)]
        ending.set()
        with anyio.fail_after(PATIENCE):
            await ended.wait()

    def workers_of(self, app: Application) -> list[Application]:
        """Return the workers of an application, which have started."""
        return list(self._workers[id(app)].apps)

    def assign(self, app: Application) -> int:
        """Return the index of the worker for the next client of an application."""
        workers = self._workers.setdefault(id(app), _Workers(app))
        workers.connections += 1
        return (workers.connections - 1) % 2

    async def worker(self, app: Application, index: int) -> Application:
        """Return a worker of an application. The first call starts all of them."""
        workers = self._workers.setdefault(id(app), _Workers(app))
        if len(workers.apps) == 1:
            assert self._tasks is not None, "the test has no worker pool"
            workers.apps.append(self._arguments.twin_of(app))
            for served in workers.apps:
                await self._tasks.start(self._serve, served)
            while any(nodes_of(served) < 2 for served in workers.apps):
                await checkpoint()
            workers.started.set()
        await workers.started.wait()
        return workers.apps[index]

    async def start(self, realm: Realm) -> None:
        """Start the workers of the application of a realm, unless they run."""
        if not self._arguments.has_twin(realm):
            await self.worker(realm.app, 0)

    async def _serve(self, app: Application, *, task_status: TaskStatus[None]) -> None:
        ending, ended = self._running[id(app)] = anyio.Event(), anyio.Event()
        async with app.lifespan():
            task_status.started()
            await ending.wait()
        ended.set()

    async def settle(self, app: Application) -> None:
        """Wait until all workers of an application have handled everything that was in flight."""
        apps = [worker for worker in self._workers[id(app)].apps if not self._running[id(worker)][1].is_set()]
        # The second round is for the consequences of what arrives in the first.
        for worker in [*apps, *apps]:
            for realm in realms_of(worker):
                # A read has the answers of the other workers, which follow all that they sent before.
                await realm.call("wamp.session.count")


def nodes_of(app: Application) -> int:
    """Return the number of workers that an application knows, including itself."""
    return max((metrics["cluster"].get("nodes", 0) for metrics in app.metrics().values()), default=2)


def realms_of(app: Application) -> list[Realm]:
    """Return all realms of an application."""
    return list(app.realms.values()) + ([app.default_realm] if "default" in app.metrics() else [])


class WorkerLine(MemoryLine):
    """Connects a client in memory to the next worker of an application."""

    pool: ClassVar[WorkerPool]

    def __init__(
        self, app: ASGIApp, *, subprotocols: Iterable[str], buffer_size: float = math.inf, **scope: Any
    ) -> None:
        assert isinstance(app, Application), f"{app!r} has no workers"
        self._application = app
        self._index = self.pool.assign(app)
        super().__init__(self._serve, subprotocols=subprotocols, buffer_size=buffer_size, **scope)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        worker = await self.pool.worker(self._application, self._index)
        await worker(scope, receive, send)

    async def settle(self) -> None:
        await self.pool.settle(self._application)


def _start_workers_early(patch: pytest.MonkeyPatch, pool: WorkerPool) -> None:
    """Start the workers before a realm publishes or listens, as a server does."""
    publish, events, enter = Realm.publish, Realm.events, Events.__aenter__
    listening: dict[int, tuple[Realm, Events]] = {}

    async def publish_on_workers(self: Realm, topic: str, /, *args: Any, **options: Any) -> int:
        await pool.start(self)
        return await publish(self, topic, *args, **options)

    def events_of_workers(self: Realm, topic: str, **options: Any) -> Events:
        found = events(self, topic, **options)
        listening[id(found)] = self, found
        return found

    async def enter_on_workers(self: Events) -> Events:
        if id(self) in listening:
            await pool.start(listening[id(self)][0])
        return await enter(self)

    patch.setattr(Realm, "publish", publish_on_workers)
    patch.setattr(Realm, "events", events_of_workers)
    patch.setattr(Events, "__aenter__", enter_on_workers)


def _register_on_both(patch: pytest.MonkeyPatch, arguments: _Arguments) -> None:
    """Add and remove procedures at run time on both workers, as the same code in each worker would do."""

    def on_both(name: str) -> None:
        original = getattr(Realm, name)

        def call(self: Realm, *args: Any, **options: Any) -> None:
            original(self, *args, **options)
            arguments.change_twin(self, lambda twin: original(twin, *args, **options))

        patch.setattr(Realm, name, call)

    on_both("register")
    on_both("unregister")


@contextlib.contextmanager
def over_workers(make_backplane: Callable[[], Backplane]) -> Iterator[WorkerPool]:
    """Connect all clients to different workers while the context is open; its value has to run."""
    arguments = _Arguments(make_backplane)
    with pytest.MonkeyPatch.context() as patch:
        for owner, note in (Application, arguments.note_application), (Realm, arguments.note_realm):
            patch.setattr(owner, "__init__", _noting(owner.__init__, note))
        # Each test has two workers, which need not wait for others.
        patch.setattr(cluster_service, "Cluster", partial(Cluster, join_time=0))
        patch.setattr(WebSocket, "line_type", WorkerLine)
        patch.setattr(WebSocket, "has_other_workers", True)
        pool = WorkerPool(arguments)
        patch.setattr(WorkerLine, "pool", pool, raising=False)
        _start_workers_early(patch, pool)
        _register_on_both(patch, arguments)
        yield pool


def _noting(original: _Init, note: Callable[..., None]) -> _Init:
    def init(self: Any, *args: Any, **options: Any) -> None:
        note(original, self, *args, **options)

    return init


@contextlib.contextmanager
def over_unix_workers() -> Iterator[WorkerPool]:
    """Connect all clients to different workers over Unix sockets."""
    with (
        tempfile.TemporaryDirectory(prefix="w") as directory,
        over_workers(lambda: LocalBackplane(Path(directory, "b"), name="test")) as pool,
    ):
        yield pool


# Applications with the same name on one engine would be workers of each other.
_numbers = itertools.count()


@contextlib.contextmanager
def over_nats_workers(port: int) -> Iterator[WorkerPool]:
    """Connect all clients to different workers over the NATS server on a port of this host."""
    pytest.importorskip("nats")
    from wampasgi.backplanes.nats import NATSBackplane

    name, url = f"test{next(_numbers)}", f"nats://127.0.0.1:{port}"
    with over_workers(lambda: NATSBackplane(url, name=name)) as pool:
        yield pool


@contextlib.contextmanager
def over_redis_workers(port: int) -> Iterator[WorkerPool]:
    """Connect all clients to different workers over the Redis server on a port of this host."""
    pytest.importorskip("redis")
    from wampasgi.backplanes.redis import RedisBackplane

    name, url = f"test{next(_numbers)}", f"redis://127.0.0.1:{port}"
    with over_workers(lambda: RedisBackplane(url, name=name)) as pool:
        yield pool


@pytest.fixture
async def running_workers(anyio_backend: Any) -> AsyncIterator[WorkerPool]:
    """Own the lifespans of the workers that the lines of a test need. Its module imports this fixture."""
    async with WorkerLine.pool.run():
        yield WorkerLine.pool
