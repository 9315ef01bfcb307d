"""The same cases over each transport, in each kind of code, with each serializer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from tests.client.blocking import connect_blocking, entered
from tests.client.served_app import app
from tests.clients.server_process import ServerProcess
from wampasgi import RPCProgressReport, RPCResult
from wampasgi.client import InvalidResult, Invocation, WAMPError, connect

Servers = Callable[[str], ServerProcess]


async def results_have_the_form_of_the_payload(session: Any, other: Any) -> None:
    assert await session.call("math.add", 2, b=3) == 5
    assert await session.call("echo") is None
    assert await session.call("echo", [1, {"a": None}]) == [1, {"a": None}]
    assert await session.call("echo", 1, 2, x=3) == RPCResult((1, 2), {"x": 3})
    assert await session.call("echo", b"\x00\xff", "ü\x00") == RPCResult((b"\x00\xff", "ü\x00"))


async def results_are_converted(session: Any, other: Any) -> None:
    text = "12345678-1234-5678-1234-567812345678"
    assert await session.call("echo", text, result_type=UUID) == UUID(text)
    assert await session.call("echo", "1.50", result_type=Decimal) == Decimal("1.50")
    assert await session.call("echo", 1, "a", result_type=tuple[int, str]) == (1, "a")
    with pytest.raises(InvalidResult, match=r"the result of 'echo' does not fit result_type=int") as raised:
        await session.call("echo", "many", result_type=int)
    assert raised.value.value == "many"


async def errors_have_their_payload(session: Any, other: Any) -> None:
    with pytest.raises(WAMPError) as raised:
        await session.call("fail", "because")
    error = raised.value
    assert (error.uri, error.args, error.kwargs) == ("com.example.failed", ("because",), {"code": 7})
    with pytest.raises(WAMPError, match="no_such_procedure"):
        await session.call("no.such.procedure")


async def progressive_results_come_in_order(session: Any, other: Any) -> None:
    async with session.call_progress("count", 50, result_type=str) as call:
        assert [report async for report in call] == list(range(50))
        assert await call.result() == "done"
    async with session.call_progress("count", 2, "fail") as call:
        with pytest.raises(WAMPError, match=r"com\.example\.failed"):
            async for _ in call:
                pass
        with pytest.raises(WAMPError, match=r"com\.example\.failed"):
            await call.result()


async def events_reach_their_subscribers(session: Any, other: Any) -> None:
    async with (
        session.subscribe("news.", match="prefix") as events,
        session.subscribe("news.sport", event_type=list[int]) as exact,
    ):
        publication_id = await other.publish("news.sport", [1, 2], acknowledge=True)
        await other.publish("news.art", title="x")
        event = await events.next()
        assert (event.topic, event.args, event.publication_id) == ("news.sport", [[1, 2]], publication_id)
        assert (await events.next()).kwargs == {"title": "x"}
        assert (await exact.next()).value == [1, 2]


async def registered_procedures_are_called(session: Any, other: Any) -> None:
    async def multiply(a: int, b: int = 2) -> int:
        return a * b

    def describe(invocation: Invocation) -> str:
        return invocation.procedure

    async def climb(steps: int) -> AsyncIterator[RPCProgressReport | str]:
        for step in range(steps):
            yield RPCProgressReport(step)
        yield "top"

    registration = await other.register("matrix.multiply", multiply)
    await other.register("matrix.under.", describe, match="prefix")
    await other.register("matrix.climb", climb)
    assert await session.call("matrix.multiply", 4, b=5) == 20
    assert await session.call("matrix.under.way") == "matrix.under.way"
    with pytest.raises(WAMPError, match="invalid_argument"):
        await session.call("matrix.multiply", "x")
    async with session.call_progress("matrix.climb", 3) as call:
        assert [report async for report in call] == [0, 1, 2]
        assert await call.result() == "top"
    await registration.unregister()
    with pytest.raises(WAMPError, match="no_such_procedure"):
        await session.call("matrix.multiply", 1)


async def late_results_are_canceled(session: Any, other: Any) -> None:
    with pytest.raises(TimeoutError, match=r"waited 0\.05 s for the result of 'wait'"):
        await session.call("wait", "late", timeout=0.05)
    with anyio.fail_after(5):
        while "late" not in await session.call("canceled"):
            pass


async def concurrent_calls_have_their_own_results(session: Any, other: Any) -> None:
    results: dict[int, Any] = {}

    async def call(number: int) -> None:
        results[number] = await session.call("math.add", number, 1)

    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(call, number)
    assert results == {number: number + 1 for number in range(30)}


CASES = (
    results_have_the_form_of_the_payload,
    results_are_converted,
    errors_have_their_payload,
    progressive_results_come_in_order,
    events_reach_their_subscribers,
    registered_procedures_are_called,
    late_results_are_canceled,
    concurrent_calls_have_their_own_results,
)

SERIALIZERS = ("json", "msgpack", "cbor")

#: The servers and, after a slash, the package of the client's WebSocket.
KINDS = ("memory", "uvicorn", "picows", "uvicorn/picows")
# picows as a client needs asyncio.
BACKENDS_AND_KINDS = [*(("asyncio", kind) for kind in KINDS), *(("trio", kind) for kind in KINDS[:-1])]


@asynccontextmanager
async def two_sessions(
    kind: str, servers: Servers, *, blocking: bool, **options: Any
) -> AsyncIterator[tuple[Any, Any]]:
    if kind == "memory":
        options["app"], url = app, None
    else:
        server, _, package = kind.partition("/")
        url = servers(server).url
        if package:
            options["websocket"] = package
    if not blocking:
        async with connect(url, **options) as session, connect(url, **options) as other:
            yield session, other
        return
    async with (
        entered(start_blocking_portal()) as portal,
        connect_blocking(url, portal=portal, **options) as first,
        connect_blocking(url, portal=portal, **options) as second,
    ):
        yield first, second


@pytest.mark.anyio
@pytest.mark.parametrize("batched", [False, True], ids=["single", "batched"])
@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize(("anyio_backend", "kind"), BACKENDS_AND_KINDS)
async def test_async_session(kind: str, serializer: str, batched: bool, servers: Servers) -> None:
    options: dict[str, Any] = {"serializers": serializer, "batched": batched}
    with anyio.fail_after(30):
        async with two_sessions(kind, servers, blocking=False, **options) as (session, other):
            for case in CASES:
                await case(session, other)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("kind", KINDS)
async def test_blocking_session(kind: str, serializer: str, servers: Servers) -> None:
    with anyio.fail_after(30):
        async with two_sessions(kind, servers, blocking=True, serializers=serializer) as (session, other):
            for case in CASES:
                await case(session, other)
