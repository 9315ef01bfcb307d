"""Threads that use the realm of a served application."""

from __future__ import annotations

import queue
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.request import urlopen

import anyio
import pytest
from anyio import from_thread

from tests.clients.server_process import BOTH_TRANSPORTS, ServerProcess, start_server
from tests.clients.wire_client import TIMEOUT, WireClient
from tests.specification import CALL, INVOCATION, REGISTER, RESULT, SUBSCRIBE, YIELD
from wampasgi import Application, WAMPError
from wampasgi.testing import TestClient


@pytest.fixture(scope="module", params=[*BOTH_TRANSPORTS, "hypercorn-trio"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    server = start_server(request.param, "tests.clients.threads_app:app", tmp_path_factory.mktemp("threads"))
    try:
        yield server
    finally:
        server.stop()


def test_application_thread_calls_and_publishes(server: ServerProcess) -> None:
    with WireClient(server.url) as client, WireClient(server.url) as listener:
        client.join()
        listener.join()
        listener.request(SUBSCRIBE, 1, {"match": "prefix"}, "jobs.")
        client.request(CALL, 1, {}, "jobs.put", ["hello"])
        shouted, done = listener.receive(), listener.receive()

    assert shouted[3:] == [{"topic": "jobs.shouted"}, ["hello"], {"thread": "of a procedure"}]
    assert done[3:] == [{"topic": "jobs.done"}, ["HELLO"], {"thread": "worker"}]


def test_application_thread_registers_a_procedure(server: ServerProcess) -> None:
    with WireClient(server.url) as client:
        client.join()
        client.request(SUBSCRIBE, 1, {}, "jobs.done")
        client.send(CALL, 2, {}, "jobs.put", ["register"])
        assert {client.receive()[0], client.receive()[0]} == {RESULT, 36}
        answer = client.request(CALL, 3, {}, "run.time")

    assert answer == [RESULT, 3, {}, ["registered from a thread"]]


def test_sync_route_calls_a_procedure_of_a_client(server: ServerProcess) -> None:
    with WireClient(server.url) as callee, anyio.from_thread.start_blocking_portal() as elsewhere:
        callee.join()
        callee.request(REGISTER, 1, {}, "clients.answer")
        address = server.url.replace("ws:", "http:") + "call/clients.answer"
        body = elsewhere.start_task_soon(anyio.to_thread.run_sync, fetch, address)
        invocation = callee.receive()
        assert invocation[0] == INVOCATION
        callee.send(YIELD, invocation[1], {}, [42])
        assert body.result(TIMEOUT) == "42"


def fetch(address: str) -> str:
    with urlopen(address, timeout=TIMEOUT) as answer:
        text: str = answer.read().decode()
        return text


@pytest.mark.parametrize("kind", BOTH_TRANSPORTS)
def test_server_with_an_application_thread_stops(kind: str, tmp_path: Path) -> None:
    server = start_server(kind, "tests.clients.threads_app:app", tmp_path)
    with WireClient(server.url) as client:
        client.join()
        # After a complete shutdown, uvicorn raises the signal again.
        assert server.stop() in (0, -signal.SIGTERM)
    assert "Application shutdown complete" in server.log


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_sync_test_uses_the_realm_through_the_portal_of_the_test_client(
    backend: Literal["asyncio", "trio"],
) -> None:
    app = Application()
    app.allow("t", "subscribe")

    with TestClient(app, backend=backend) as client, client.wamp_session() as session:
        events = session.subscribe("t")
        assert client.portal is not None
        client.portal.call(app.publish, "t", "from the test")
        assert events.next().args == ["from the test"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_thread_receives_events_through_a_portal(backend: Literal["asyncio", "trio"]) -> None:
    app = Application()
    app.allow("t", "publish")
    handled: queue.Queue[str] = queue.Queue()

    def on_event(text: str) -> None:
        handled.put(text)

    with TestClient(app, backend=backend) as client, client.wamp_session() as session:
        portal = client.portal
        assert portal is not None
        with (
            portal.wrap_async_context_manager(app.subscribe("t", on_event)),
            portal.wrap_async_context_manager(app.events("t")) as events,
        ):
            session.publish("t", "hello")
            assert handled.get(timeout=TIMEOUT) == "hello"
            assert portal.call(events.__anext__).args == ("hello",)


def test_sync_handler_passes_on_the_error_of_its_call() -> None:
    app = Application()

    @app.procedure("forward")
    def forward(procedure: str) -> None:
        from_thread.run(app.call, procedure)

    with TestClient(app) as client, client.wamp_session() as session, pytest.raises(WAMPError) as failed:
        session.call("forward", "no.such")

    assert failed.value.uri == "wamp.error.no_such_procedure"
