"""Descriptions that Autobahn clients read and define, through uvicorn."""

# Autobahn's signatures have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer
from autobahn.wamp.types import RegisterOptions

from tests.clients.autobahn_client import Client, connected, failure_of, result_of
from tests.uvicorn_line import uvicorn_in_loop
from tests.wamp_client import open_app
from wampasgi import Application, Topic, WAMPError

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

Connect = Callable[[], Any]


class Failed(WAMPError, uri="com.failed"):
    reason: str


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The backend for Autobahn, which supports only asyncio and Twisted."""
    return "asyncio"


@pytest.fixture
def app() -> Application:
    app = open_app()
    app.add_topic(Topic("com.changed", int))

    @app.procedure("com.get", errors=[Failed])
    async def get(number: int = 1) -> str:
        """Get something."""
        return str(number)

    return app


@pytest.fixture(params=[JsonSerializer, MsgPackSerializer, CBORSerializer])
async def client(app: Application, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    async with uvicorn_in_loop(app) as port, connected(f"ws://127.0.0.1:{port}/", request.param()) as client:
        yield client


async def test_session_reads_the_whole_description(client: Client, app: Application) -> None:
    found = await result_of(client.call("wamp.reflection.describe"))
    assert {**found, "topics": []} == {**app.default_realm.describe().to_dict(), "topics": []}
    [topic] = found["topics"]
    assert (topic["uri"], topic["subscribe"], topic["publish"]) == ("com.changed", True, True)


async def test_session_reads_lists_and_entries(client: Client) -> None:
    assert await result_of(client.call("wamp.reflection.procedure.list")) == ["com.get"]
    assert await result_of(client.call("wamp.reflection.topic.list")) == ["com.changed"]
    assert await result_of(client.call("wamp.reflection.error.list")) == ["com.failed"]
    found = await result_of(client.call("wamp.reflection.procedure.describe", "com.get", match="exact"))
    assert (found["summary"], found["parameters"][0]["schema"]) == (
        "Get something",
        {"type": "integer", "default": 1},
    )
    assert await result_of(client.call("wamp.reflection.error.describe", "com.unknown")) is None


async def test_session_defines_its_procedure(client: Client) -> None:
    registration = await client.register(lambda: None, "com.till.", RegisterOptions(match="prefix"))
    definition = {"summary": "Open the till", "tags": ["till"], "parameters": []}
    await result_of(client.call("wamp.reflection.define", "com.till.", definition, match="prefix"))
    found = await result_of(client.call("wamp.reflection.procedure.describe", "com.till.", match="prefix"))
    assert (found["provider"], found["summary"], found["tags"]) == ("client", "Open the till", ["till"])
    await registration.unregister()
    assert await result_of(client.call("wamp.reflection.procedure.list")) == ["com.get"]


async def test_invalid_definition_names_the_path(client: Client) -> None:
    await client.register(lambda: None, "com.till")
    failure: ApplicationError = await failure_of(
        client.call("wamp.reflection.define", "com.till", {"parameters": [{"name": 1}]})
    )
    assert failure.error == "wamp.error.invalid_argument"
    assert failure.kwargs["errors"][0]["path"] == ["parameters", 0, "name"]


async def test_value_that_only_some_serializers_carry_is_refused(client: Client, app: Application) -> None:
    await client.register(lambda: None, "com.till")
    failure: ApplicationError = await failure_of(
        client.call("wamp.reflection.define", "com.till", {"examples": [{"args": [b"bytes"]}]})
    )
    assert failure.error == "wamp.error.invalid_argument"
