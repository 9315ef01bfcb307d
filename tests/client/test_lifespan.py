from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
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
