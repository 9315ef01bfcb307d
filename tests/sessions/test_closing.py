"""Waiting for the end of one session or of all, and for messages to be written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest

from tests.wamp_client import ALL_ROLES, WAMPClient, connect
from tests.websocket import PATIENCE
from wampasgi import Application, Limits, Session

pytestmark = pytest.mark.anyio

ABORT, GOODBYE, SUBSCRIBE, EVENT, CALL = 3, 6, 32, 36, 48


class Waiting:
    """A task that awaits a function, and records when that returns."""

    def __init__(self, wait: Callable[[], Awaitable[None]]) -> None:
        self._wait = wait
        self.over = False
        self._over = anyio.Event()

    async def run(self) -> None:
        await self._wait()
        self.over = True
        self._over.set()

    async def until_over(self) -> None:
        with anyio.fail_after(PATIENCE):
            await self._over.wait()


async def at_once(awaitable: Awaitable[None]) -> None:
    """Await a call that has to return at once."""
    with anyio.fail_after(PATIENCE):
        await awaitable


class Handlers:
    """A lifespan handler whose second part waits until it is released."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.ending = anyio.Event()
        self.release = anyio.Event()
        self.ended: list[int] = []
        app.add_session_lifespan_handler(self.lifespan)

    async def lifespan(self, session: Session) -> AsyncIterator[None]:
        yield
        self.ending.set()
        await self.release.wait()
        self.ended.append(session.id)

    def session(self) -> Session:
        [session] = self.app.default_realm.sessions.values()
        return session


# One session


async def by_goodbye(websocket: WAMPClient, session: Session) -> None:
    await websocket.send(GOODBYE, {}, "wamp.close.close_realm")


async def by_losing_the_connection(websocket: WAMPClient, session: Session) -> None:
    await websocket.disconnect()


async def by_abort_of_the_client(websocket: WAMPClient, session: Session) -> None:
    await websocket.send(ABORT, {}, "com.myapp.enough")


async def by_abort_of_the_server(websocket: WAMPClient, session: Session) -> None:
    await session.abort("com.myapp.enough")


async def by_close(websocket: WAMPClient, session: Session) -> None:
    await session.close()
    assert (await websocket.receive())[0] == GOODBYE
    await websocket.send(GOODBYE, {}, "wamp.close.goodbye_and_out")


@pytest.mark.parametrize(
    "end", [by_goodbye, by_losing_the_connection, by_abort_of_the_client, by_abort_of_the_server, by_close]
)
async def test_wait_closed_waits_for_the_handlers_of_the_session(
    end: Callable[[WAMPClient, Session], Awaitable[None]],
) -> None:
    app = Application()
    handlers = Handlers(app)

    async with connect(app) as websocket, anyio.create_task_group() as tasks:
        await websocket.join()
        session = handlers.session()
        waiting = [Waiting(session.wait_closed) for _ in range(2)]
        for one in waiting:
            tasks.start_soon(one.run)
        await end(websocket, session)
        with anyio.fail_after(PATIENCE):
            await handlers.ending.wait()
        late = Waiting(session.wait_closed)
        tasks.start_soon(late.run)
        await anyio.wait_all_tasks_blocked()
        assert not any(one.over for one in (*waiting, late))
        handlers.release.set()
        for one in (*waiting, late):
            await one.until_over()

        assert handlers.ended == [session.id]
        assert not app.default_realm.sessions
        await at_once(session.wait_closed())


async def test_next_session_on_the_connection_is_another_to_wait_for() -> None:
    app = Application()
    handlers = Handlers(app)
    handlers.release.set()

    async with connect(app) as websocket:
        await websocket.join()
        first = handlers.session()
        await websocket.ask(GOODBYE, {}, "wamp.close.close_realm")
        await websocket.join()

        await at_once(first.wait_closed())
        assert handlers.session() is not first


async def test_waiting_for_a_session_that_was_never_open_returns_at_once() -> None:
    app = Application()
    sessions: list[Session] = []

    async def authenticate(session: Session) -> None:
        sessions.append(session)
        await at_once(session.wait_closed())
        await at_once(session.flushed())
        await session.abort("com.myapp.closed_today")

    app.set_authentication_handler(authenticate)
    async with connect(app) as websocket:
        assert (await websocket.ask(1, "r", {"roles": ALL_ROLES}))[2] == "com.myapp.closed_today"
        await websocket.wait_served()

    await at_once(sessions[0].wait_closed())
    await at_once(sessions[0].flushed())


async def test_waiting_for_the_realms_own_session_returns_at_once() -> None:
    app = Application()

    @app.procedure("com.own")
    async def own(session: Session) -> None:
        await at_once(session.wait_closed())
        await at_once(session.flushed())

    await app.call("com.own")


# Messages that are still to be written


async def test_flushed_waits_until_the_client_has_been_sent_everything() -> None:
    app = Application()
    app.allow("com.a", "subscribe")

    async with connect(app, buffer_size=0) as websocket, anyio.create_task_group() as tasks:
        await websocket.join()
        await websocket.ask(SUBSCRIBE, 1, {}, "com.a")
        [session] = app.default_realm.sessions.values()
        await at_once(session.flushed())
        for number in range(3):
            await app.publish("com.a", number)
        waiting = Waiting(session.flushed)
        tasks.start_soon(waiting.run)
        for number in range(3):
            await anyio.wait_all_tasks_blocked()
            assert not waiting.over
            assert (await websocket.receive())[4] == [number]
        await waiting.until_over()


async def test_flushed_waits_for_messages_of_the_same_turn_of_the_event_loop() -> None:
    app = Application()
    app.allow("com.a", "subscribe")

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.ask(SUBSCRIBE, 1, {}, "com.a")
        [session] = app.default_realm.sessions.values()
        await session.send_event("com.a", [1])
        assert websocket.arrived() == 0
        await at_once(session.flushed())
        assert websocket.arrived() == 1


async def test_flushed_returns_when_the_client_has_gone() -> None:
    app = Application(limits=Limits(close_timeout=0.05))
    app.allow("com.a", "subscribe")

    async with connect(app, buffer_size=0) as websocket, anyio.create_task_group() as tasks:
        await websocket.join()
        await websocket.ask(SUBSCRIBE, 1, {}, "com.a")
        [session] = app.default_realm.sessions.values()
        await session.send_event("com.a", [1])
        waiting = Waiting(session.flushed)
        tasks.start_soon(waiting.run)
        await anyio.wait_all_tasks_blocked()
        assert not waiting.over
        await websocket.disconnect()
        await waiting.until_over()


# All sessions


async def test_closing_all_sessions_waits_for_those_that_are_open_and_for_no_later_one() -> None:
    app = Application()
    handlers = Handlers(app)

    async with connect(app) as early, connect(app) as late, anyio.create_task_group() as tasks:
        early_id = (await early.join())[1]
        closing = Waiting(app.close_sessions)
        tasks.start_soon(closing.run)
        assert (await early.receive())[0] == GOODBYE
        late_id = (await late.join())[1]
        await early.send(GOODBYE, {}, "wamp.close.goodbye_and_out")
        with anyio.fail_after(PATIENCE):
            await handlers.ending.wait()
        await anyio.wait_all_tasks_blocked()
        assert not closing.over
        handlers.release.set()
        await closing.until_over()

        assert handlers.ended == [early_id]
        assert list(app.default_realm.sessions) == [late_id]
        # It got no GOODBYE.
        assert (await late.ask(CALL, 1, {}, "com.unknown"))[4] == "wamp.error.no_such_procedure"


async def test_closing_all_sessions_waits_for_one_that_is_ending_already() -> None:
    app = Application()
    handlers = Handlers(app)

    async with connect(app) as websocket, anyio.create_task_group() as tasks:
        await websocket.join()
        assert (await websocket.ask(GOODBYE, {}, "wamp.close.close_realm"))[0] == GOODBYE
        with anyio.fail_after(PATIENCE):
            await handlers.ending.wait()
        closing = Waiting(app.close_sessions)
        tasks.start_soon(closing.run)
        await anyio.wait_all_tasks_blocked()
        assert not closing.over
        handlers.release.set()
        await closing.until_over()

    assert len(handlers.ended) == 1


async def test_closing_all_sessions_waits_for_a_bounded_time() -> None:
    app = Application(limits=Limits(close_timeout=0.02, teardown_timeout=0.02))

    async def lifespan() -> AsyncIterator[None]:
        yield
        await anyio.sleep_forever()

    app.add_session_lifespan_handler(lifespan)
    async with connect(app, buffer_size=0) as websocket:
        await websocket.join()
        await at_once(app.close_sessions())


async def test_closing_no_session_returns_at_once() -> None:
    await at_once(Application().close_sessions())
