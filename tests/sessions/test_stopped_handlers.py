"""Every way to stop a handler: whatever it has opened is closed, to the end and in order."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio import from_thread
from anyio.lowlevel import checkpoint

from tests.specification import AUTHENTICATE, CALL, CANCEL, CHALLENGE, GOODBYE, HELLO, PUBLISH, SUBSCRIBE
from tests.wamp_client import BASIC, WAMPClient, connect
from wampasgi import (
    Application,
    CRAAuthRequirement,
    Depends,
    Identity,
    Limits,
    RPCProgressReport,
    Session,
    WAMPError,
)
from wampasgi.types import Receive, Scope, Send

pytestmark = pytest.mark.anyio

URI, NEWS = "com.example.uri", "com.example.news"


class Scene:
    """An app with one handler that has dependencies, and the log of all that they do."""

    def __init__(self, *, buffer_size: float = 1000, **limits: Any) -> None:
        self.app = Application(limits=Limits(**{"teardown_timeout": 3.0, "close_timeout": 1.0, **limits}))
        self.log: list[str] = []
        self.buffer_size = buffer_size
        self.session: Session | None = None
        #: Set when the handler has reached the moment at which it is stopped.
        self.reached = anyio.Event()
        #: Set when the first dependency begins to close; it continues when ``may_close`` is set.
        self.closing = anyio.Event()
        self.may_close = anyio.Event()
        self.thread_released = threading.Event()
        self.connection = anyio.CancelScope()
        self.in_own_task = False
        self.native: asyncio.Task[None] | None = None
        self.websocket: WAMPClient
        self.tasks: anyio.abc.TaskGroup
        self.call_options: dict[str, Any] = {}
        self.call_timeout: float | None = None
        self.app.set_default_arg("factory", factory=self._factory)
        self.app.set_default_arg("sync_factory", factory=self._sync_factory)
        self.opened = self._dependencies()

    # The dependencies of the handler

    @asynccontextmanager
    async def resource(self, name: str) -> AsyncIterator[None]:
        """Log the opening, the exception at the yield, and the end, which takes a while."""
        task = anyio.get_current_task().id
        self.log.append(f"open {name}")
        try:
            yield
        except BaseException as error:
            self.log.append(_shown(error))
            raise
        finally:
            if not self.closing.is_set():
                self.closing.set()
                await self.may_close.wait()
            for _ in range(5):
                await checkpoint()
            assert anyio.get_current_task().id == task
            self.log.append(f"close {name}")

    @contextlib.contextmanager
    def sync_resource(self, name: str) -> Iterator[None]:
        self.log.append(f"open {name}")
        try:
            yield
        except BaseException as error:
            self.log.append(_shown(error))
            raise
        finally:
            self.log.append(f"close {name}")

    async def _factory(self) -> AsyncIterator[None]:
        async with self.resource("factory"):
            yield

    def _sync_factory(self) -> Iterator[None]:
        with self.sync_resource("sync factory"):
            yield

    def _dependencies(self) -> Any:
        async def outer() -> AsyncIterator[None]:
            async with self.resource("outer"):
                yield

        def threaded(outer: Any = Depends(outer)) -> Iterator[None]:
            with self.sync_resource("threaded"):
                yield

        async def inner(
            factory: Any, sync_factory: Any, threaded: Any = Depends(threaded)
        ) -> AsyncIterator[None]:
            # A scope of its own, which must nest in those of the framework.
            with anyio.CancelScope():
                async with self.resource("inner"):
                    yield

        return Depends(inner)

    OPENED = ("factory", "sync factory", "outer", "threaded", "inner")

    # The handler

    async def pause(self, session: Session) -> None:
        self.session = session
        self.reached.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.log.append("handler")

    async def pass_by(self, session: Session) -> None:
        """Let the handler finish, so that it is stopped when its dependencies are being closed."""
        self.session = session
        self.reached.set()
        self.log.append("handler")

    @contextlib.asynccontextmanager
    async def slowly_ended(self) -> AsyncIterator[None]:
        try:
            with anyio.CancelScope():
                yield
        finally:
            for _ in range(5):
                await checkpoint()
            self.log.append("handler")

    # The server and the client

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.in_own_task:
            self.native = asyncio.create_task(self._served(scope, receive, send))
            await asyncio.wait([self.native])
            if not self.native.cancelled():
                self.native.result()
        else:
            with self.connection:
                await self.app(scope, receive, send)

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as self.tasks:
            try:
                async with connect(self.serve, buffer_size=self.buffer_size) as self.websocket:
                    try:
                        yield
                    finally:
                        self.may_close.set()
                        self.thread_released.set()
            finally:
                self.tasks.cancel_scope.cancel()

    async def call(self) -> None:
        await self.websocket.join()
        await self.websocket.send(CALL, 1, self.call_options, URI)

    async def subscribe(self) -> None:
        await self.websocket.join()
        await self.websocket.send(SUBSCRIBE, 1, {}, URI)

    async def publish(self) -> None:
        await self.websocket.join()
        await self.websocket.send(PUBLISH, 1, {}, URI)

    def check(self, at_yields: str | None, *, handler: bool = True) -> None:
        """Compare the log with the right one; ``at_yields`` is the exception at the yields."""
        right = [f"open {name}" for name in self.OPENED]
        right += ["handler"] if handler else []
        for name in reversed(self.OPENED):
            right += ([at_yields] if at_yields is not None else []) + [f"close {name}"]
        assert self.log == right


def _shown(error: BaseException) -> str:
    name = type(error).__name__
    return "cancelled" if name in ("Cancelled", "CancelledError") else name


# Kinds of handlers: each configures the app and brings its handler to the moment.

Kind = Callable[[Scene], Callable[[], Awaitable[None]]]


def coroutine_procedure(scene: Scene) -> Callable[[], Awaitable[None]]:
    scene.app.allow_all()

    @scene.app.procedure(URI)
    async def handler(session: Session, inner: Any = scene.opened) -> None:
        await scene.pause(session)

    return scene.call


def generator_procedure(scene: Scene) -> Callable[[], Awaitable[None]]:
    scene.app.allow_all()

    @scene.app.procedure(URI)
    async def handler(session: Session, inner: Any = scene.opened) -> AsyncIterator[Any]:
        with anyio.CancelScope():
            yield RPCProgressReport(1)
            await scene.pause(session)

    return scene.call


def finished_procedure(scene: Scene) -> Callable[[], Awaitable[None]]:
    scene.app.allow_all()

    @scene.app.procedure(URI)
    async def handler(session: Session, inner: Any = scene.opened) -> None:
        await scene.pass_by(session)

    return scene.call


def finished_generator_procedure(scene: Scene) -> Callable[[], Awaitable[None]]:
    scene.app.allow_all()

    @scene.app.procedure(URI)
    async def handler(session: Session, inner: Any = scene.opened) -> AsyncIterator[Any]:
        await scene.pass_by(session)
        yield 1

    return scene.call


def gatekeeper_coroutine(scene: Scene) -> Callable[[], Awaitable[None]]:
    @scene.app.topic(URI)
    async def handler(session: Session, inner: Any = scene.opened) -> None:
        await scene.pause(session)

    return scene.subscribe


def gatekeeper_generator(scene: Scene) -> Callable[[], Awaitable[None]]:
    @scene.app.topic(URI)
    async def handler(session: Session, inner: Any = scene.opened) -> AsyncIterator[None]:
        with anyio.CancelScope():
            await scene.pause(session)
            yield

    return scene.subscribe


async def _hold(scene: Scene, session: Session) -> AsyncIterator[None]:
    scene.session = session
    async with scene.slowly_ended():
        scene.reached.set()
        yield


def held_gatekeeper(scene: Scene) -> Callable[[], Awaitable[None]]:
    @scene.app.topic(URI)
    async def handler(session: Session, inner: Any = scene.opened) -> AsyncIterator[None]:
        async for _ in _hold(scene, session):
            yield

    async def subscribed() -> None:
        await scene.subscribe()
        await scene.websocket.receive()

    return subscribed


def lifespan_handler(scene: Scene) -> Callable[[], Awaitable[None]]:
    async def handler(session: Session, inner: Any = scene.opened) -> AsyncIterator[None]:
        with anyio.CancelScope():
            await scene.pause(session)
            yield

    scene.app.add_session_lifespan_handler(handler)
    return lambda: scene.websocket.join()  # type: ignore[return-value]


def held_lifespan_handler(scene: Scene, *, early: bool = False) -> Callable[[], Awaitable[None]]:
    async def handler(session: Session, inner: Any = scene.opened) -> AsyncIterator[None]:
        async for _ in _hold(scene, session):
            yield

    scene.app.add_session_lifespan_handler(handler, authenticated_only=not early)
    return lambda: scene.websocket.join()  # type: ignore[return-value]


def held_early_lifespan_handler(scene: Scene) -> Callable[[], Awaitable[None]]:
    return held_lifespan_handler(scene, early=True)


async def _hello(scene: Scene, *methods: str) -> None:
    details = {**BASIC, "authid": "joe"} if methods else BASIC
    await scene.websocket.send(HELLO, "default", {**details, "authmethods": list(methods)})


def early_lifespan_handler(scene: Scene) -> Callable[[], Awaitable[None]]:
    async def handler(session: Session, inner: Any = scene.opened) -> AsyncIterator[None]:
        await scene.pause(session)
        yield

    scene.app.add_session_lifespan_handler(handler, authenticated_only=False)
    return lambda: _hello(scene)


def transport_authenticator(scene: Scene) -> Callable[[], Awaitable[None]]:
    async def handler(session: Session, inner: Any = scene.opened) -> Identity | None:
        await scene.pause(session)
        return None

    scene.app.add_transport_authenticator(handler)
    return lambda: _hello(scene)


def ticket_authenticator(scene: Scene) -> Callable[[], Awaitable[None]]:
    async def handler(session: Session, ticket: str, inner: Any = scene.opened) -> Identity | None:
        await scene.pause(session)
        return None

    async def answer() -> None:
        await _hello(scene, "ticket")
        await scene.websocket.expect(CHALLENGE)
        await scene.websocket.send(AUTHENTICATE, "ticket", {})

    scene.app.set_ticket_authenticator(handler)
    return answer


def cra_requirement(scene: Scene) -> Callable[[], Awaitable[None]]:
    async def requirement(session: Session, inner: Any = scene.opened) -> CRAAuthRequirement:
        await scene.pause(session)
        return CRAAuthRequirement("secret", "user", "test")

    async def identity(session: Session) -> Identity | None:
        return None

    scene.app.set_cra_handlers(requirement, identity)
    return lambda: _hello(scene, "wampcra")


def authentication_handler(scene: Scene) -> Callable[[], Awaitable[None]]:
    async def handler(session: Session, inner: Any = scene.opened) -> None:
        await scene.pause(session)

    scene.app.set_authentication_handler(handler)
    return lambda: _hello(scene)


def authorizer(scene: Scene) -> Callable[[], Awaitable[None]]:
    @scene.app.authorizer
    async def handler(session: Session, inner: Any = scene.opened) -> bool:
        await scene.pause(session)
        return True

    return scene.call


def subscriber(scene: Scene) -> Callable[[], Awaitable[None]]:
    @scene.app.subscriber(URI)
    async def handler(session: Session, inner: Any = scene.opened) -> None:
        await scene.pause(session)

    return scene.publish


def overflow_handler(scene: Scene) -> Callable[[], Awaitable[None]]:
    scene.app.allow_all()

    @scene.app.on_overflow
    async def handler(session: Session, inner: Any = scene.opened) -> None:
        await scene.pause(session)

    async def overflow() -> None:
        await scene.websocket.join()
        await scene.websocket.subscribe(NEWS)
        for _ in range(50):
            await scene.app.publish(NEWS)
        # The overflow is over when the client has caught up.
        while not scene.reached.is_set():
            while scene.websocket.arrived():
                await scene.websocket.receive()
            await checkpoint()

    return overflow


# Ways to stop a handler.

Stop = Callable[[Scene], Awaitable[None]]


async def cancel_kill(scene: Scene) -> None:
    await scene.websocket.send(CANCEL, 1, {"mode": "kill"})


async def cancel_killnowait(scene: Scene) -> None:
    await scene.websocket.send(CANCEL, 1, {"mode": "killnowait"})


async def call_timeout(scene: Scene) -> None:
    """Wait: the call has a timeout."""


async def handler_timeout(scene: Scene) -> None:
    """Wait: the limit comes into force."""


async def handshake_timeout(scene: Scene) -> None:
    """Wait: the limit comes into force."""


async def disconnect(scene: Scene) -> None:
    await scene.websocket.disconnect()


async def goodbye(scene: Scene) -> None:
    await scene.websocket.send(GOODBYE, {}, "wamp.close.close_realm")


async def abort(scene: Scene) -> None:
    assert scene.session is not None
    scene.tasks.start_soon(scene.session.abort, "com.example.over")


async def shutdown(scene: Scene) -> None:
    async def shut_down() -> None:
        async with scene.app.lifespan():
            pass

    scene.tasks.start_soon(shut_down)


async def cancelled_scope(scene: Scene) -> None:
    scene.connection.cancel()


async def native_cancellation(scene: Scene) -> None:
    assert scene.native is not None
    scene.native.cancel()


ENDS: tuple[Stop, ...] = (disconnect, goodbye, abort, shutdown, cancelled_scope)
CALL_STOPS: tuple[Stop, ...] = (
    cancel_kill,
    cancel_killnowait,
    call_timeout,
    handler_timeout,
    *ENDS,
)
HANDSHAKE_STOPS: tuple[Stop, ...] = (handshake_timeout, cancelled_scope)
#: Ends of a session that is not being read.
UNREAD: tuple[Stop, ...] = (abort, cancelled_scope)

INTERRUPTED: dict[Kind, tuple[Stop, ...]] = {
    coroutine_procedure: CALL_STOPS,
    generator_procedure: CALL_STOPS,
    gatekeeper_coroutine: ENDS,
    gatekeeper_generator: ENDS,
    lifespan_handler: UNREAD,
    early_lifespan_handler: HANDSHAKE_STOPS,
    transport_authenticator: HANDSHAKE_STOPS,
    ticket_authenticator: HANDSHAKE_STOPS,
    cra_requirement: HANDSHAKE_STOPS,
    authentication_handler: HANDSHAKE_STOPS,
    authorizer: UNREAD,
    subscriber: ENDS,
    overflow_handler: ENDS,
}
FINISHED: dict[Kind, tuple[Stop, ...]] = {
    finished_procedure: CALL_STOPS,
    finished_generator_procedure: CALL_STOPS,
    held_gatekeeper: ENDS,
    held_lifespan_handler: ENDS,
    held_early_lifespan_handler: ENDS,
}


def cases(table: dict[Kind, tuple[Stop, ...]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("kind", "stop"),
        [
            pytest.param(kind, stop, id=f"{kind.__name__}-{stop.__name__}")
            for kind, stops in table.items()
            for stop in stops
        ],
    )


def scene_for(kind: Kind, stop: Stop) -> Scene:
    limits: dict[str, Any] = {}
    if kind in (subscriber, overflow_handler):
        limits["teardown_timeout"] = 0.3
    if kind is overflow_handler:
        limits |= {"overflow": "drop_oldest_events", "outbound_messages": 10}
    if stop is handshake_timeout:
        limits["handshake_timeout"] = 0.3
    if stop is handler_timeout:
        limits["handler_timeout"] = 0.1
    scene = Scene(buffer_size=5 if kind is overflow_handler else 1000, **limits)
    if stop is call_timeout:
        scene.call_options = {"timeout": 100, "receive_progress": True}
    scene.in_own_task = stop is native_cancellation
    return scene


async def stop_handler(scene: Scene, kind: Kind, stop: Stop, *, again: bool) -> None:
    begin = kind(scene)
    async with scene.connected():
        with anyio.fail_after(2):
            await begin()
            await scene.reached.wait()
            if kind in (finished_procedure, finished_generator_procedure):
                await scene.closing.wait()
            await stop(scene)
            await scene.closing.wait()
            if again or kind in (finished_procedure, finished_generator_procedure):
                await anyio.wait_all_tasks_blocked()
            if again:
                await scene.websocket.disconnect()
                await anyio.wait_all_tasks_blocked()
            scene.may_close.set()


async def check_interrupted(kind: Kind, stop: Stop, *, again: bool) -> None:
    scene = scene_for(kind, stop)
    await stop_handler(scene, kind, stop, again=again)
    scene.check("cancelled")


async def check_finished(kind: Kind, stop: Stop, *, again: bool) -> None:
    scene = scene_for(kind, stop)
    await stop_handler(scene, kind, stop, again=again)
    scene.check(None)


once_and_again = pytest.mark.parametrize("again", [False, True], ids=["once", "again"])
on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@once_and_again
@cases(INTERRUPTED)
async def test_interrupted_handler_closes_its_dependencies(kind: Kind, stop: Stop, again: bool) -> None:
    await check_interrupted(kind, stop, again=again)


@on_asyncio
@once_and_again
@pytest.mark.parametrize("kind", INTERRUPTED)
async def test_handler_of_a_cancelled_task_closes_its_dependencies(kind: Kind, again: bool) -> None:
    await check_interrupted(kind, native_cancellation, again=again)


@once_and_again
@cases(FINISHED)
async def test_dependencies_of_a_finished_handler_close_as_after_a_success(
    kind: Kind, stop: Stop, again: bool
) -> None:
    await check_finished(kind, stop, again=again)


@on_asyncio
@once_and_again
@pytest.mark.parametrize("kind", FINISHED)
async def test_dependencies_of_a_finished_handler_close_if_the_task_is_cancelled(
    kind: Kind, again: bool
) -> None:
    await check_finished(kind, native_cancellation, again=again)


# At the yield of a generator


@pytest.mark.parametrize("stop", [*CALL_STOPS, native_cancellation])
async def test_generator_that_is_stopped_at_its_yield_is_closed_before_its_dependencies(
    stop: Stop, anyio_backend: str
) -> None:
    if stop is native_cancellation and anyio_backend == "trio":
        stop = cancelled_scope
    scene = scene_for(generator_procedure, stop)
    scene.app.allow_all()
    scene.call_options["receive_progress"] = True
    scene.buffer_size = 5
    begun = anyio.Event()

    @scene.app.procedure(URI)
    async def handler(session: Session, inner: Any = scene.opened) -> AsyncIterator[Any]:
        scene.session = session
        begun.set()
        async with scene.slowly_ended():
            while True:
                yield RPCProgressReport("x" * 100_000)

    async with scene.connected():
        with anyio.fail_after(5):
            await scene.call()
            await begun.wait()
            await anyio.wait_all_tasks_blocked()
            await stop(scene)
            await scene.closing.wait()
            await scene.websocket.disconnect()
            await anyio.wait_all_tasks_blocked()
            scene.may_close.set()
            while not scene.websocket.served.is_set():
                while scene.websocket.arrived():
                    await scene.websocket.receive_event()
                await checkpoint()

    scene.check("GeneratorExit")


async def test_async_generator_that_a_procedure_returns_is_closed() -> None:
    scene = Scene(buffer_size=5)
    scene.app.allow_all()
    scene.call_options = {"receive_progress": True}

    async def reports() -> AsyncIterator[Any]:
        async with scene.slowly_ended():
            while True:
                yield RPCProgressReport("x" * 100_000)

    @scene.app.procedure(URI)
    async def handler() -> AsyncIterator[Any]:
        return reports()

    async with scene.connected():
        await scene.call()
        await anyio.wait_all_tasks_blocked()
        await scene.websocket.disconnect()

    assert scene.log == ["handler"]


# Calls, publications and subscriptions of the server


@pytest.mark.parametrize("kind", [coroutine_procedure, generator_procedure])
async def test_call_of_the_server_closes_dependencies_on_a_timeout(kind: Kind) -> None:
    scene = Scene()
    kind(scene)
    scene.may_close.set()

    with pytest.raises(WAMPError, match=r"wamp\.error\.timeout"):
        await scene.app.call(URI, timeout=0.05)

    scene.check("cancelled")


@pytest.mark.parametrize("kind", [coroutine_procedure, generator_procedure])
async def test_cancelled_call_of_the_server_closes_dependencies(kind: Kind) -> None:
    scene = Scene()
    kind(scene)
    scene.may_close.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.app.call, URI)
        await scene.reached.wait()
        tasks.cancel_scope.cancel()

    scene.check("cancelled")


async def test_cancelled_publication_of_the_server_closes_dependencies() -> None:
    scene = Scene()
    subscriber(scene)
    scene.may_close.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.app.publish, URI)
        await scene.reached.wait()
        tasks.cancel_scope.cancel()

    scene.check("cancelled")


async def test_cancelled_subscription_of_the_server_closes_dependencies() -> None:
    scene = Scene()
    scene.may_close.set()

    async def handler(session: Session, inner: Any = scene.opened) -> None:
        await scene.pause(session)

    with anyio.CancelScope() as scope:
        async with scene.app.subscribe(URI, handler):
            await scene.app.publish(URI)
            await scene.reached.wait()
            scope.cancel()
            await checkpoint()

    scene.check("cancelled")


# Worker threads


@pytest.mark.parametrize("stop", [cancel_kill, cancel_killnowait, disconnect, goodbye, abort])
async def test_dependencies_of_a_sync_procedure_are_open_until_its_thread_has_ended(stop: Stop) -> None:
    scene = Scene()
    scene.app.allow_all()
    scene.may_close.set()

    @scene.app.procedure(URI)
    def handler(session: Session, inner: Any = scene.opened) -> None:
        scene.session = session
        from_thread.run_sync(scene.reached.set)
        scene.thread_released.wait()
        scene.log.append("handler")

    async with scene.connected():
        await scene.call()
        await scene.reached.wait()
        await stop(scene)
        await anyio.wait_all_tasks_blocked()
        scene.thread_released.set()

    scene.log = [line for line in scene.log if line != "cancelled"]
    scene.check(None)


@pytest.mark.parametrize("stop", [cancel_kill, disconnect])
async def test_sync_dependency_that_is_being_opened_is_closed(stop: Stop) -> None:
    scene = Scene()
    scene.app.allow_all()

    def opening() -> Iterator[None]:
        from_thread.run_sync(scene.reached.set)
        scene.thread_released.wait()
        try:
            yield
        finally:
            scene.log.append("closed")

    @scene.app.procedure(URI)
    async def handler(value: Any = Depends(opening)) -> None:
        await checkpoint()
        await checkpoint()

    async with scene.connected():
        await scene.call()
        await scene.reached.wait()
        await stop(scene)
        await anyio.wait_all_tasks_blocked()
        scene.thread_released.set()

    assert scene.log == ["closed"]


# The time limit of lifespan handlers


async def test_dependencies_of_a_lifespan_handler_close_after_its_second_part_took_too_long() -> None:
    scene = Scene(teardown_timeout=0.1)
    scene.may_close.set()

    async def handler(session: Session, inner: Any = scene.opened) -> AsyncIterator[None]:
        yield
        await scene.pause(session)

    scene.app.add_session_lifespan_handler(handler)
    async with scene.connected():
        await scene.websocket.join()

    scene.check("cancelled")


async def test_dependencies_of_a_lifespan_handler_that_never_close_are_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene(teardown_timeout=0.1)

    async def hanging() -> AsyncIterator[None]:
        yield
        await anyio.sleep_forever()

    async def handler(value: Any = Depends(hanging)) -> AsyncIterator[None]:
        yield

    scene.app.add_session_lifespan_handler(handler)
    async with scene.connected():
        await scene.websocket.join()
        await scene.websocket.disconnect()
        await scene.websocket.wait_served()

    assert "took longer than teardown_timeout=0.1 s to close and were cancelled" in caplog.text
