"""WebSockets of the client on real sockets: frames as servers may send them, and batches."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from tests.client.frame_server import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    Connection,
    close_frame,
    frame,
    frame_server,
    with_each_package,
)
from tests.specification import ABORT, EVENT, GOODBYE, RESULT, SUBSCRIBED
from wampasgi.adapters import support_for_running_loop
from wampasgi.client import ConnectionLost, RemoteProtocolError, connect
from wampasgi.client.websocket import QueuedWire
from wampasgi.serializers import SUBPROTOCOLS

pytestmark = pytest.mark.anyio


@with_each_package
async def test_fragmented_messages_keep_their_place(package: Any) -> None:
    later = anyio.Event()

    async def script(server: Connection) -> None:
        await server.welcome()
        await server.frame()
        events = [json.dumps([EVENT, 5, number, {}, [number]]).encode() for number in range(1, 7)]
        await server.send(
            frame([SUBSCRIBED, 1, 5]),
            frame(events[0]),
            frame(events[1][:5], final=False),
            frame(events[1][5:], opcode=CONTINUATION),
            frame(events[2]),
            frame(events[3][:1], final=False),
            frame(b"", opcode=PONG),
            frame(events[3][1:7], opcode=CONTINUATION, final=False),
            frame(b"ping", opcode=PING),
            frame(events[3][7:], opcode=CONTINUATION),
            frame(events[4]),
        )
        assert await server.frame() == (PONG, b"ping")
        await later.wait()
        await server.send(frame(events[5]))
        await server.frame()
        await server.send(frame([GOODBYE, {}, "wamp.close.goodbye_and_out"]))
        assert await server.close_code() == 1000
        await server.send(close_frame(1000))

    async with (
        frame_server(script) as url,
        connect(url, websocket=package) as session,
        session.subscribe("a.topic") as events,
    ):
        assert [(await events.next(timeout=5)).args[0] for _ in range(5)] == [1, 2, 3, 4, 5]
        later.set()
        assert (await events.next(timeout=5)).args == [6]


@with_each_package
async def test_messages_in_the_packet_of_the_handshake_are_received(package: Any) -> None:
    async def script(server: Connection) -> None:
        await server.read_request()
        welcome = json.dumps([2, 1, {"roles": {"dealer": {}}}]).encode()
        await server.accept(then=frame(welcome[:9], final=False) + frame(welcome[9:], opcode=CONTINUATION))
        await server.frame()
        _, request_id, *_ = await server.message()
        await server.send(frame([RESULT, request_id, {}, ["x" * 100_000]]))
        assert (await server.message())[0] == GOODBYE

    async with frame_server(script) as url, connect(url, websocket=package) as session:
        assert await session.call("any") == "x" * 100_000


UNASKED = json.dumps([EVENT, 5, 1, {}, ["x" * 200]]).encode()

#: Frames that RFC 6455 forbids, with the close code that the client sends.
VIOLATIONS = {
    "reserved bit": (frame(UNASKED, reserved=0x40), 1002),
    "reserved bit of a fragment": (frame(UNASKED, reserved=0x20, final=False), 1002),
    "reserved bit of a ping": (frame(b"", opcode=PING, reserved=0x10), 1002),
    "reserved bit of a pong": (frame(b"", opcode=PONG, reserved=0x40), 1002),
    "reserved bit of a close frame": (frame(b"\x03\xe8", opcode=CLOSE, reserved=0x40), 1002),
    "reserved opcode": (frame(b"", opcode=0x3), 1002),
    "reserved control opcode": (frame(b"", opcode=0xB), 1002),
    "mask": (b"\x81\x82\x00\x00\x00\x00[]", 1002),
    "ping in fragments": (frame(b"", opcode=PING, final=False), 1002),
    "long ping": (frame(b"x" * 126, opcode=PING), 1002),
    "continuation of nothing": (frame(b"[]", opcode=CONTINUATION), 1002),
    "message in a message": (frame(b"[", final=False) + frame(b"]"), 1002),
    "binary in a text": (frame(b"[", final=False) + frame(b"]", opcode=BINARY), 1002),
    "close frame with half a code": (frame(b"\x03", opcode=CLOSE), 1002),
    "close code 0": (close_frame(0), 1002),
    "close code 999": (close_frame(999), 1002),
    "close code 1005": (close_frame(1005), 1002),
    "close code 1006": (close_frame(1006), 1002),
    "close code 1015": (close_frame(1015), 1002),
    "close code 2000": (close_frame(2000), 1002),
    "close code 5000": (close_frame(5000), 1002),
    "text that is not UTF-8": (frame(b"\xff\xff"), 1007),
    "half a character at the end": (frame(b"[", final=False) + frame(b"\xc3", opcode=CONTINUATION), 1007),
    "reason that is not UTF-8": (close_frame(1000, b"\xff"), 1007),
    "large message": (frame(b"x" * 20_000), 1009),
    "header of a large message": (frame(b"x" * 100_000)[:10], 1009),
    "large binary message": (frame(b"x" * 10_001, opcode=BINARY), 1009),
    "message that is large in total": (
        frame(b"x" * 9_000, final=False) + frame(b"x" * 1_001, opcode=CONTINUATION),
        1009,
    ),
}


@with_each_package
@pytest.mark.parametrize("name", VIOLATIONS)
async def test_violation_closes_the_connection_with_its_code(name: str, package: Any) -> None:
    sent, code = VIOLATIONS[name]
    codes = []

    async def script(server: Connection) -> None:
        await server.welcome()
        await server.message()
        await server.send(sent)
        codes.append(await server.close_code())

    options: dict[str, Any] = {"retry": None, "max_size": 10_000, "websocket": package}
    async with frame_server(script) as url, connect(url, **options) as session:
        with pytest.raises(ConnectionLost, match=str(code)) as raised:
            await session.call("any")
        assert raised.value.sent
    assert codes == [code]


@with_each_package
async def test_message_before_a_violation_counts(package: Any) -> None:
    async def script(server: Connection) -> None:
        await server.welcome()
        _, request_id, *_ = await server.message()
        await server.send(frame([RESULT, request_id, {}, [1]]), frame(b"", opcode=0x3))
        await server.close_code()

    async with frame_server(script) as url, connect(url, retry=None, websocket=package) as session:
        assert await session.call("any") == 1


@with_each_package
@pytest.mark.parametrize("code", [1001, 3000, 4999])
async def test_close_frame_is_answered_and_reported(code: int, package: Any) -> None:
    codes = []

    async def script(server: Connection) -> None:
        await server.welcome()
        await server.message()
        await server.send(close_frame(code, "für heute".encode()))
        codes.append(await server.close_code())

    async with frame_server(script) as url, connect(url, retry=None, websocket=package) as session:
        with pytest.raises(
            ConnectionLost, match=f"the server closed the connection with code {code} 'für heute'"
        ):
            await session.call("any")
    assert codes == [code]


@with_each_package
async def test_close_frame_without_a_code_is_answered(package: Any) -> None:
    async def script(server: Connection) -> None:
        await server.welcome()
        await server.message()
        await server.send(frame(b"", opcode=CLOSE))
        _, payload = await server.frame()
        assert payload in (b"", b"\x03\xe8")

    async with frame_server(script) as url, connect(url, retry=None, websocket=package) as session:
        with pytest.raises(ConnectionLost, match="closed the connection with code 1005"):
            await session.call("any")


@with_each_package
async def test_binary_message_in_a_text_subprotocol_is_a_protocol_error(package: Any) -> None:
    received = []

    async def script(server: Connection) -> None:
        await server.welcome()
        await server.message()
        await server.send(frame([EVENT], opcode=BINARY))
        received.append(await server.message())
        await server.close_code()

    async with frame_server(script) as url, connect(url, retry=None, websocket=package) as session:
        with pytest.raises(RemoteProtocolError):
            await session.call("any")
    assert received[0][0] == ABORT


@with_each_package
@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
async def test_server_that_vanishes_loses_the_connection(reset: bool, package: Any) -> None:
    async def script(server: Connection) -> None:
        await server.welcome()
        await server.message()
        if reset:
            server.reset()

    async with frame_server(script) as url, connect(url, retry=None, websocket=package) as session:
        with pytest.raises(ConnectionLost, match="the connection was lost") as raised:
            await session.call("any")
        assert raised.value.sent


@with_each_package
async def test_silent_server_is_asked_for_a_sign_of_life_and_given_up(package: Any) -> None:
    pings = 0

    async def script(server: Connection) -> None:
        nonlocal pings
        await server.welcome()
        while pings < 3:
            opcode, payload = await server.frame()
            if opcode == PING:
                pings += 1
                await server.send(frame(payload, opcode=PONG))
        assert await server.close_code() in (1001, 1011)

    async with frame_server(script) as url:
        options: dict[str, Any] = {"websocket": package, "ping_interval": 0.05, "retry": None}
        async with connect(url, **options) as session:
            with pytest.raises(ConnectionLost):
                await session.call("any", timeout=5)
    assert pings == 3


@with_each_package
async def test_call_to_a_server_that_does_not_read_ends_in_time(
    package: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wampasgi.client.supervisor._GOODBYE_TIMEOUT", 0.05)
    over = anyio.Event()

    async def script(server: Connection) -> None:
        await server.welcome()
        await over.wait()

    async with frame_server(script) as url:
        async with connect(url, retry=None, websocket=package) as session:
            expected = r"waited 0\.1 s for the result of 'big'"
            for _ in range(3):
                with pytest.raises(TimeoutError, match=expected), anyio.fail_after(5):
                    await session.call("big", "x" * 10_000_000, timeout=0.1)
        over.set()


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
