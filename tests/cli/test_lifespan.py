from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from wampasgi.cli.errors import CommandError
from wampasgi.cli.lifespan import running
from wampasgi.types import Receive, Scope, Send

pytestmark = pytest.mark.anyio


class App:
    """An app that notes its lifespan, and does what ``at_startup`` and ``at_shutdown`` do."""

    def __init__(
        self, at_startup: Callable[[], Any] = lambda: None, at_shutdown: Callable[[], Any] = lambda: None
    ) -> None:
        self.notes: list[str] = []
        self.scopes: list[Scope] = []
        self._steps = {"startup": at_startup, "shutdown": at_shutdown}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            self.scopes.append(scope)
            return
        for phase, step in self._steps.items():
            assert (await receive())["type"] == f"lifespan.{phase}"
            self.notes.append(phase)
            failure = step()
            if failure is not None:
                await send({"type": f"lifespan.{phase}.failed", "message": failure})
                return
            if phase == "startup":
                scope["state"]["answer"] = 42
            await send({"type": f"lifespan.{phase}.complete"})


def fail() -> None:
    raise RuntimeError("something broke")


async def receive() -> dict[str, Any]:
    raise AssertionError


async def send(event: Any) -> None:
    raise AssertionError


async def test_lifespan_surrounds_the_use_of_the_app() -> None:
    app = App()

    async with running(app) as served:
        assert app.notes == ["startup"]
        await served({"type": "websocket"}, receive, send)

    assert app.notes == ["startup", "shutdown"]
    assert app.scopes == [{"type": "websocket", "state": {"answer": 42}}]


async def test_app_without_a_lifespan_is_run() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise ValueError(scope["type"])

    async with running(app) as served:
        await served({"type": "websocket"}, receive, send)


async def test_startup_that_fails_is_an_error() -> None:
    app = App(at_startup=lambda: "no database")

    with pytest.raises(CommandError, match="the startup of the app failed: no database"):
        async with running(app):
            raise AssertionError


@pytest.mark.parametrize(
    ("step", "message"), [(fail, "something broke"), (lambda: "still busy", "still busy")]
)
async def test_shutdown_that_fails_is_an_error(step: Callable[[], Any], message: str) -> None:
    with pytest.raises(CommandError, match=f"the shutdown of the app failed: {message}"):
        async with running(App(at_shutdown=step)):
            pass


async def test_exception_of_the_user_passes_through_after_the_shutdown() -> None:
    app = App()

    with pytest.raises(KeyError):
        async with running(app):
            raise KeyError

    assert app.notes == ["startup", "shutdown"]
