"""Calls between two Autobahn clients, and from the server to one, through uvicorn."""

# Autobahn's signatures have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.serializer import JsonSerializer, MsgPackSerializer
from autobahn.wamp.types import CallDetails, CallOptions, RegisterOptions

from tests.clients.autobahn_client import TIMEOUT, Client, connected, failure_of
from tests.clients.server_process import ServerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The backend for Autobahn, which supports only asyncio and Twisted."""
    return "asyncio"


# The two clients use different serializers, so that the router translates.
@pytest.fixture
async def caller(server: ServerProcess) -> AsyncIterator[Client]:
    async with connected(server.url, JsonSerializer()) as client:
        yield client


@pytest.fixture
async def callee(server: ServerProcess) -> AsyncIterator[Client]:
    async with connected(server.url, MsgPackSerializer()) as client:
        yield client


async def test_client_calls_a_procedure_of_another_client(caller: Client, callee: Client) -> None:
    async def echo(*args: Any, **kwargs: Any) -> Any:
        return [list(args), kwargs]

    registration = await callee.register(echo, "clients.echo")
    assert await caller.call("clients.echo", 1, b"\x00\xff", name="Zoë") == [
        [1, b"\x00\xff"],
        {"name": "Zoë"},
    ]

    await registration.unregister()
    failed = await failure_of(caller.call("clients.echo"))
    assert failed.error == "wamp.error.no_such_procedure"


async def test_error_of_the_callee_keeps_its_payload(caller: Client, callee: Client) -> None:
    def refuse() -> None:
        raise ApplicationError("com.example.refused", "no", code=7)

    await callee.register(refuse, "clients.refuse")
    failed = await failure_of(caller.call("clients.refuse"))
    assert (failed.error, failed.args, failed.kwargs) == ("com.example.refused", ("no",), {"code": 7})


async def test_registration_without_permission_is_refused(callee: Client) -> None:
    failed = await failure_of(callee.register(lambda: None, "elsewhere.procedure"))
    assert failed.error == "wamp.error.not_authorized"


async def test_procedure_of_the_server_cannot_be_registered(callee: Client) -> None:
    failed = await failure_of(callee.register(lambda: None, "math.add"))
    # A client without permission does not learn which procedures exist.
    assert failed.error == "wamp.error.not_authorized"


async def test_progressive_results_arrive_before_the_final_one(caller: Client, callee: Client) -> None:
    async def count(details: CallDetails) -> str:
        for number in range(3):
            details.progress(number)
        return "done"

    await callee.register(count, "clients.count", options=RegisterOptions(details=True))
    reports: list[int] = []
    result = await caller.call("clients.count", options=CallOptions(on_progress=reports.append))
    assert (reports, result) == ([0, 1, 2], "done")


async def test_callee_with_a_pattern_gets_the_called_procedure(caller: Client, callee: Client) -> None:
    async def which(details: CallDetails) -> Any:
        return details.procedure

    options = RegisterOptions(match="wildcard", details=True)
    await callee.register(which, "clients..name", options=options)
    assert await caller.call("clients.some.name") == "clients.some.name"


async def test_calls_to_a_shared_registration_are_distributed_round_robin(
    server: ServerProcess, caller: Client, callee: Client
) -> None:
    def named(name: str) -> Callable[[], str]:
        return lambda: name

    options = RegisterOptions(invoke="roundrobin")
    async with connected(server.url, JsonSerializer()) as second:
        await callee.register(named("first"), "clients.turns", options=options)
        await second.register(named("second"), "clients.turns", options=options)
        assert [await caller.call("clients.turns") for _ in range(4)] == ["first", "second"] * 2
        failed = await failure_of(caller.register(named("third"), "clients.turns"))
        assert failed.error == "wamp.error.procedure_already_exists"
    assert [await caller.call("clients.turns") for _ in range(2)] == ["first", "first"]


async def test_call_that_exceeds_its_timeout_is_interrupted(caller: Client, callee: Client) -> None:
    stopped = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.sleep(TIMEOUT)
        finally:
            stopped.set()

    await callee.register(hang, "clients.hang")
    failed = await failure_of(caller.call("clients.hang", options=CallOptions(timeout=50)))
    assert failed.error == "wamp.error.timeout"
    async with asyncio.timeout(TIMEOUT):
        await stopped.wait()
    # The callee answers the INTERRUPT too late, which must not end its session.
    assert await callee.call("math.add", 2, b=3) == 5


async def test_pending_calls_fail_when_the_callee_leaves(caller: Client, callee: Client) -> None:
    called = asyncio.Event()

    async def hang() -> None:
        called.set()
        await asyncio.sleep(TIMEOUT)

    await callee.register(hang, "clients.hang")
    call = asyncio.ensure_future(caller.call("clients.hang"))
    async with asyncio.timeout(TIMEOUT):
        await called.wait()
    callee.disconnect()
    assert (await failure_of(call)).error == "wamp.error.canceled"


async def test_callee_accepts_the_revocation_of_its_registration(caller: Client, callee: Client) -> None:
    await callee.register(lambda: None, "clients.revoked")
    assert await caller.call("revoke.client", "clients.revoked") == 1
    assert (await failure_of(caller.call("clients.revoked"))).error == "wamp.error.no_such_procedure"
    # Autobahn ends its session on an UNREGISTERED that is malformed or names an unknown registration.
    assert await callee.call("math.add", 1) == 1


async def test_restarted_callee_takes_over_the_registration(
    server: ServerProcess, caller: Client, callee: Client
) -> None:
    options = RegisterOptions(force_reregister=True)
    await callee.register(lambda: "old", "clients.restarted")
    assert await caller.call("clients.restarted") == "old"
    async with connected(server.url, JsonSerializer()) as restarted:
        failed = await failure_of(restarted.register(lambda: "new", "clients.restarted"))
        assert failed.error == "wamp.error.procedure_already_exists"
        await restarted.register(lambda: "new", "clients.restarted", options=options)
        assert await caller.call("clients.restarted") == "new"
        # The old callee got UNREGISTERED, and its session goes on.
        assert await callee.call("math.add", 1) == 1
    failed = await failure_of(caller.call("clients.restarted"))
    assert failed.error == "wamp.error.no_such_procedure"


async def test_registration_is_not_taken_over_without_permission(caller: Client, callee: Client) -> None:
    await callee.register(lambda: "old", "clients.held")
    options = RegisterOptions(force_reregister=True)
    failed = await failure_of(caller.register(lambda: "new", "clients.held", options=options))
    assert failed.error == "wamp.error.option_not_allowed"
    assert await caller.call("clients.held") == "old"


async def test_server_calls_the_client_that_called_it(callee: Client) -> None:
    async def answer(question: str) -> str:
        return f"{question} Yes."

    await callee.register(answer, "clients.answer")
    assert await callee.call("ask.caller", "Delete?") == "Delete? Yes."
