from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from wampasgi import Application, Session
from wampasgi.client import ConnectFailed, Timeout, connect
from wampasgi.errors import ConfigurationError
from wampasgi.types import Receive, Scope, Send

pytestmark = pytest.mark.anyio


async def test_lifespan_surrounds_the_session_and_its_state_reaches_the_app() -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def lifespan(_: Application) -> AsyncIterator[dict[str, Any]]:
        steps.append("up")
        yield {"database": "db1"}
        steps.append("down")

    app = Application(lifespan=lifespan)

    @app.procedure("database")
    async def database(session: Session) -> Any:
        steps.append("call")
        return session.connection.state.database

    async with connect(app=app, lifespan=True) as session:
        assert await session.call("database") == "db1"
    assert steps == ["up", "call", "down"]
    async with connect(app=app) as session:
        pass
    assert steps == ["up", "call", "down"]


async def test_startup_that_fails_is_raised() -> None:
    def lifespan(_: Application) -> AbstractAsyncContextManager[None]:
        raise LookupError("no database")

    with pytest.raises(ConnectFailed, match="the application did not start: LookupError: no database"):
        async with connect(app=Application(lifespan=lifespan), lifespan=True):
            pytest.fail("the session must not open")


async def test_shutdown_that_fails_is_raised() -> None:
    @asynccontextmanager
    async def lifespan(_: Application) -> AsyncIterator[None]:
        yield
        raise LookupError("database busy")

    with pytest.raises(ConnectFailed, match="the application did not shut down: LookupError: database busy"):
        async with connect(app=Application(lifespan=lifespan), lifespan=True):
            pass


async def test_exception_of_the_block_is_not_replaced(caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def lifespan(_: Application) -> AsyncIterator[None]:
        yield
        raise LookupError("database busy")

    with pytest.raises(ZeroDivisionError):
        async with connect(app=Application(lifespan=lifespan), lifespan=True):
            _ = 1 / 0
    assert "the shutdown of the application failed, too" in caplog.text


async def test_app_without_lifespan_says_so() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "websocket"

    with pytest.raises(ConnectFailed, match="the application did not start: AssertionError") as raised:
        async with connect(app=app, lifespan=True):
            pytest.fail("the session must not open")
    assert isinstance(raised.value.__cause__, AssertionError)

    async def returns(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    with pytest.raises(ConnectFailed, match="it returned before its startup was complete"):
        async with connect(app=returns, lifespan=True):
            pytest.fail("the session must not open")


async def test_startup_that_takes_too_long_is_named() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    with pytest.raises(Timeout, match=r"waited 0\.01 s for the startup of the application"):
        async with connect(app=app, lifespan=True, connect_timeout=0.01):
            pytest.fail("the session must not open")


async def test_lifespan_is_an_option_of_connections_in_memory() -> None:
    with pytest.raises(ConfigurationError, match="lifespan: only a connection with app= has this option"):
        connect("ws://127.0.0.1:1/", lifespan=True)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"message": "Traceback:\n  line 1\nLookupError: no database\n"}, "LookupError: no database"),
        ({"message": " \n"}, "lifespan.startup.failed"),
        ({"message": ""}, "lifespan.startup.failed"),
        ({}, "lifespan.startup.failed"),
    ],
)
@pytest.mark.parametrize("goes_on", [False, True])
async def test_failure_that_the_app_announces_is_raised_at_once(
    event: dict[str, str], reason: str, goes_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "lifespan.startup"}
        await send({"type": "lifespan.startup.failed", **event})
        if goes_on:
            await receive()

    monkeypatch.setattr("wampasgi.client.lifespan._END_TIMEOUT", 0.01)
    with pytest.raises(ConnectFailed) as raised, anyio.fail_after(5):
        async with connect(app=app, lifespan=True):
            pytest.fail("the session must not open")
    assert str(raised.value) == f"the application did not start: {reason}"
    assert not raised.value.retryable


async def test_cause_of_a_failure_that_the_app_announces_is_kept() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        await anyio.lowlevel.checkpoint()
        raise LookupError("the cause")

    with pytest.raises(ConnectFailed, match="did not start: no database") as raised:
        async with connect(app=app, lifespan=True):
            pytest.fail("the session must not open")
    assert isinstance(raised.value.__cause__, LookupError)


class _Served:
    """An app whose lifespan is a function."""

    def __init__(self, lifespan: Callable[[Receive, Send], Awaitable[None]]) -> None:
        self._lifespan = lifespan
        self._app = Application()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        assert (scope["asgi"]["spec_version"], scope["state"]) == ("2.0", {})
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await self._lifespan(receive, send)


async def test_lifespan_that_crashes_while_the_session_is_open_is_raised_at_its_end() -> None:
    async def lifespan(receive: Receive, send: Send) -> None:
        await opened.wait()
        raise LookupError("database gone")

    opened = anyio.Event()
    with pytest.raises(ConnectFailed, match="did not shut down: LookupError: database gone") as raised:
        async with connect(app=_Served(lifespan), lifespan=True):
            opened.set()
    assert isinstance(raised.value.__cause__, LookupError)


async def test_lifespan_may_return_before_the_shutdown() -> None:
    async def lifespan(receive: Receive, send: Send) -> None:
        return

    async with connect(app=_Served(lifespan), lifespan=True) as session:
        assert session.state == "open"


async def test_shutdown_that_fails_or_takes_too_long_is_named() -> None:
    async def fail(receive: Receive, send: Send) -> None:
        assert await receive() == {"type": "lifespan.shutdown"}
        await send({"type": "lifespan.shutdown.failed", "message": "Traceback:\nLookupError: busy"})

    with pytest.raises(ConnectFailed, match=r"^the application did not shut down: LookupError: busy$"):
        async with connect(app=_Served(fail), lifespan=True):
            pass

    async def hang(receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    with pytest.raises(Timeout, match=r"waited 0\.05 s for the shutdown of the application"):
        async with connect(app=_Served(hang), lifespan=True, connect_timeout=0.05):
            pass
