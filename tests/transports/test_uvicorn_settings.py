from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware

from tests.transports.application_server import ApplicationServer
from wampasgi import Application, Limits, Realm, WAMPRoute
from wampasgi.types import ASGIApp, ASGIEvent, Receive, Scope, Send

WARNING = "clients can make uvicorn take more memory"
LIMITS = Limits(message_size=65536)
KINDS = ["uvicorn", "picows-asyncio", "picows-uvloop"]


@contextmanager
def served(kind: str, app: ASGIApp, **options: Any) -> Iterator[ApplicationServer]:
    server = ApplicationServer(kind, app=app, **options)
    try:
        yield server
    finally:
        server.stop()
        server.join()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "wampasgi.server"]


@pytest.mark.parametrize("kind", KINDS)
def test_missing_options_are_named_at_startup(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with served(kind, Application(limits=LIMITS)):
        [warning] = warnings(caplog)
    assert WARNING in warning
    assert "--ws-max-size 65536" in warning
    assert ("--ws-per-message-deflate false" in warning) is (kind == "uvicorn")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_logged_if_the_options_are_set(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with served(kind, Application(limits=LIMITS), ws_max_size=65536, ws_per_message_deflate=False) as server:
        server.visit(subprotocols=["wamp.2.json"])
    assert warnings(caplog) == []


def test_largest_message_of_all_realms_counts(caplog: pytest.LogCaptureFixture) -> None:
    app = Application([Realm("large", limits=Limits(message_size=100_000))], limits=LIMITS)
    with served("picows-asyncio", app):
        [warning] = warnings(caplog)
    assert "--ws-max-size 100000" in warning


@pytest.mark.parametrize("kind", KINDS)
def test_mounted_application_warns_at_the_first_connection(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    parent = Starlette(routes=[WAMPRoute("/ws", Application(limits=LIMITS))])
    with served(kind, parent) as server:
        assert warnings(caplog) == []
        for _ in range(2):
            server.visit("/ws", subprotocols=["wamp.2.json"])
        assert len(warnings(caplog)) == 1


def test_several_workers_without_a_backplane_cause_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    with served("picows-asyncio", Application(), ws_max_size=65536) as server:
        server.visit(subprotocols=["wamp.2.json"])
    [warning] = warnings(caplog)
    assert warning.startswith("4 workers serve this application")
    assert "backplane=" in warning


def test_several_workers_of_a_mounted_application_cause_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "2")
    parent = Starlette(routes=[WAMPRoute("/ws", Application())])
    with served("picows-asyncio", parent, ws_max_size=65536) as server:
        server.visit("/ws", subprotocols=["wamp.2.json"])
        server.visit("/ws", subprotocols=["wamp.2.json"])
    [warning] = warnings(caplog)
    assert warning.startswith("2 workers serve this application")


def test_workers_with_a_backplane_cause_no_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    # The path of a Unix socket must be short.
    with TemporaryDirectory() as directory:
        app = Application(backplane=f"unix:{directory}")
        with served("picows-asyncio", app, ws_max_size=65536) as server:
            server.visit(subprotocols=["wamp.2.json"])
    assert warnings(caplog) == []


class Wraps:
    """A middleware whose callables are not the server's own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def pass_on() -> ASGIEvent:
            return await receive()

        await self._app(scope, pass_on, send)


def test_server_behind_a_middleware_is_not_seen(caplog: pytest.LogCaptureFixture) -> None:
    app = Application(limits=LIMITS, middleware=[Middleware(Wraps)])
    with served("uvicorn", app) as server:
        server.visit(subprotocols=["wamp.2.json"])
    assert warnings(caplog) == []
