"""Values that only one serialization format has, between clients, handlers and stored events."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import IPv4Address, ip_address
from typing import Any
from uuid import UUID

import cbor2
import ormsgpack
import pytest

from tests.specification import (
    CALL,
    EVENT,
    HELLO,
    INVOCATION,
    PUBLISH,
    REGISTER,
    RESULT,
    SUBSCRIBE,
    YIELD,
)
from tests.wamp_client import ALL_ROLES, WAMPClient, connect, open_app
from wampasgi import Application, RPCResult

pytestmark = pytest.mark.anyio

PROCEDURE, TOPIC = "com.myapp.procedure", "com.myapp.topic"
KEY = UUID("01234567-89ab-cdef-0123-456789abcdef")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

MSGPACK_OPTIONS = ormsgpack.OPT_NON_STR_KEYS | ormsgpack.OPT_DATETIME_AS_TIMESTAMP_EXT


@dataclass
class Extension:
    """An extension of MessagePack."""

    kind: int
    data: bytes


ENCODE: dict[str, Callable[[Any], Any]] = {
    "json": json.dumps,
    "msgpack": lambda value: ormsgpack.packb(
        value,
        lambda item: ormsgpack.Ext(item.kind, item.data),
        MSGPACK_OPTIONS | ormsgpack.OPT_PASSTHROUGH_DATACLASS,
    ),
    "cbor": cbor2.dumps,
}
DECODE: dict[str, Callable[[Any], Any]] = {
    "json": json.loads,
    "msgpack": lambda data: ormsgpack.unpackb(data, ext_hook=Extension, option=MSGPACK_OPTIONS),
    "cbor": cbor2.loads,
}

# A value that a client sends, and the one that handlers and clients of other formats get.
SENT: dict[str, list[Any]] = {
    "cbor": [Decimal("1.50"), {"a"}, {1: [Decimal("2.50")]}, 2**70, NOON, KEY, ip_address("10.0.0.1")],
    "msgpack": [NOON, {1: ["a", {-5: NOON}]}, Extension(5, b"ext")],
}
PLAIN: dict[str, list[Any]] = {
    "cbor": ["1.50", ["a"], {"1": ["2.50"]}, 2**70, "2026-11-22T12:00:00Z", str(KEY), "10.0.0.1"],
    "msgpack": [
        "2026-11-22T12:00:00+00:00",
        {"1": ["a", {"-5": "2026-11-22T12:00:00+00:00"}]},
        "\0ZXh0",
    ],
}

formats = pytest.mark.parametrize("name", ["cbor", "msgpack"])


class Client:
    """A client of one format, which encodes with a library of its own."""

    def __init__(self, websocket: WAMPClient, name: str) -> None:
        self._websocket = websocket
        self._name = name

    async def send(self, *message: Any) -> None:
        await self._websocket.send_frame(ENCODE[self._name](message))

    async def receive(self) -> list[Any]:
        event = await self._websocket.receive_event()
        frame = event.get("text") or event["bytes"]
        message: list[Any] = DECODE[self._name](frame)
        return message

    async def ask(self, *message: Any) -> list[Any]:
        await self.send(*message)
        return await self.receive()


@asynccontextmanager
async def joined(app: Application, *names: str) -> AsyncIterator[list[Client]]:
    """Connect a client for each name of a format; all join the default realm."""
    async with AsyncExitStack() as stack:
        joined = []
        for name in names:
            websocket = await stack.enter_async_context(connect(app, subprotocols=[f"wamp.2.{name}"]))
            client = Client(websocket, name)
            await client.ask(HELLO, "default", {"roles": ALL_ROLES})
            joined.append(client)
        yield joined


def same(value: Any) -> Any:
    """Return a text that tells the types of all values apart."""
    return re.sub(r"datetime\.timezone\.utc|UTC", "UTC", repr(value))


# Between clients


@formats
async def test_routed_call_restores_values_for_a_callee_and_a_caller_of_the_same_format(name: str) -> None:
    async with joined(open_app(), name, name) as [caller, callee]:
        await callee.ask(REGISTER, 1, {}, PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE, SENT[name], {"value": SENT[name]})
        invocation = await callee.receive()
        await callee.send(YIELD, invocation[1], {}, SENT[name])
        result = await caller.receive()

    assert invocation[0] == INVOCATION
    assert same(invocation[4:]) == same([SENT[name], {"value": SENT[name]}])
    assert same(result) == same([RESULT, 1, {}, SENT[name]])


@formats
async def test_event_restores_values_for_subscribers_of_the_same_format_alone(name: str) -> None:
    other = "msgpack" if name == "cbor" else "cbor"
    async with joined(open_app(), name, name, "json", other) as [publisher, *subscribers]:
        for subscriber in subscribers:
            await subscriber.ask(SUBSCRIBE, 1, {}, TOPIC)
        await publisher.send(PUBLISH, 1, {}, TOPIC, SENT[name])
        events = [await subscriber.receive() for subscriber in subscribers]

    assert {event[0] for event in events} == {EVENT}
    assert same(events[0][4]) == same(SENT[name])
    assert events[1][4] == PLAIN[name]
    # MessagePack has no such integer, and other formats than JSON have bytes.
    expected = {"cbor": (2**70, str(2**70)), "msgpack": ("\0ZXh0", b"ext")}[name]
    assert events[2][4] == [expected[1] if value == expected[0] else value for value in PLAIN[name]]


# Handlers


def handlers() -> Application:
    app = open_app()

    @app.procedure("types")
    async def types(*values: Any) -> list[bool]:
        return [isinstance(value, str | list | dict | int | bytes) for value in values]

    @app.procedure("echo")
    async def echo(*values: Any) -> RPCResult:
        return RPCResult(values)

    @app.procedure("typed")
    async def typed(
        price: Decimal,
        tags: set[str],
        names: dict[int, str],
        size: int,
        at: datetime,
        key: UUID,
        ip: IPv4Address,
    ) -> bool:
        return [price, tags, names, size, at, key, ip] == [
            Decimal("1.50"),
            {"a"},
            {1: "b"},
            2**70,
            NOON,
            KEY,
            ip_address("10.0.0.1"),
        ]

    return app


async def test_annotated_parameters_get_objects_of_python() -> None:
    values = [Decimal("1.50"), {"a"}, {1: "b"}, 2**70, NOON, KEY, ip_address("10.0.0.1")]
    async with joined(handlers(), "cbor", "json") as [client, browser]:
        assert await client.ask(CALL, 1, {}, "typed", values) == [RESULT, 1, {}, [True]]
        plain = ["1.50", ["a"], {"1": "b"}, 2**70, "2026-11-22T12:00:00Z", str(KEY), "10.0.0.1"]
        # An integer of 71 bits is a float in JSON, so this one is sent as text.
        plain[3] = str(2**70)
        assert await browser.ask(CALL, 1, {}, "typed", plain) == [RESULT, 1, {}, [True]]


@formats
async def test_echo_restores_values_for_its_caller(name: str) -> None:
    async with joined(handlers(), name) as [client]:
        result = await client.ask(CALL, 1, {}, "echo", SENT[name])

    assert same(result) == same([RESULT, 1, {}, SENT[name]])


@formats
async def test_parameters_without_annotation_get_plain_values(name: str) -> None:
    async with joined(handlers(), name) as [client]:
        result = await client.ask(CALL, 1, {}, "types", SENT[name])

    assert result == [RESULT, 1, {}, [[True] * len(SENT[name])]]


# Stored events


@formats
async def test_retained_event_restores_values(name: str) -> None:
    async with joined(open_app(), name, name, "json") as [publisher, subscriber, browser]:
        await publisher.send(PUBLISH, 1, {"retain": True}, TOPIC, SENT[name])
        await publisher.ask(SUBSCRIBE, 2, {}, TOPIC)
        events = []
        for client in (subscriber, browser):
            await client.ask(SUBSCRIBE, 1, {"get_retained": True}, TOPIC)
            events.append(await client.receive())

    assert same(events[0][4]) == same(SENT[name])
    assert events[1][4] == PLAIN[name]


@formats
async def test_history_restores_values(name: str) -> None:
    app = open_app()
    app.keep_history(TOPIC, limit=3)
    async with joined(app, name) as [client]:
        await client.ask(PUBLISH, 1, {"acknowledge": True}, TOPIC, SENT[name])
        subscription_id = (await client.ask(SUBSCRIBE, 2, {}, TOPIC))[2]
        result = await client.ask(CALL, 3, {}, "wamp.subscription.get_events", [subscription_id])

    assert same(result[3][0]["args"]) == same(SENT[name])


@formats
async def test_testament_restores_values(name: str) -> None:
    app = open_app()
    async with joined(app, name) as [subscriber]:
        await subscriber.ask(SUBSCRIBE, 1, {}, TOPIC)
        async with joined(app, name) as [client]:
            await client.ask(CALL, 1, {}, "wamp.session.add_testament", [TOPIC, SENT[name], {}])
        event = await subscriber.receive()

    assert same(event[4]) == same(SENT[name])


@formats
async def test_event_that_the_server_publishes_again_and_retains_restores_values(name: str) -> None:
    app = open_app()

    @app.procedure("publish")
    async def publish(*values: Any) -> None:
        await app.publish(TOPIC, *values, options={"retain": True})

    async with joined(app, name) as [client]:
        await client.ask(CALL, 1, {}, "publish", SENT[name])
        await client.ask(SUBSCRIBE, 2, {"get_retained": True}, TOPIC)
        event = await client.receive()

    assert same(event[4]) == same(SENT[name])


@formats
async def test_history_is_filtered_by_a_date_of_the_format(name: str) -> None:
    app = open_app()
    app.keep_history(TOPIC, limit=3)
    async with joined(app, name) as [client]:
        await client.ask(PUBLISH, 1, {"acknowledge": True}, TOPIC, ["a"])
        subscription_id = (await client.ask(SUBSCRIBE, 2, {}, TOPIC))[2]
        results = []
        for year in (2000, 9000):
            filters = {"from_time": datetime(year, 1, 1, tzinfo=UTC)}
            results.append(
                await client.ask(CALL, year, {}, "wamp.subscription.get_events", [subscription_id], filters)
            )

    assert [event["args"] for event in results[0][3]] == [["a"]]
    assert results[1][3] == []
