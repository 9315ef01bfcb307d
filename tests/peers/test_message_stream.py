"""The messages of one connection, over a transport in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.memory_transport import MemoryTransport
from wampasgi import Limits
from wampasgi.errors import RemoteProtocolError
from wampasgi.metrics import Counts
from wampasgi.peers.message_stream import MessageStream
from wampasgi.peers.transport import GONE, Disconnected
from wampasgi.serializers import SUBPROTOCOLS, Subprotocol, subprotocols

pytestmark = pytest.mark.anyio

JSON, BATCHED = SUBPROTOCOLS["wamp.2.json"], SUBPROTOCOLS["wamp.2.json.batched"]
CALL: list[Any] = [48, 1, {}, "com.myapp.prüfen", ["\u20ac"]]
RESULT: list[Any] = [50, 1, {}, ["straße"]]

every_subprotocol = pytest.mark.parametrize("subprotocol", SUBPROTOCOLS.values(), ids=lambda one: one.name)


def new_stream(subprotocol: Subprotocol = JSON) -> tuple[MemoryTransport, MessageStream]:
    transport = MemoryTransport(binary=subprotocol.serializer.binary)
    return transport, MessageStream(transport, subprotocol, Counts())


def encoded(subprotocol: Subprotocol, *messages: list[Any]) -> Any:
    """Serialize messages into one piece of data."""
    return subprotocol.frame([subprotocol.serializer.encode(message) for message in messages])


def size(data: str | bytes) -> int:
    return len(data.encode()) if isinstance(data, str) else len(data)


async def read(stream: MessageStream) -> Any:
    return (await stream.receive())["message"]


# Reading


@every_subprotocol
async def test_messages_are_read_and_written(subprotocol: Subprotocol) -> None:
    transport, stream = new_stream(subprotocol)
    transport.send_data(encoded(subprotocol, CALL))

    received = await stream.receive()
    await stream.send({"type": "wamp.message", "message": RESULT})

    assert received == {"type": "wamp.message", "message": CALL}
    [written] = transport.written
    assert subprotocol.messages(written) == [RESULT]


async def test_messages_of_a_batch_are_read_one_by_one_without_waiting_for_another() -> None:
    transport, stream = new_stream(BATCHED)
    transport.send_data(encoded(BATCHED, [1, "one"], [1, "two"]))
    transport.send_data(encoded(BATCHED, [1, "three"]))

    assert [await read(stream) for _ in range(2)] == [[1, "one"], [1, "two"]]
    assert transport.reads == 1
    assert await read(stream) == [1, "three"]


async def test_messages_before_a_malformed_one_of_a_batch_are_read() -> None:
    transport, stream = new_stream(BATCHED)
    transport.send_data('[1,"one"]\x1e{\x1e[1,"three"]\x1e')

    assert await read(stream) == [1, "one"]
    with pytest.raises(RemoteProtocolError, match="JSON"):
        await stream.receive()


@pytest.mark.parametrize(
    ("subprotocol", "data"),
    [(JSON, "{"), (JSON, b"[]"), (BATCHED, ""), (BATCHED, "[1]"), (SUBPROTOCOLS["wamp.2.msgpack"], b"\xc1")],
)
async def test_data_that_holds_no_message_is_a_protocol_error(
    subprotocol: Subprotocol, data: str | bytes
) -> None:
    transport, stream = new_stream(subprotocol)
    transport.send_data(data)

    with pytest.raises(RemoteProtocolError):
        await stream.receive()


async def test_end_of_the_connection_is_an_event_to_asgi_and_an_exception_to_the_decoder() -> None:
    transport, stream = new_stream()
    transport.hang_up(4000)
    transport.hang_up(4001)

    assert await stream.receive() == {"type": "wamp.disconnect", "code": 4000}
    with pytest.raises(Disconnected) as raised:
        stream.decode(await stream.receive_event())
    assert raised.value.code == 4001


# Writing


async def test_several_messages_are_written_each_by_itself_or_in_one_batch() -> None:
    for subprotocol, pieces in (JSON, ["[1]", "[2]"]), (BATCHED, ["[1]\x1e[2]\x1e"]):
        transport, stream = new_stream(subprotocol)
        await stream.write(("[1]", "[2]"), 6)
        assert transport.written == pieces


async def test_one_message_of_a_batched_subprotocol_is_a_batch() -> None:
    transport, stream = new_stream(BATCHED)
    await stream.write_one("[1]", 3)
    assert transport.written == ["[1]\x1e"]


async def test_nothing_is_written_to_a_closed_connection() -> None:
    transport, stream = new_stream()
    await stream.transport.close("com.myapp.reason")
    await stream.write(("[1]",), 3)
    await stream.send({"type": "wamp.message", "message": [1]})

    assert transport.written == []
    assert stream.counts.bytes_sent == 0


async def test_writing_one_message_fails_if_the_client_has_gone() -> None:
    transport, stream = new_stream()
    transport.break_down()
    with pytest.raises(GONE):
        await stream.write_one("[1]", 3)


@pytest.mark.parametrize(
    ("event", "closed_with"),
    [
        ({}, ("", 1000)),
        ({"code": 4000}, ("", 4000)),
        ({"reason": "com.myapp.enough"}, ("com.myapp.enough", 1000)),
    ],
)
async def test_middleware_may_close_the_connection(
    event: dict[str, Any], closed_with: tuple[str, int]
) -> None:
    transport, stream = new_stream()
    await stream.send({"type": "wamp.close", **event})
    assert transport.closed_with == closed_with


# Counting


@every_subprotocol
async def test_bytes_are_counted_as_they_are_on_the_wire(subprotocol: Subprotocol) -> None:
    transport, stream = new_stream(subprotocol)
    one, other = (subprotocol.serializer.encode(message) for message in (CALL, RESULT))
    data = encoded(subprotocol, CALL, RESULT) if subprotocol.batched else one
    transport.send_data(data)
    for _ in range(2 if subprotocol.batched else 1):
        await stream.receive()
    received = stream.counts.bytes_received

    await stream.write((one, other), size(one) + size(other))
    await stream.write_one(one, size(one))

    assert received == size(data)
    assert stream.counts.bytes_sent == sum(map(size, transport.written))


async def test_bytes_count_for_the_realm_that_the_session_is_on() -> None:
    transport, stream = new_stream()
    before, after = stream.counts, Counts()
    transport.send_data("[1]")
    transport.send_data("[48,1]")

    await stream.receive()
    stream.counts = after
    await stream.receive()
    await stream.write(("[2]",), 3)

    assert (before.bytes_received, before.bytes_sent) == (3, 0)
    assert (after.bytes_received, after.bytes_sent) == (6, 3)


# Limits


@every_subprotocol
async def test_message_may_be_exactly_as_large_as_the_limit(subprotocol: Subprotocol) -> None:
    data = encoded(subprotocol, CALL)
    transport, stream = new_stream(subprotocol)
    for _ in range(2):
        transport.send_data(data)

    stream.set_limits(Limits(message_size=size(data)))
    assert await read(stream) == CALL
    stream.set_limits(Limits(message_size=size(data) - 1))
    with pytest.raises(
        RemoteProtocolError, match=f"of {size(data)} bytes is over the limit message_size"
    ) as e:
        await stream.receive()
    assert e.value.uri == "wamp.error.payload_size_exceeded"


@every_subprotocol
async def test_message_of_the_handshake_may_be_exactly_as_large_as_its_limit(
    subprotocol: Subprotocol,
) -> None:
    data, alone = encoded(subprotocol, CALL), subprotocol.serializer.encode(CALL)
    transport, stream = new_stream(subprotocol)
    for _ in range(3):
        transport.send_data(data)

    stream.set_limits(Limits(handshake_size=size(alone)), handshake=True)
    assert await read(stream) == CALL
    too_small = Limits(handshake_size=size(alone) - 1)
    stream.set_limits(too_small, handshake=True)
    with pytest.raises(RemoteProtocolError, match=f"of {size(alone)} bytes is over the limit handshake_size"):
        await stream.receive()
    stream.set_limits(too_small)
    assert await read(stream) == CALL


@every_subprotocol
async def test_message_may_be_nested_exactly_as_deeply_as_the_limit(subprotocol: Subprotocol) -> None:
    deep = [1, [2, {"3": [4, [5]]}]]
    deeper = [1, [2, {"3": [4, [5, []]]}]]
    transport, stream = new_stream(subprotocol)
    stream.set_limits(Limits(nesting_depth=5))
    for message in deep, deeper:
        transport.send_data(encoded(subprotocol, message))

    assert await read(stream) == deep
    with pytest.raises(RemoteProtocolError, match="nest"):
        await stream.receive()


async def assert_only_first_is_read(
    subprotocol: Subprotocol, limits: Limits, full: list[Any], fuller: list[Any], refusal: str
) -> None:
    transport, stream = new_stream(subprotocol)
    stream.set_limits(limits)
    for message in full, fuller:
        transport.send_data(encoded(subprotocol, message))

    assert await read(stream) == full
    with pytest.raises(RemoteProtocolError, match=refusal) as e:
        await stream.receive()
    assert e.value.uri == "wamp.error.payload_size_exceeded"


@every_subprotocol
async def test_message_may_have_exactly_as_many_lists_and_dicts_as_the_limit(
    subprotocol: Subprotocol,
) -> None:
    full = [1, ["[{", "\u0090"], {"3": [4, {}]}]
    fuller = [*full, []]
    await assert_only_first_is_read(
        subprotocol, Limits(containers=5), full, fuller, "more lists and dicts than the limit containers of 5"
    )


@every_subprotocol
async def test_message_may_have_exactly_as_many_arguments_as_the_limit(subprotocol: Subprotocol) -> None:
    full = [48, 1, {}, "x", [1, [2, 3], 4], {"five": 5}]
    fuller = [48, 1, {"x": 1}, "x", [1, [2, 3], 4], {"five": 5}]
    await assert_only_first_is_read(
        subprotocol, Limits(arguments=4), full, fuller, "more arguments than the limit arguments of 4"
    )


@every_subprotocol
async def test_message_may_have_exactly_as_many_values_as_the_limit(subprotocol: Subprotocol) -> None:
    full = [48, 1, {}, "x", [1, [2, {"three": 3}]], {"four": [4]}]
    fuller = [48, 1, {}, "x", [1, [2, {"three": 3}]], {"four": [4, 5]}]
    await assert_only_first_is_read(
        subprotocol, Limits(values=13), full, fuller, "more values than the limit values of 13"
    )


async def test_containers_are_counted_before_they_are_decoded() -> None:
    transport, stream = new_stream(BATCHED)
    stream.set_limits(Limits(containers=5))
    transport.send_data("[1]\x1e[[],[],[],[],[], and nothing valid\x1e")

    assert await read(stream) == [1]
    with pytest.raises(RemoteProtocolError, match="limit containers of 5"):
        await stream.receive()


async def test_containers_are_counted_after_a_custom_serializer_has_decoded_them() -> None:
    class Custom:
        name = "custom"
        binary = False

        def encode(self, message: list[Any]) -> str:
            return json.dumps(message)

        def decode(self, data: str | bytes) -> object:
            return json.loads(data)

    subprotocol = subprotocols([Custom()])["wamp.2.custom"]
    transport, stream = new_stream(subprotocol)
    stream.set_limits(Limits(containers=3))
    for data in "[1,[],{}]", '[1,"[[[[[["]', "[1,[],[],{}]":
        transport.send_data(data)

    assert await read(stream) == [1, [], {}]
    assert await read(stream) == [1, "[[[[[["]
    with pytest.raises(RemoteProtocolError, match="limit containers of 3"):
        await stream.receive()


@every_subprotocol
async def test_size_of_a_long_message_is_there_for_the_reader_until_it_resets_it(
    subprotocol: Subprotocol,
) -> None:
    long = [48, 1, {}, "a", ["x" * 2000]]
    transport, stream = new_stream(subprotocol)
    stream.set_limits(Limits(uri_length=100))
    for message in CALL, long, CALL:
        transport.send_data(encoded(subprotocol, message))

    sizes = []
    for _ in range(3):
        await stream.receive()
        sizes.append(stream.long_size)
        stream.long_size = 0

    assert sizes == [0, size(subprotocol.serializer.encode(long)), 0]


async def test_without_limits_any_message_is_read() -> None:
    transport, stream = new_stream()
    transport.send_data(encoded(JSON, [1, "x" * 2_000_000]))
    assert len((await read(stream))[1]) == 2_000_000
