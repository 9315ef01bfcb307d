from __future__ import annotations

import anyio
import pytest

from tests.frame_line import Sink
from wampasgi.metrics import Counts
from wampasgi.peers.frames import FrameSender

pytestmark = pytest.mark.anyio


class Client:
    """The end of a sink, and a sender for it."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.sink = Sink(self.received.append)
        self.counts = Counts()
        self.sender = FrameSender(self.sink, self.counts)

    def frames(self, *messages: bytes) -> list[bytes]:
        return [self.sender.frame(message) for message in messages]


async def test_frames_are_made_by_the_sink() -> None:
    client = Client()
    assert client.sender.frame(b"a") == client.sink.frame(b"a") != b"a"


async def test_frame_is_written_at_once_if_the_client_reads() -> None:
    client = Client()
    [frame] = client.frames(b"one")
    assert client.sender.write_soon(frame, 3)

    assert client.received == [b"one"]
    assert client.counts.bytes_sent == 3
    assert client.sender.pending == 1


async def test_frame_has_to_wait_if_the_client_does_not_read() -> None:
    client = Client()
    client.sink.stop_reading()
    [frame] = client.frames(b"one")
    assert not client.sender.write_soon(frame, 3)

    assert client.received == []
    assert client.counts.bytes_sent == 0
    assert client.sender.pending == 0


async def test_several_frames_are_written_in_order_without_waiting() -> None:
    client = Client()
    with anyio.fail_after(5):
        await client.sender.write(client.frames(b"one", b"two", b"three"), 11)

    assert client.received == [b"one", b"two", b"three"]
    assert client.counts.bytes_sent == 11


async def test_writing_waits_for_the_client_and_loses_nothing() -> None:
    client = Client()

    class Hesitating(Sink):
        """A client that stops to read after each frame."""

        def write(self, framed: bytes) -> bool:
            written = super().write(framed)
            self.stop_reading()
            return written

    client.sink = Hesitating(client.received.append)
    client.sender = FrameSender(client.sink, client.counts)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.sender.write, client.frames(b"one", b"two", b"three"), 11)
        for expected in [b"one"], [b"one", b"two"], [b"one", b"two", b"three"]:
            await anyio.wait_all_tasks_blocked()
            assert client.received == expected
            client.sink.read_again()

    assert client.counts.bytes_sent == 11


async def test_one_frame_is_written_when_the_client_reads() -> None:
    client = Client()
    client.sink.stop_reading()
    [frame] = client.frames(b"one")

    async with anyio.create_task_group() as tasks:

        async def write() -> None:
            await client.sender.write_one(frame, 3)

        tasks.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        assert client.received == []
        client.sink.read_again()

    assert client.received == [b"one"]
    assert client.counts.bytes_sent == 3


async def test_frames_for_a_client_that_has_gone_are_dropped() -> None:
    client = Client()
    client.sink.gone = True
    frames = client.frames(b"one", b"two")
    with anyio.fail_after(5):
        assert client.sender.write_soon(frames[0], 3)
        await client.sender.write(frames, 6)

    assert client.received == []
