"""Advanced Profile, "Message Batching"."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cbor2
import ormsgpack
import pytest

from tests.conformance.vocabulary import TOPIC, asyncio_only
from tests.specification import (
    ABORT,
    CALL,
    ERROR,
    HELLO,
    PROTOCOL_VIOLATION,
    PUBLISH,
    PUBLISHED,
    SUBSCRIBE,
    SUBSCRIBED,
    WELCOME,
)
from tests.wamp_client import BASIC, WAMPClient, accepted, open_app

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Format:
    """A batched subprotocol, written from the specification."""

    name: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]

    @property
    def binary(self) -> bool:
        return "json" not in self.name

    def frame(self, *messages: Any) -> str | bytes:
        if self.binary:
            encoded = [self.encode(message) for message in messages]
            return b"".join(struct.pack(">I", len(one)) + one for one in encoded)
        return "".join(json.dumps(message) + "\x1e" for message in messages)

    def messages(self, frame: Any) -> list[Any]:
        if not self.binary:
            *encoded, rest = frame.split("\x1e")
            assert rest == "", "each message ends with a record separator"
            return [json.loads(one) for one in encoded]
        found = []
        while frame:
            (length,) = struct.unpack(">I", frame[:4])
            assert len(frame) >= 4 + length
            found.append(self.decode(frame[4 : 4 + length]))
            frame = frame[4 + length :]
        return found


FORMATS = [
    Format("wamp.2.json.batched", lambda message: json.dumps(message).encode(), json.loads),
    Format("wamp.2.msgpack.batched", ormsgpack.packb, ormsgpack.unpackb),
    Format("wamp.2.cbor.batched", cbor2.dumps, cbor2.loads),
]

batched = pytest.mark.parametrize("batch", FORMATS, ids=lambda batch: batch.name)


class BatchedClient(WAMPClient):
    """A client that sends and receives batches."""

    def __init__(self, batch: Format) -> None:
        super().__init__(open_app(), subprotocols=[batch.name])
        self.batch = batch
        self._received: list[Any] = []

    async def send(self, *message: Any) -> None:
        await self.send_batch(message)

    async def send_batch(self, *messages: Any) -> None:
        await self.send_frame(self.batch.frame(*messages))

    async def receive(self) -> Any:
        if not self._received:
            event = await self.receive_event()
            assert event["type"] == "websocket.send", event
            frame = event.get("bytes" if self.batch.binary else "text")
            self._received = self.batch.messages(frame)
            assert self._received, "a batch of length 0 is illegal"
        return self._received.pop(0)


@batched
async def test_single_message_is_a_batch_of_length_1(batch: Format) -> None:
    async with accepted(BatchedClient(batch)) as client:
        await client.send_batch([HELLO, "realm", BASIC])
        await client.expect(WELCOME)
        await client.send_batch([SUBSCRIBE, 1, {}, TOPIC])
        assert (await client.receive())[:2] == [SUBSCRIBED, 1]


@batched
async def test_messages_of_a_batch_are_handled_in_order(batch: Format) -> None:
    async with accepted(BatchedClient(batch)) as client:
        await client.send_batch(
            [HELLO, "realm", BASIC],
            [SUBSCRIBE, 1, {}, TOPIC],
            [PUBLISH, 2, {"acknowledge": True}, TOPIC, ["x" * 70000, "\u65e5"]],
            [CALL, 3, {}, "nobody"],
        )
        assert [(await client.receive())[0] for _ in range(4)] == [WELCOME, SUBSCRIBED, PUBLISHED, ERROR]


def illegal(batch: Format) -> dict[str, str | bytes]:
    whole = batch.frame([SUBSCRIBE, 1, {}, TOPIC])
    if isinstance(whole, str):
        return {
            "empty": "",
            "unframed": json.dumps([SUBSCRIBE, 1, {}, TOPIC]),
            "separator alone": "\x1e",
            "empty message": whole + "\x1e",
            "separator first": "\x1e" + whole,
            "rest": whole + "[",
            "newline instead": json.dumps([SUBSCRIBE, 1, {}, TOPIC]) + "\n",
        }
    return {
        "empty": b"",
        "unframed": batch.encode([SUBSCRIBE, 1, {}, TOPIC]),
        "length alone": whole[:4],
        "cut length": whole[:3],
        "cut message": whole[:-1],
        "rest": whole + b"\x00",
        "empty message": whole + b"\x00\x00\x00\x00",
        "far too long": b"\xff\xff\xff\xff" + whole[4:],
    }


@asyncio_only
@pytest.mark.parametrize(
    ("batch", "name"),
    [pytest.param(batch, name, id=f"{batch.name} {name}") for batch in FORMATS for name in illegal(batch)],
)
async def test_empty_or_malformed_batch_must_fail_the_transport(batch: Format, name: str) -> None:
    async with accepted(BatchedClient(batch)) as client:
        await client.join()
        await client.send_frame(illegal(batch)[name])
        answer = await client.receive()
        # The message before the malformed part may have been answered.
        if answer[0] == SUBSCRIBED:
            answer = await client.receive()
        assert (answer[0], answer[2]) == (ABORT, PROTOCOL_VIOLATION)
        assert (await client.closed())["code"] == 1002
