from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.transports.fakes import FakeLoop, FakeTransport, frames_in
from tests.transports.raw_websocket import BINARY, CLOSE, PING, PONG, TEXT, Frame
from wampasgi.transports.frame_writer import (
    DirectSink,
    FrameWriter,
    binary_frame,
    close_frame,
    framing,
    ping_frame,
    pong_frame,
    text_frame,
)

on_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])

#: In bytes, the size of frames that are written before the end of the turn.
MUCH = 64 * 1024


class Connection:
    """A writer, its transport and its event loop."""

    def __init__(self, loop: FakeLoop | None = None) -> None:
        self.loop = loop or FakeLoop()
        self.transport = FakeTransport()
        self.writer = FrameWriter(self.transport, self.loop.as_loop)

    @property
    def writes(self) -> list[bytes]:
        return self.transport.writes


# Frames

FRAMES = [(text_frame, TEXT), (binary_frame, BINARY), (close_frame, CLOSE), (ping_frame, PING)]
FRAMES.append((pong_frame, PONG))


@pytest.mark.parametrize(("frame", "opcode"), FRAMES)
@pytest.mark.parametrize("size", [0, 1, 124, 125])
def test_short_frame_has_its_length_in_the_second_byte(
    frame: Callable[[bytes], bytes], opcode: int, size: int
) -> None:
    payload = b"x" * size
    assert frame(payload) == bytes((0x80 | opcode, size)) + payload


@pytest.mark.parametrize(("frame", "opcode"), FRAMES)
@pytest.mark.parametrize("size", [126, 127, 128, 255, 256, 65534, 65535])
def test_frame_of_126_bytes_or_more_has_a_length_of_16_bits(
    frame: Callable[[bytes], bytes], opcode: int, size: int
) -> None:
    payload = b"x" * size
    assert frame(payload) == bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload


@pytest.mark.parametrize(("frame", "opcode"), FRAMES)
@pytest.mark.parametrize("size", [65536, 65537, 1 << 20])
def test_frame_of_64_kib_or_more_has_a_length_of_64_bits(
    frame: Callable[[bytes], bytes], opcode: int, size: int
) -> None:
    payload = b"x" * size
    assert frame(payload) == bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def test_frame_does_not_change_with_its_payload() -> None:
    for size in 3, 200, 70_000:
        payload = bytearray(b"x" * size)
        # Applications may send any kind of bytes.
        framed = framing(0x82)(payload)  # type: ignore[arg-type]
        payload[:] = b"y" * size
        assert framed.endswith(b"x" * size)


# When frames are written


def test_frames_of_one_turn_are_one_write() -> None:
    connection = Connection()
    assert connection.writer.write(b"1")
    connection.writer.write_anyway(b"2")
    assert connection.writer.write(b"3")
    assert connection.writes == []
    assert connection.writer.pending == 3
    assert connection.loop.turn() == 1

    assert connection.writes == [b"123"]
    assert connection.writer.pending == 0


def test_each_turn_is_written_by_itself() -> None:
    connection = Connection()
    for data in b"1", b"2", b"3":
        connection.writer.write(data)
        connection.loop.turn()

    assert connection.writes == [b"1", b"2", b"3"]
    assert connection.loop.turn() == 0


def test_frames_of_one_read_are_one_write_at_its_end() -> None:
    connection = Connection()
    connection.writer.reading = True
    connection.writer.write(b"1")
    connection.writer.write(b"2")
    assert connection.writes == []
    assert connection.writer.pending == 2
    connection.writer.end_read()

    assert connection.writes == [b"12"]
    assert not connection.writer.reading
    # No turn of the loop is needed.
    assert connection.loop.turn() == 0


def test_read_without_an_answer_writes_nothing() -> None:
    connection = Connection()
    connection.writer.reading = True
    connection.writer.end_read()

    assert connection.writes == []


def test_frames_from_before_a_read_are_written_with_those_of_the_read() -> None:
    connection = Connection()
    connection.writer.write(b"before, ")
    connection.writer.reading = True
    connection.writer.write(b"in, ")
    connection.writer.end_read()
    connection.writer.write(b"after")
    assert connection.writes == [b"before, in, "]
    connection.loop.turn()

    assert connection.writes == [b"before, in, ", b"after"]


@pytest.mark.parametrize("reading", [False, True])
def test_more_than_64_kib_are_written_at_once(reading: bool) -> None:
    connection = Connection()
    connection.writer.reading = reading
    connection.writer.write(b"x" * (MUCH - 1))
    connection.writer.write(b"y")
    assert connection.writes == []
    connection.writer.write(b"z")
    assert connection.writes == [b"x" * (MUCH - 1) + b"yz"]

    # The count begins again.
    connection.writer.write(b"1" * MUCH)
    assert len(connection.writes) == 1
    connection.writer.write(b"2")
    assert connection.writes[1:] == [b"1" * MUCH + b"2"]
    connection.writer.write(b"3")
    connection.writer.end_read()
    connection.loop.turn()
    assert connection.writes[2:] == [b"3"]


@pytest.mark.parametrize("reading", [False, True])
def test_frames_that_were_written_at_once_are_pending_until_the_end_of_the_turn(reading: bool) -> None:
    """Otherwise a task that sends much without waiting would never let others run."""
    connection = Connection()
    connection.writer.reading = reading
    for number in range(1, 11):
        connection.writer.write(b"x" * (MUCH // 3))
        assert connection.writer.pending == number
    assert len(connection.writes) >= 2
    if reading:
        connection.writer.end_read()
    else:
        connection.loop.turn()

    assert connection.writer.pending == 0
    assert len(connection.transport.written) == 10 * (MUCH // 3)


@pytest.mark.parametrize("size", [10, 3000, 30_000])
def test_frames_of_any_size_are_written_completely_and_in_order(size: int) -> None:
    connection = Connection()
    frames = [bytes((number,)) * size for number in range(20)]
    for frame in frames:
        connection.writer.write(frame)
    connection.loop.turn()

    assert connection.transport.written == b"".join(frames)


def test_flush_writes_before_the_end_of_the_turn() -> None:
    connection = Connection()
    connection.writer.flush()
    connection.writer.write(b"1")
    connection.writer.flush()
    connection.writer.write(b"2")
    assert connection.writes == [b"1"]
    connection.loop.turn()

    assert connection.writes == [b"1", b"2"]


def test_several_writers_of_a_turn_are_written_in_order() -> None:
    loop = FakeLoop()
    order: list[int] = []

    class Ordered(FakeTransport):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

        def write(self, data: Any) -> None:
            super().write(data)
            order.append(self.number)

    transports = [Ordered(number) for number in range(4)]
    writers = [FrameWriter(transport, loop.as_loop) for transport in transports]
    for number in 2, 0, 2, 1, 0:
        writers[number].write(b"%d" % number)

    # One callback of the loop writes all of them.
    assert loop.turn() == 1
    assert order == [2, 0, 1]
    assert [transport.writes for transport in transports] == [[b"00"], [b"1"], [b"22"], []]


def test_frame_that_is_written_at_the_end_of_a_turn_belongs_to_the_next_one() -> None:
    loop = FakeLoop()
    first, second = Connection(loop), Connection(loop)

    class Answering(FakeTransport):
        def write(self, data: Any) -> None:
            super().write(data)
            first.writer.write(b"answer")
            second.writer.write(b"answer")

    FrameWriter(Answering(), loop.as_loop).write(b"question")
    first.writer.write(b"first")
    loop.turn()
    loop.turn()

    assert first.transport.written == b"firstanswer"
    assert second.transport.written == b"answer"
    assert loop.turn() == 0


def test_each_event_loop_has_its_own_turns() -> None:
    one, other = Connection(), Connection()
    one.writer.write(b"one")
    other.writer.write(b"other")
    one.loop.turn()
    assert (one.writes, other.writes) == ([b"one"], [])
    other.loop.turn()

    assert (one.writes, other.writes) == ([b"one"], [b"other"])


def test_event_loop_is_not_kept_alive() -> None:
    connection = Connection()
    connection.writer.write(b"1")
    connection.loop.turn()
    loop = weakref.ref(connection.loop)
    del connection
    gc.collect()

    assert loop() is None


# Clients that read slowly


def test_write_refuses_frames_while_paused() -> None:
    connection = Connection()
    connection.writer.write(b"1")
    connection.writer.pause()
    assert not connection.writer.write(b"2")
    connection.writer.write_anyway(b"3")
    assert connection.writer.pending == 2
    connection.loop.turn()
    assert connection.writes == [b"13"]

    connection.writer.resume()
    assert not connection.writer.paused
    assert connection.writer.write(b"4")
    connection.loop.turn()
    assert connection.writes == [b"13", b"4"]


class Waiters:
    """Tasks that wait until the client of a writer has read enough, and then write their number."""

    def __init__(self, count: int) -> None:
        self.transport = FakeTransport()
        self.writer = FrameWriter(self.transport, asyncio.get_running_loop())
        self.writer.pause()
        self.woken: list[int] = []
        self.tasks = [asyncio.create_task(self._wait(number)) for number in range(count)]

    async def _wait(self, number: int) -> None:
        await self.writer.drained()
        self.woken.append(number)

    async def done(self) -> None:
        """Wait until all tasks have ended."""
        async with asyncio.timeout(5):
            await asyncio.wait(self.tasks)


@pytest.mark.anyio
@on_asyncio
async def test_drained_does_not_wait_if_the_client_reads() -> None:
    writer = FrameWriter(FakeTransport(), asyncio.get_running_loop())
    with pytest.raises(StopIteration):
        writer.drained().send(None)


@pytest.mark.anyio
@on_asyncio
async def test_drained_wakes_all_tasks_in_order() -> None:
    waiters = Waiters(3)
    await anyio.wait_all_tasks_blocked()
    assert waiters.woken == []
    waiters.writer.resume()
    await waiters.done()

    assert waiters.woken == [0, 1, 2]


@pytest.mark.anyio
@on_asyncio
async def test_cancellation_of_one_task_leaves_the_others_waiting() -> None:
    waiters = Waiters(3)
    await anyio.wait_all_tasks_blocked()
    waiters.tasks[1].cancel()
    await anyio.wait_all_tasks_blocked()
    assert waiters.woken == []
    waiters.writer.resume()
    await waiters.done()

    assert waiters.woken == [0, 2]
    assert waiters.tasks[1].cancelled()


@pytest.mark.anyio
@on_asyncio
async def test_tasks_wait_again_if_the_client_stops_reading_before_they_run() -> None:
    waiters = Waiters(2)
    await anyio.wait_all_tasks_blocked()
    waiters.writer.resume()
    waiters.writer.pause()
    await anyio.wait_all_tasks_blocked()
    assert waiters.woken == []
    waiters.writer.resume()
    await waiters.done()

    assert waiters.woken == [0, 1]


@pytest.mark.anyio
@on_asyncio
async def test_end_of_the_connection_wakes_all_tasks() -> None:
    waiters = Waiters(2)
    await anyio.wait_all_tasks_blocked()
    waiters.writer.write_anyway(b"lost")
    waiters.writer.close()
    await waiters.done()

    assert waiters.woken == [0, 1]
    assert not waiters.writer.paused
    # Nobody has to wait, and nothing is written.
    assert waiters.writer.write(b"late")
    await anyio.wait_all_tasks_blocked()
    assert waiters.transport.writes == []


# The end


def test_finish_writes_the_last_frames_and_ignores_later_ones() -> None:
    connection = Connection()
    connection.writer.write(b"1")
    connection.writer.write_anyway(b"2")
    connection.writer.finish()
    assert connection.writes == [b"12"]
    assert connection.writer.write(b"3")
    connection.writer.write_anyway(b"4")
    connection.writer.finish()
    assert connection.writer.pending == 0
    connection.loop.turn()

    assert connection.writes == [b"12"]


def test_finish_writes_even_if_the_client_does_not_read() -> None:
    connection = Connection()
    connection.writer.pause()
    connection.writer.write_anyway(b"close")
    connection.writer.finish()

    assert connection.writes == [b"close"]


def test_buffer_that_is_full_after_the_end_makes_nobody_wait() -> None:
    connection = Connection()
    connection.writer.finish()
    connection.writer.pause()

    assert not connection.writer.paused
    assert connection.writer.write(b"ignored")


@pytest.mark.anyio
@on_asyncio
async def test_finish_wakes_all_tasks() -> None:
    waiters = Waiters(2)
    await anyio.wait_all_tasks_blocked()
    waiters.writer.finish()
    await waiters.done()

    assert waiters.woken == [0, 1]


def test_finish_within_a_read() -> None:
    connection = Connection()
    connection.writer.reading = True
    connection.writer.write(b"1")
    connection.writer.finish()
    assert connection.writes == [b"1"]
    connection.writer.write(b"2")
    connection.writer.end_read()

    assert connection.writes == [b"1"]


def test_close_discards_frames() -> None:
    connection = Connection()
    connection.writer.write(b"1")
    connection.writer.close()
    connection.writer.write(b"2")
    connection.writer.flush()
    connection.loop.turn()

    assert connection.writes == []
    assert connection.writer.pending == 0


# The direct way


@pytest.mark.parametrize("frame", [text_frame, binary_frame])
def test_direct_sink_writes_to_the_writer(frame: Callable[[bytes], bytes]) -> None:
    connection = Connection()
    sink = DirectSink(connection.writer, frame, lambda seconds: None)
    assert sink.frame is frame
    for number in range(3):
        assert sink.write(sink.frame(b"%d" % number))
    assert sink.pending == 3
    connection.writer.pause()
    assert not sink.write(sink.frame(b"refused"))
    connection.loop.turn()

    assert sink.pending == 0
    opcode = TEXT if frame is text_frame else BINARY
    assert frames_in(connection.transport.written) == [Frame(opcode, b"%d" % number) for number in range(3)]


@pytest.mark.anyio
@on_asyncio
async def test_direct_sink_waits_for_the_client() -> None:
    waiters = Waiters(1)
    sink = DirectSink(waiters.writer, text_frame, lambda seconds: None)
    drained = asyncio.ensure_future(sink.drained())
    await anyio.wait_all_tasks_blocked()
    assert not drained.done()
    waiters.writer.resume()
    await waiters.done()
    await drained

    assert sink.write(b"now")
