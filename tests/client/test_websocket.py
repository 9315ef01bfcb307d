"""WebSockets of the client on real sockets: frames as servers may send them, and batches."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from tests.client.scripted_router import ROLES
from tests.specification import EVENT, GOODBYE, SUBSCRIBED, WELCOME
from wampasgi.adapters import support_for_running_loop
from wampasgi.client import ConnectionLost, connect
from wampasgi.client.websocket import QueuedWire
from wampasgi.serializers import SUBPROTOCOLS

pytestmark = pytest.mark.anyio

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

TEXT, CONTINUATION, CLOSE = 0x1, 0x0, 0x8


def frame(message: Any, *, opcode: int = TEXT, final: bool = True) -> bytes:
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    length = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    return bytes([(0x80 if final else 0) | opcode]) + length + payload


async def serve_frames(stream: SocketStream, script: Callable[[SocketStream], Awaitable[None]]) -> None:
    """Answer the opening handshake and HELLO, and run the script, which sends frames byte by byte."""
    async with stream:
        request = await stream.receive()
        key = re.search(rb"(?i)sec-websocket-key: (\S+)", request)
        assert key is not None
        accept = base64.b64encode(hashlib.sha1(key[1] + _GUID).digest())
        await stream.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: wamp.2.json\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        await stream.receive()
        await stream.send(frame([WELCOME, 1, {"roles": ROLES}]))
        await script(stream)


async def run_with(
    script: Callable[[SocketStream], Awaitable[None]], use: Callable[[str], Awaitable[None]]
) -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    url = f"ws://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/"
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, lambda stream: serve_frames(stream, script))
        await use(url)
        group.cancel_scope.cancel()


async def test_fragmented_messages_keep_their_place() -> None:
    async def script(stream: SocketStream) -> None:
        await stream.receive()
        events = [json.dumps([EVENT, 5, number, {}, [number]]).encode() for number in range(1, 7)]
        await stream.send(
            frame([SUBSCRIBED, 1, 5])
            + frame(events[0])
            + frame(events[1][:5], final=False)
            + frame(events[1][5:], opcode=CONTINUATION)
            + frame(events[2])
            + frame(events[3][:1], final=False)
            + frame(events[3][1:7], opcode=CONTINUATION, final=False)
            + frame(events[3][7:], opcode=CONTINUATION)
            + frame(events[4])
        )
        await anyio.sleep(0.05)
        await stream.send(frame(events[5]))
        await stream.receive()
        await stream.send(frame([GOODBYE, {}, "wamp.close.goodbye_and_out"]) + frame(b"", opcode=CLOSE))

    async def use(url: str) -> None:
        async with connect(url) as session, session.subscribe("a.topic") as events:
            assert [(await events.next(timeout=5)).args[0] for _ in range(6)] == [1, 2, 3, 4, 5, 6]

    await run_with(script, use)


async def test_text_that_is_not_utf_8_loses_the_connection() -> None:
    async def script(stream: SocketStream) -> None:
        await stream.receive()
        await stream.send(frame(b"\xff\xff"))
        await stream.receive()

    async def use(url: str) -> None:
        async with connect(url, retry=None) as session:
            with pytest.raises(ConnectionLost, match="1007"):
                await session.call("any")

    await run_with(script, use)


async def test_call_to_a_server_that_does_not_read_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wampasgi.client.supervisor._GOODBYE_TIMEOUT", 0.05)

    async def script(stream: SocketStream) -> None:
        await anyio.sleep_forever()

    async def use(url: str) -> None:
        async with connect(url, retry=None) as session:
            expected = r"waited 0\.1 s for the result of 'big'"
            for _ in range(3):
                with pytest.raises(TimeoutError, match=expected), anyio.fail_after(5):
                    await session.call("big", "x" * 10_000_000, timeout=0.1)

    await run_with(script, use)


class Socket:
    """Records what is sent."""

    def __init__(self) -> None:
        self.sent: list[str | bytes] = []
        self.closed = False

    async def send(self, frame: str | bytes) -> None:
        await anyio.lowlevel.checkpoint()
        self.sent.append(frame)

    async def recv(self) -> str:
        await anyio.sleep_forever()
        raise AssertionError

    async def close(self, code: int, reason: str) -> None:
        self.closed = True


async def test_messages_that_wait_together_are_one_batch() -> None:
    socket = Socket()
    async with support_for_running_loop(None).task_owner() as owner:
        wire = QueuedWire(socket, SUBPROTOCOLS["wamp.2.json.batched"], socket.close, owner)
        for number in range(3):
            assert wire.put(str(number)) is None
        wire.put_nowait("3")
        await anyio.wait_all_tasks_blocked()
        wire.put("4")
        await wire.close()
    assert socket.sent == ["0\x1e1\x1e2\x1e3\x1e", "4\x1e"]
    assert socket.closed


async def test_messages_without_batching_are_one_frame_each_in_order() -> None:
    socket = Socket()
    async with support_for_running_loop(None).task_owner() as owner:
        wire = QueuedWire(socket, SUBPROTOCOLS["wamp.2.json"], socket.close, owner)
        for number in range(200):
            waiting = wire.put(str(number))
            if waiting is not None:
                await waiting
        await wire.close()
    assert socket.sent == list(map(str, range(200)))


async def test_senders_wait_if_too_much_is_unsent() -> None:
    class Stuck(Socket):
        async def send(self, frame: str | bytes) -> None:
            await anyio.sleep_forever()

    socket = Stuck()
    sent = 0
    async with support_for_running_loop(None).task_owner() as owner:
        wire = QueuedWire(socket, SUBPROTOCOLS["wamp.2.json"], socket.close, owner)
        with anyio.move_on_after(0.1) as scope:
            while sent < 1000:
                sent += 1
                waiting = wire.put("message")
                if waiting is not None:
                    await waiting
    assert scope.cancelled_caught
    assert 10 < sent < 200
