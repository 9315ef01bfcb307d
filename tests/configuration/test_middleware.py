"""The middleware of an application, and its state."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware

from tests.wamp_client import connect
from wampasgi import Application, ConfigurationError, Depends
from wampasgi.types import ASGIApp, Receive, Scope, Send

pytestmark = pytest.mark.anyio


class Note:
    """Notes in the scope that it was passed."""

    def __init__(self, app: ASGIApp, name: str, *, made: list[str] | None = None) -> None:
        self._app = app
        self._name = name
        if made is not None:
            made.append(name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            scope["passed"] = [*scope.get("passed", ()), self._name]
        await self._app(scope, receive, send)


async def test_middleware_that_was_added_last_is_outermost() -> None:
    app = Application(middleware=[Middleware(Note, "given")])
    app.add_middleware(Note, "first")
    app.add_middleware(Note, name="last")
    passed: list[str] = []

    async def note(session: Any) -> str:
        passed.extend(session.connection.scope["passed"])
        return "ann"

    app.add_transport_authenticator(note)
    async with connect(app) as websocket:
        await websocket.join()

    assert passed == ["last", "first", "given"]


async def test_middleware_is_made_once() -> None:
    made: list[str] = []
    app = Application()
    app.add_middleware(Note, "one", made=made)
    assert made == []

    for _ in range(2):
        async with connect(app) as websocket:
            await websocket.join()
    app.check()

    assert made == ["one"]


async def test_middleware_of_starlette_can_be_added() -> None:
    app = Application()
    app.add_middleware(SessionMiddleware, secret_key="k")

    @app.procedure("data")
    async def data(session: Any) -> Any:
        return session.connection.session

    async with connect(app) as websocket:
        await websocket.join()
        assert await websocket.ask(48, 1, {}, "data") == [50, 1, {}, [{}]]


async def test_middleware_cannot_be_added_after_the_first_request() -> None:
    app = Application()
    async with connect(app) as websocket:
        await websocket.join()

    with pytest.raises(ConfigurationError, match=r"Note.* after the application was started or checked"):
        app.add_middleware(Note, "late")


async def test_middleware_cannot_be_added_after_startup() -> None:
    app = Application()
    async with app.lifespan():
        with pytest.raises(ConfigurationError, match="after the application was started or checked"):
            app.add_middleware(Note, "late")


@pytest.mark.parametrize("wrong", [Middleware(Note, "x"), "Note", None])
async def test_only_a_class_can_be_added(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="takes the class and its options"):
        Application().add_middleware(wrong)


async def test_check_finds_wrong_options_of_middleware() -> None:
    app = Application()
    app.add_middleware(Note)  # type: ignore[call-arg]

    with pytest.raises(TypeError, match="name"):
        app.check()


async def test_state_is_available_to_handlers_and_dependencies() -> None:
    app = Application()
    app.state.greeting = "hello"

    def greeting(app: Application) -> str:
        return str(app.state.greeting)

    @app.procedure("greet")
    async def greet(app: Application, text: str = Depends(greeting)) -> str:
        app.state.greeted = True
        return text

    async with connect(app) as websocket:
        await websocket.join()
        assert await websocket.ask(48, 1, {}, "greet") == [50, 1, {}, ["hello"]]

    assert app.state.greeted is True


async def test_state_of_the_lifespan_is_separate() -> None:
    app = Application()
    app.state.own = 1

    @app.procedure("names")
    async def names(session: Any) -> list[str]:
        return [name for name in ("own", "yielded") if hasattr(session.connection.state, name)]

    async with connect(app, state={"yielded": 2}) as websocket:
        await websocket.join()
        assert await websocket.ask(48, 1, {}, "names") == [50, 1, {}, [["yielded"]]]
