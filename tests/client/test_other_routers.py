"""The client against routers of other projects: xconn, and Crossbar.io if it is installed.

Crossbar.io needs Python 3.12 and an environment of its own. ``python -m benchmarks --install --case routed``
installs it there, and ``CROSSBAR=/path/to/bin/crossbar`` selects another one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import anyio.to_thread
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.client.blocking import connect_blocking
from tests.client.other_routers import (
    AUTHID,
    CROSSBAR,
    PRIVATE_KEY,
    REALM,
    ROLE,
    SECRET,
    OtherRouter,
    start_router,
)
from tests.client.played_router import States
from tests.client.proxy import proxy_to
from tests.specification import (
    ABORT,
    FEATURE_NOT_SUPPORTED,
    NO_SUCH_PROCEDURE,
    NOT_AUTHORIZED,
    PROCEDURE_ALREADY_EXISTS,
)
from wampasgi import RPCProgressReport, RPCResult, WAMPError
from wampasgi.client import JoinRefused, Retry, Session, connect

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

ROUTERS = ("xconn", "Crossbar.io") if CROSSBAR.exists() else ("xconn",)

Routers = Callable[[str], OtherRouter]


@pytest.fixture(scope="module")
def routers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routers]:
    """A function that returns the router with a name, which all tests share."""
    started: dict[str, OtherRouter] = {}

    def router_of(name: str) -> OtherRouter:
        if name not in started:
            started[name] = start_router(name, tmp_path_factory.mktemp(name))
        return started[name]

    try:
        yield router_of
    finally:
        for router in started.values():
            router.kill()


@pytest.fixture(params=ROUTERS)
def router(request: pytest.FixtureRequest, routers: Routers) -> OtherRouter:
    return routers(request.param)


@asynccontextmanager
async def two_sessions(router: OtherRouter, **options: Any) -> AsyncIterator[tuple[Session, Session]]:
    async with (
        connect(router.url, realm=REALM, timeout=10, **options) as session,
        connect(router.url, realm=REALM, timeout=10, **options) as other,
    ):
        yield session, other


# Calls and events


async def results_have_the_form_of_the_payload(session: Any, other: Any) -> None:
    async def echo(*args: Any, **kwargs: Any) -> RPCResult:
        return RPCResult(args, kwargs)

    registration = await other.register("test.echo", echo)
    assert await session.call("test.echo") is None
    assert await session.call("test.echo", [1, {"a": None}]) == [1, {"a": None}]
    assert await session.call("test.echo", 1, "ü", x=0.5) == RPCResult((1, "ü"), {"x": 0.5})
    assert await session.call("test.echo", "12", result_type=int) == 12
    await registration.unregister()
    with pytest.raises(WAMPError) as raised:
        await session.call("test.echo")
    assert raised.value.uri == NO_SUCH_PROCEDURE


async def errors_have_their_payload(session: Any, other: Any) -> None:
    async def fail(reason: str) -> None:
        raise WAMPError("com.example.failed", reason, code=7)

    registration = await other.register("test.fail", fail)
    with pytest.raises(WAMPError) as raised:
        await session.call("test.fail", "because")
    error = raised.value
    assert (error.uri, error.args, error.kwargs) == ("com.example.failed", ("because",), {"code": 7})
    with pytest.raises(WAMPError) as raised:
        await session.register("test.fail", fail)
    assert raised.value.uri == PROCEDURE_ALREADY_EXISTS
    await registration.unregister()


async def progressive_results_come_in_order(session: Any, other: Any) -> None:
    async def count(until: int) -> AsyncIterator[RPCProgressReport | str]:
        for number in range(until):
            yield RPCProgressReport(number)
        yield "done"

    registration = await other.register("test.count", count)
    async with session.call_progress("test.count", 50, result_type=str) as call:
        assert [report async for report in call] == list(range(50))
        assert await call.result() == "done"
    assert await session.call("test.count", 3) == "done"
    await registration.unregister()


async def events_reach_their_subscribers(session: Any, other: Any) -> None:
    async with session.subscribe("test.news") as events:
        publication_id = await other.publish("test.news", [1, 2], acknowledge=True)
        await other.publish("test.news", title="x")
        first, second = await events.next(), await events.next()
        assert (first.args, first.topic, first.publication_id) == ([[1, 2]], "test.news", publication_id)
        assert (list(second.args), second.kwargs) == ([], {"title": "x"})
    await other.publish("test.news", "nobody listens", acknowledge=True)


async def a_topic_is_shared_by_listeners(session: Any, other: Any) -> None:
    async with session.subscribe("test.shared") as first:
        async with session.subscribe("test.shared") as second:
            await other.publish("test.shared", 1, acknowledge=True)
            assert (await first.next()).args == (await second.next()).args == [1]
        await other.publish("test.shared", 2, acknowledge=True)
        assert (await first.next()).args == [2]


async def concurrent_calls_have_their_own_results(session: Any, other: Any) -> None:
    async def square(number: int) -> int:
        return number * number

    registration = await other.register("test.square", square)
    results: dict[int, Any] = {}

    async def call(number: int) -> None:
        results[number] = await session.call("test.square", number)

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(call, number)
    assert results == {number: number * number for number in range(50)}
    await registration.unregister()


async def calls_without_an_answer_time_out(session: Any, other: Any) -> None:
    async def wait() -> None:
        await anyio.sleep_forever()

    await other.register("test.wait", wait)
    with pytest.raises(TimeoutError, match=r"waited 0\.05 s for the result of 'test\.wait'"):
        await session.call("test.wait", timeout=0.05)


CASES = (
    results_have_the_form_of_the_payload,
    errors_have_their_payload,
    progressive_results_come_in_order,
    events_reach_their_subscribers,
    a_topic_is_shared_by_listeners,
    concurrent_calls_have_their_own_results,
    calls_without_an_answer_time_out,
)

SERIALIZERS = ("json", "msgpack", "cbor")


@pytest.mark.parametrize("serializer", SERIALIZERS)
async def test_async_session(router: OtherRouter, serializer: str) -> None:
    with anyio.fail_after(30):
        async with two_sessions(router, serializers=serializer) as (session, other):
            for case in CASES:
                await case(session, other)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_blocking_session(router: OtherRouter) -> None:
    options: dict[str, Any] = {"realm": REALM, "timeout": 10}
    with anyio.fail_after(30):
        async with (
            connect_blocking(router.url, **options) as session,
            connect_blocking(router.url, **options) as other,
        ):
            for case in CASES:
                await case(session, other)


# Batches of JSON are separated by another character in Autobahn, and thus in Crossbar.io.
@pytest.mark.parametrize("serializer", ["msgpack", "cbor"])
async def test_batches_are_offered_and_need_not_be_supported(router: OtherRouter, serializer: str) -> None:
    async with two_sessions(router, serializers=serializer, batched=True) as (session, other):
        await concurrent_calls_have_their_own_results(session, other)


# Logins

LOGINS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ticket": ({"ticket": SECRET}, {"ticket": "wrong"}),
    "wampcra": ({"secret": SECRET}, {"secret": "wrong"}),
    "cryptosign": ({"private_key": PRIVATE_KEY}, {"private_key": bytes(32)}),
}


@pytest.mark.parametrize("method", LOGINS)
async def test_router_accepts_the_credentials(router: OtherRouter, method: str) -> None:
    right, wrong = LOGINS[method]
    async with connect(router.url, realm=REALM, authid=AUTHID, **right) as session:
        assert (session.authid, session.authrole) == (AUTHID, ROLE)
    with pytest.raises(JoinRefused, match=r"wamp\.error\."):
        async with connect(router.url, realm=REALM, authid=AUTHID, **wrong):
            pytest.fail("the session must not open")


@pytest.fixture
def refusing_router() -> Iterator[str]:
    """The URL of a router that refuses all sessions, and leaves it to the client to close the WebSocket."""

    def refuse(socket: ServerConnection) -> None:
        socket.recv()
        socket.send(json.dumps([ABORT, {}, NOT_AUTHORIZED]))
        with suppress(ConnectionClosed):
            socket.recv()

    with serve(refuse, "127.0.0.1", 0, subprotocols=[Subprotocol("wamp.2.json")]) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        server.shutdown()
        thread.join()


async def test_refusal_leaves_no_error_in_the_log(
    refusing_router: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(JoinRefused, match=NOT_AUTHORIZED):
        async with connect(refusing_router):
            pytest.fail("the session must not open")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


# Features that a router lacks


async def test_missing_features_of_a_router_are_logged(
    routers: Routers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "wampasgi.client")
    async with two_sessions(routers("xconn")) as (session, _), session.subscribe("news.", match="prefix"):
        assert "may not support match='prefix'" in caplog.text


async def test_call_is_given_up_at_once_if_the_router_cannot_cancel(routers: Routers) -> None:
    go_on = anyio.Event()

    async def wait() -> AsyncIterator[RPCProgressReport | str]:
        yield RPCProgressReport("begun")
        await go_on.wait()
        yield RPCProgressReport("late")
        yield "done"

    with anyio.fail_after(20):
        async with two_sessions(routers("xconn")) as (session, other):
            registration = await other.register("test.long", wait)
            async with session.call_progress("test.long", timeout=None) as call:
                assert await anext(call) == "begun"
                call.cancel()
                with pytest.raises(WAMPError, match=FEATURE_NOT_SUPPORTED):
                    await call.result()
            go_on.set()
            # The late results are ignored.
            assert await session.call("test.long") == "done"
            await registration.unregister()


# Reconnection


async def test_session_survives_a_restart_of_the_router(router: OtherRouter, tmp_path: Path) -> None:
    states = States()

    async def double(number: int) -> int:
        return 2 * number

    def restart(folder: str) -> OtherRouter:
        (tmp_path / folder).mkdir()
        return start_router(router.name, tmp_path / folder)

    running = first = await anyio.to_thread.run_sync(restart, "first")
    try:
        async with (
            proxy_to(first.port) as proxy,
            connect(
                f"ws://127.0.0.1:{proxy.port}{first.path}",
                realm=REALM,
                retry=Retry(initial=0.01, maximum=0.05),
                on_state=states,
            ) as session,
            session.subscribe("test.renewed") as events,
        ):
            await session.register("test.double", double)
            first.kill()
            running = await anyio.to_thread.run_sync(restart, "second")
            proxy.target = running.port
            await states.wait_for(2, "open")
            async with connect(running.url, realm=REALM) as other:
                assert await other.call("test.double", 21) == 42
                await other.publish("test.renewed", "again", acknowledge=True)
            assert (await events.next(timeout=5)).args == ["again"]
    finally:
        running.kill()
        first.kill()
