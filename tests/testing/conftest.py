"""An application and a client of it, on asyncio and on trio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from tests.testing.apps import Backend
from wampasgi import Application, RPCProgressReport, RPCResult, Session, WAMPError
from wampasgi.testing import TestClient, WAMPSession


@pytest.fixture
def app() -> Application:
    app = Application()
    app.default_realm.allow_all()

    @app.procedure("math.add")
    async def add(a: int, b: int = 0) -> int:
        return a + b

    @app.procedure("echo")
    async def echo(*args: Any, **kwargs: Any) -> RPCResult:
        return RPCResult(args, kwargs)

    @app.procedure("fail")
    async def fail() -> None:
        raise WAMPError("com.app.full", 3, room="a")

    @app.procedure("count")
    async def count(until: int) -> AsyncIterator[Any]:
        for number in range(until):
            yield RPCProgressReport(number)
        yield until

    @app.procedure("forever")
    async def forever() -> AsyncIterator[Any]:
        yield RPCProgressReport("begun")
        await anyio.sleep_forever()
        yield None

    @app.procedure("session.abort")
    async def abort(session: Session) -> None:
        await session.abort("com.app.banned", "go away")

    @app.procedure("session.close")
    async def close(session: Session) -> None:
        await session.close("com.app.closing")
        await anyio.sleep_forever()

    return app


@pytest.fixture
def client(app: Application, backend: Backend) -> Iterator[TestClient]:
    with TestClient(app, backend=backend) as client:
        yield client


@pytest.fixture
def session(client: TestClient) -> Iterator[WAMPSession]:
    with client.wamp_session() as session:
        yield session
