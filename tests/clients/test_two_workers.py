"""Clients of three libraries on different workers, which call each other and get each other's events."""

# Autobahn's signatures have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import autobahn.asyncio  # noqa: F401 - selects the framework for the imports below
import pytest
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.serializer import MsgPackSerializer
from autobahn.wamp.types import (
    CallDetails,
    CallOptions,
    EventDetails,
    PublishOptions,
    RegisterOptions,
    SubscribeOptions,
)

from tests.chaos.engines import KINDS, make_engine, missing_program, url_of
from tests.chaos.workers import Worker
from tests.clients.autobahn_client import TIMEOUT, Client, connected, result_of
from tests.clients.javascript_session import javascript_session
from tests.clients.test_node_clients import installed

__all__ = ["installed"]

# The first run installs the clients.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

#: The JavaScript library and its serializer, which is another one than that of Python.
LIBRARIES = [("autobahn", "json"), ("wampy", "cbor")]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The backend for Autobahn, which supports only asyncio and Twisted."""
    return "asyncio"


@pytest.fixture(scope="module", params=KINDS)
def workers(request: pytest.FixtureRequest) -> Iterator[tuple[Worker, Worker]]:
    """Two workers that share their realm."""
    kind = request.param
    if (missing := missing_program(kind)) is not None:
        pytest.skip(f"{missing} is not installed")
    with tempfile.TemporaryDirectory(prefix="workers-") as name:
        folder = Path(name)
        engine = make_engine(kind, folder)
        started: list[Worker] = []
        try:
            if engine is not None:
                engine.start()
            url = url_of(kind, folder, engine.port if engine is not None else 0)
            for worker_name in "ab":
                started.append(Worker(worker_name, url, folder))
                started[-1].start()
            first, second = started
            yield first, second
            assert "Traceback" not in first.log + second.log
        finally:
            for worker in started:
                worker.kill()
            if engine is not None:
                engine.kill()


@pytest.fixture(scope="module", params=LIBRARIES, ids="-".join)
def prefix(request: pytest.FixtureRequest, installed: Path, workers: tuple[Worker, Worker]) -> Iterator[str]:
    """The prefix of the procedures of a session in JavaScript on the second worker."""
    library, serializer = request.param
    with javascript_session(installed, workers[1].url, library, serializer) as prefix:
        yield prefix


@pytest.fixture
async def client(workers: tuple[Worker, Worker]) -> AsyncIterator[Client]:
    """The session in Python on the first worker."""
    async with connected(workers[0].url, MsgPackSerializer()) as client:
        yield client


async def test_sessions_are_on_different_workers(client: Client, prefix: str) -> None:
    here = await result_of(client.call("chaos.process"))
    there = await result_of(client.call(f"{prefix}.call", "chaos.process", []))

    assert there["args"] != [here]


async def test_python_calls_javascript(client: Client, prefix: str) -> None:
    sent = [1, "Zoë", None, {"deep": [1.5, True]}]
    answer = await result_of(client.call(f"{prefix}.echo", *sent, name="x"))
    assert answer == {"args": sent, "kwargs": {"name": "x"}}


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


async def test_error_of_python_reaches_javascript(client: Client, prefix: str) -> None:
    def refuse() -> None:
        raise ApplicationError("com.example.refused", "no")

    await client.register(refuse, "clients.python.refuse")
    answer = await result_of(client.call(f"{prefix}.call", "clients.python.refuse", []))
    assert answer == {"error": "com.example.refused", "args": ["no"]}


async def test_call_that_javascript_does_not_answer_times_out(client: Client, prefix: str) -> None:
    with pytest.raises(ApplicationError) as failed:
        await result_of(client.call(f"{prefix}.hang", options=CallOptions(timeout=50)))
    assert failed.value.error == "wamp.error.timeout"


async def test_event_of_python_reaches_javascript(client: Client, prefix: str) -> None:
    topic = f"{prefix}.from_python"
    await result_of(client.call(f"{prefix}.subscribe", topic, "prefix"))
    await result_of(client.publish(f"{topic}.now", "rain", options=PublishOptions(acknowledge=True)))

    event = await result_of(client.call(f"{prefix}.event"))
    assert (event["args"], event["topic"]) == (["rain"], f"{topic}.now")


async def test_event_of_javascript_reaches_python(client: Client, prefix: str) -> None:
    received: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue()

    def take(text: str, details: EventDetails) -> None:
        received.put_nowait((text, details.topic))

    topic = f"{prefix}.from_javascript"
    await client.subscribe(take, topic, options=SubscribeOptions(details=True))
    await result_of(client.call(f"{prefix}.publish", topic, ["sun"]))

    assert await result_of(received.get()) == ("sun", topic)
