"""Values that Autobahn for Python sends in CBOR by default, although other formats do not have them."""

# Autobahn's signatures have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import asyncio
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from email.mime.text import MIMEText
from fractions import Fraction
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any
from uuid import UUID

import autobahn.asyncio  # noqa: F401 - selects the framework for the imports below
import cbor2
import pytest
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer

from tests.clients.autobahn_client import TIMEOUT, connected, failure_of
from tests.clients.server_process import ServerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

VALUES: list[Any] = [
    Decimal("1.50"),
    {1, 2},
    {1: "a"},
    2**70,
    -(2**70),
    Fraction(1, 3),
    1 + 2j,
    ip_address("10.0.0.1"),
    ip_network("fe80::/10"),
    ip_interface("10.0.0.1/8"),
    datetime(2026, 11, 22, 12, tzinfo=UTC),
    date(2026, 11, 22),
    UUID("01234567-89ab-cdef-0123-456789abcdef"),
    re.compile("a.b"),
    {"deep": [{2: Decimal("2.50")}]},
]
#: The values for clients of JSON.
PLAIN: list[Any] = [
    "1.50",
    [1, 2],
    {"1": "a"},
    2**70,
    -(2**70),
    "1/3",
    "1+2j",
    "10.0.0.1",
    "fe80::/10",
    "10.0.0.1/8",
    "2026-11-22T12:00:00Z",
    "2026-11-22",
    "01234567-89ab-cdef-0123-456789abcdef",
    "a.b",
    {"deep": [{"2": "2.50"}]},
]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The backend for Autobahn, which supports only asyncio and Twisted."""
    return "asyncio"


async def test_echo_returns_what_was_sent(server: ServerProcess) -> None:
    async with connected(server.url, CBORSerializer()) as client:
        result = await client.call("echo", *VALUES, value=VALUES)

    assert list(result.results) == VALUES
    assert result.kwresults == {"value": VALUES}


async def test_mime_message_is_echoed(server: ServerProcess) -> None:
    async with connected(server.url, CBORSerializer()) as client:
        result = await client.call("echo", MIMEText("hello"))

    assert result.get_payload() == "hello"


async def test_values_reach_other_clients(server: ServerProcess) -> None:
    received: list[asyncio.Future[Any]] = []

    async with (
        connected(server.url, CBORSerializer()) as sender,
        connected(server.url, CBORSerializer()) as same,
        connected(server.url, JsonSerializer()) as browser,
        connected(server.url, MsgPackSerializer()) as other,
    ):
        for client in (same, browser, other):
            event: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            received.append(event)
            await client.subscribe(lambda *args, event=event: event.set_result(args), "clients.values")
        await same.register(lambda *args: list(args), "clients.echo")

        assert await sender.call("clients.echo", *VALUES) == VALUES
        sender.publish("clients.values", *VALUES)
        async with asyncio.timeout(TIMEOUT):
            events = [list(await event) for event in received]

    assert events[0] == VALUES
    assert events[1] == PLAIN
    # MessagePack has no integers of more than 64 bits.
    assert events[2] == [str(value) if value in (2**70, -(2**70)) else value for value in PLAIN]


async def test_value_that_cannot_be_passed_on_fails_its_call_alone(server: ServerProcess) -> None:
    async with connected(server.url, CBORSerializer()) as client:
        failed = await failure_of(client.call("echo", cbor2.CBORTag(999, "x")))
        assert await client.call("math.add", 2, 3) == 5

    assert failed.error == "wamp.error.invalid_argument"
    assert "tag 999 is not supported" in failed.args[0]
    assert client.disconnected.done()


async def test_nan_in_json_fails_its_call_alone(server: ServerProcess) -> None:
    async with connected(server.url, JsonSerializer()) as client:
        failed = await failure_of(client.call("echo", float("nan")))
        assert await client.call("math.add", 2, 3) == 5

    assert failed.error == "wamp.error.invalid_argument"
    assert "JSON has no NaN" in failed.args[0]


async def test_map_with_integers_as_keys_reaches_clients_of_json(server: ServerProcess) -> None:
    # Autobahn itself refuses to decode such maps, so only the JSON client gets them.
    async with (
        connected(server.url, MsgPackSerializer()) as sender,
        connected(server.url, JsonSerializer()) as browser,
    ):
        event: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        await browser.subscribe(event.set_result, "clients.values")
        sender.publish("clients.values", {1: {2: "b"}})
        async with asyncio.timeout(TIMEOUT):
            assert await event == {"1": {"2": "b"}}
