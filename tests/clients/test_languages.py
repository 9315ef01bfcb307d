"""Calls and events between Autobahn for Python and autobahn-js or wampy, through uvicorn."""

# Autobahn's signatures have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import autobahn.asyncio  # noqa: F401 - selects the framework for the imports below
import pytest
from autobahn.wamp.serializer import JsonSerializer, MsgPackSerializer
from autobahn.wamp.types import (
    CallDetails,
    CallOptions,
    EventDetails,
    PublishOptions,
    RegisterOptions,
    SubscribeOptions,
)

from tests.clients.autobahn_client import TIMEOUT, Client, connected, failure_of, result_of
from tests.clients.javascript_session import javascript_session
from tests.clients.server_process import ServerProcess
from tests.clients.test_node_clients import installed

__all__ = ["installed"]

# The first run installs the clients.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

# The JavaScript library, its serializer, and that of Python: always different, so that the router translates.
PEERS = [
    ("autobahn", "json", MsgPackSerializer),
    ("autobahn", "cbor", JsonSerializer),
    ("wampy", "json", MsgPackSerializer),
    ("wampy", "msgpack", JsonSerializer),
]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The backend for Autobahn, which supports only asyncio and Twisted."""
    return "asyncio"


@pytest.fixture(
    scope="module", params=PEERS, ids=lambda peer: f"{peer[0]}-{peer[1]}-{peer[2].SERIALIZER_ID}-python"
)
def peer(
    request: pytest.FixtureRequest, installed: Path, server: ServerProcess
) -> Iterator[tuple[str, type[Any]]]:
    """The prefix of the procedures of a running session in JavaScript, and the serializer for Python."""
    library, serializer, of_python = request.param
    with javascript_session(installed, server.url, library, serializer) as prefix:
        yield prefix, of_python


@pytest.fixture
async def client(peer: tuple[str, type[Any]], server: ServerProcess) -> AsyncIterator[Client]:
    """The session in Python."""
    async with connected(server.url, peer[1]()) as client:
        yield client


@pytest.fixture
def prefix(peer: tuple[str, type[Any]]) -> str:
    """The prefix of the procedures of the JavaScript session."""
    return peer[0]


async def test_python_calls_javascript(client: Client, prefix: str) -> None:
    sent = [1, "Zoë", None, {"deep": [1.5, True]}]
    assert await result_of(client.call(f"{prefix}.echo", *sent, name="x")) == {
        "args": sent,
        "kwargs": {"name": "x"},
    }


async def test_javascript_calls_python(client: Client, prefix: str) -> None:
    async def echo(*args: Any) -> Any:
        return list(args)

    await client.register(echo, "clients.python.echo")
    sent = [1, "Zoë", None, {"deep": [1.5, True]}]
    answer = await result_of(client.call(f"{prefix}.call", "clients.python.echo", sent))
    assert answer == {"args": [sent], "kwargs": {}}


async def test_error_of_the_server_reaches_javascript(client: Client, prefix: str) -> None:
    answer = await result_of(client.call(f"{prefix}.call", "stock.take", ["bolts"]))
    assert answer == {"error": "com.example.out_of_stock", "args": ["bolts"]}


async def test_progress_of_python_reaches_javascript(client: Client, prefix: str) -> None:
    async def count(details: CallDetails) -> str:
        for number in range(3):
            details.progress(number)
        return "done"

    await client.register(count, "clients.python.count", options=RegisterOptions(details=True))
    answer = await result_of(client.call(f"{prefix}.call_with_progress", "clients.python.count"))
    assert answer == {"reports": [[0], [1], [2]], "result": {"args": ["done"], "kwargs": {}}}


async def test_javascript_cancels_a_call_that_python_handles(client: Client, prefix: str) -> None:
    interrupted = asyncio.Event()

    async def hang(details: CallDetails) -> None:
        details.progress("begun")
        try:
            await asyncio.sleep(TIMEOUT)
        finally:
            interrupted.set()

    await client.register(hang, "clients.python.hang", options=RegisterOptions(details=True))
    answer = await result_of(client.call(f"{prefix}.call_and_cancel", "clients.python.hang"))
    # In mode kill the caller gets the ERROR of the callee, and this is Autobahn's for a cancelled handler.
    assert answer["error"] == "wamp.error.runtime_error"
    await result_of(interrupted.wait())


async def test_call_from_python_to_javascript_times_out(client: Client, prefix: str) -> None:
    failed = await failure_of(client.call(f"{prefix}.hang", options=CallOptions(timeout=50)))
    assert failed.error == "wamp.error.timeout"
    assert await result_of(client.call(f"{prefix}.echo")) == {"args": [], "kwargs": {}}


async def test_callee_with_a_pattern_gets_the_called_procedure(client: Client, prefix: str) -> None:
    async def where(details: CallDetails) -> Any:
        return details.procedure

    await client.register(where, "clients.python.at.", options=RegisterOptions(match="prefix", details=True))

    assert await result_of(client.call(f"{prefix}.here.where")) == f"{prefix}.here.where"
    answer = await result_of(client.call(f"{prefix}.call", "clients.python.at.home", []))
    assert answer["args"] == ["clients.python.at.home"]


async def test_caller_is_disclosed_on_request(client: Client, prefix: str) -> None:
    async def caller(details: CallDetails) -> Any:
        return details.caller

    await client.register(caller, "clients.python.caller", options=RegisterOptions(details=True))

    other = await result_of(client.call(f"{prefix}.call", "clients.python.caller", [], disclose=True))
    assert other["args"][0] not in (None, client.joined.result().session)
    hidden = await result_of(client.call(f"{prefix}.call", "clients.python.caller", []))
    assert hidden["args"] in ([None], [])
    # Autobahn for Python cannot request it, but autobahn-js can, for all calls of its registration.
    disclosed = await result_of(client.call(f"{prefix}.caller"))
    assert disclosed == (client.joined.result().session if prefix == "clients.autobahn" else 0)


async def test_javascript_subscribes_to_a_pattern_that_python_publishes_to(
    client: Client, prefix: str
) -> None:
    await result_of(client.call(f"{prefix}.subscribe", "clients.news", "prefix"))
    options = PublishOptions(acknowledge=True)
    await result_of(client.publish("clients.news.rain", "soon", until="noon", options=options))

    assert await result_of(client.call(f"{prefix}.event")) == {
        "args": ["soon"],
        "kwargs": {"until": "noon"},
        "topic": "clients.news.rain",
    }


async def test_python_subscribes_to_a_pattern_that_javascript_publishes_to(
    client: Client, prefix: str
) -> None:
    seen: asyncio.Queue[tuple[str, str | None, int | None]] = asyncio.Queue()

    def on_event(text: str, details: EventDetails) -> None:
        seen.put_nowait((text, details.topic, details.publisher))

    options = SubscribeOptions(match="wildcard", details=True)
    await client.subscribe(on_event, "clients..weather", options=options)
    await result_of(client.call(f"{prefix}.publish", "clients.js.weather", ["rain"]))
    await result_of(client.call(f"{prefix}.publish", "clients.js.weather", ["sun"], disclose=True))

    assert await result_of(seen.get()) == ("rain", "clients.js.weather", None)
    text, _, publisher = await result_of(seen.get())
    assert text == "sun"
    assert publisher not in (None, client.joined.result().session)


async def test_server_calls_the_client_in_javascript_that_called_it(client: Client, prefix: str) -> None:
    answer = await result_of(client.call(f"{prefix}.call", "ask.caller", ["Delete?"]))
    assert answer["args"] == ["Delete? Yes."]
