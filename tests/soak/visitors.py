"""What visitors do: anything that a client may do, and much that it may not."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

import picows

from tests.soak.client import LARGE, Client
from wampasgi.errors import GOODBYE_AND_OUT, UNAVAILABLE
from wampasgi.protocol.messages import (
    Call,
    Goodbye,
    Invocation,
    Publish,
    Register,
    Subscribe,
    Unregister,
    Unsubscribe,
)
from wampasgi.types import RawMessage

#: Frames that break RFC 6455. Each has the mask 0.
BROKEN_FRAMES: Final = (
    b"\xc1\x80\0\0\0\0",  # a reserved bit
    b"\x83\x80\0\0\0\0",  # a reserved opcode
    b"\x81\x00",  # no mask
    b"\x80\x80\0\0\0\0",  # the continuation of nothing
    b"\x09\x80\0\0\0\0",  # a fragmented ping
    b"\x81\x82\0\0\0\0\xc3\x28",  # text that is not UTF-8
    b"\x88\x82\0\0\0\0\x03\xed",  # the close code 1005
    b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",  # a length of 2 ** 63 - 1
)
#: Texts that are no messages that a client may send.
BROKEN_MESSAGES: Final = (b"[", b"[48]", b'{"a":1}', b"[70,77,{}]", b"[2,1,{}]")


def answer_sometimes(client: Client, message: RawMessage) -> None:
    """Answer an INVOCATION, or don't, or vanish."""
    if message[0] == Invocation.code:
        chance = random.random()
        if chance < 0.5:
            client.answer(message[1], 1)
        elif chance < 0.7:
            client.refuse(message[1], UNAVAILABLE)
        elif chance < 0.8:
            client.transport.disconnect(False)
    elif message[0] == Goodbye.code:
        client.send(Goodbye.code, {}, GOODBYE_AND_OUT)


def act(client: Client, topics: int) -> asyncio.Future[Any] | None:
    """Send a request or pings; return a future for the answer if there will be one."""
    match random.randrange(14):
        case 0:
            return client.request(Call.code, {}, "math.add", [1, 2])
        case 1:
            return client.request(Call.code, {"timeout": 200}, "never")
        case 2:
            return client.request(Call.code, {"receive_progress": True}, "count.down", [20])
        case 3:
            client.cancel(random.randrange(1, 5), random.choice(["skip", "kill"]))
            return None
        case 4:
            return client.request(Call.code, {"timeout": random.choice([0, 50])}, "visitors.any", [LARGE])
        case 5:
            return client.request(Register.code, {"invoke": "random", "concurrency": 3}, "visitors.any")
        case 6:
            return client.request(Subscribe.code, {"match": "prefix"}, random.choice(["visitors.", "wamp."]))
        case 7:
            return client.request(Subscribe.code, {}, "visitors.guarded")
        case 8:
            return client.request(Publish.code, {"acknowledge": True}, "visitors.guarded", [1])
        case 9:
            return client.request(Call.code, {}, "wamp.session.add_testament", ["visitors.will", [1], {}])
        case 10:
            return client.request(Call.code, {}, "ask.me")
        case 11:
            return client.request(
                random.choice([Unsubscribe.code, Unregister.code]), random.randrange(1, 100)
            )
        case 12:
            for _ in range(random.randrange(50)):
                client.send_ping()
            return client.ping()
        case _:
            return client.request(Subscribe.code, {}, f"numbers.{random.randrange(topics)}")


async def end(client: Client) -> None:
    """End the connection in one of many ways, most of them rude."""
    match random.randrange(6):
        case 0:
            client.send(Goodbye.code, {}, "wamp.close.normal")
            # The client must close the WebSocket, because another session could follow on it.
            await asyncio.sleep(0.01)
            client.transport.send_close()
        case 1:
            client.transport.send_close()
        case 2:
            client.send_text(random.choice(BROKEN_MESSAGES))
        case 3:
            client.send_raw(random.choice(BROKEN_FRAMES))
        case 4:
            await _leave_a_message_unfinished(client)
        case _:
            client.transport.disconnect(False)
    try:
        async with asyncio.timeout(5):
            await client.ended.wait()
    except TimeoutError:
        client.transport.disconnect(False)


async def _leave_a_message_unfinished(client: Client) -> None:
    """Send the beginning of a message, then something else."""
    for fragment in range(random.randrange(1, 20)):
        kind = picows.WSMsgType.CONTINUATION if fragment else picows.WSMsgType.TEXT
        client.send_frame(kind, LARGE.encode(), fin=False)
        if random.random() < 0.2:
            client.send_ping()
    await asyncio.sleep(random.expovariate(2))
    match random.randrange(4):
        case 0:
            client.send_frame(picows.WSMsgType.TEXT, b"[]")
        case 1:
            client.transport.send_close()
        case 2:
            # Half a frame.
            client.send_raw(b"\x80\xfe\x10\x00\0\0\0\0half")
            client.transport.disconnect(False)
        case _:
            client.transport.disconnect(False)
