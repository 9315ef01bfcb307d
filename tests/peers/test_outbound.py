"""The outbound queue by itself: its order, its limits and its reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from tests.frame_line import Sink
from wampasgi.adapters import TaskOwner, support_for_running_loop
from wampasgi.metrics import Counts
from wampasgi.peers.frames import FrameSender
from wampasgi.peers.outbound import DroppingOutbound, Outbound

pytestmark = pytest.mark.anyio


class Reader:
    """A peer that takes messages one by one once ``reads`` is set, and records the reports of the queue."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.dropped = 0
        self.stretches: list[int] = []
        self.overflows: list[tuple[int, int]] = []
        self.reads = anyio.Event()

    async def write_one(self, item: Any, _: int) -> None:
        await self.reads.wait()
        self.taken.append(item)

    async def write(self, items: Sequence[Any], _: int) -> None:
        for item in items:
            await self.write_one(item, 1)

    def drop(self, count: int) -> None:
        self.dropped += count

    def overflow(self, lost: int, in_stretch: int) -> None:
        self.overflows.append((lost, in_stretch))

    def outbound(self, owner: TaskOwner, **bounds: int) -> DroppingOutbound:
        bounds = {"max_messages": 5, "max_size": 1000, **bounds}
        return DroppingOutbound(
            self.write,
            self.write_one,
            owner,
            on_overflow=self.overflow,
            on_drop=self.drop,
            on_dropped=self.stretches.append,
            **bounds,
        )


async def test_oldest_events_are_dropped_and_everything_else_is_kept_in_order() -> None:
    reader = Reader()

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = reader.outbound(owner)
        outbound.put("first", 1)
        await anyio.wait_all_tasks_blocked()
        for number in range(10):
            outbound.put_event(f"event {number}", 1)
            if number in (3, 7):
                outbound.put(f"result {number}", 1)
        assert reader.dropped == 7
        assert reader.stretches == []
        assert not outbound.closed
        reader.reads.set()
        await outbound.drained()

    assert reader.taken == ["first", "result 3", "event 7", "result 7", "event 8", "event 9"]
    assert reader.stretches == [7]
    assert reader.overflows == []


async def test_stretch_ends_when_the_reader_has_caught_up_and_another_may_follow() -> None:
    reader = Reader()

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = reader.outbound(owner)
        for expected in ([3], [3, 3]):
            reader.reads = anyio.Event()
            outbound.put("result", 1)
            await anyio.wait_all_tasks_blocked()
            for number in range(8):
                outbound.put_event(number, 1)
            reader.reads.set()
            await outbound.drained()
            assert reader.stretches == expected

    assert reader.taken == ["result", 3, 4, 5, 6, 7] * 2


async def test_many_events_that_nobody_reads_take_no_more_room_than_the_bound() -> None:
    reader = Reader()

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = reader.outbound(owner, max_messages=4)
        outbound.put("first", 1)
        await anyio.wait_all_tasks_blocked()
        outbound.put("result", 1)
        for number in range(100_000):
            outbound.put_event(number, 1)
        assert outbound.half_full
        reader.reads.set()
        await outbound.drained()

    assert reader.taken == ["first", "result", 99_997, 99_998, 99_999]
    assert reader.dropped == 99_997


async def test_bound_in_bytes_drops_as_many_events_as_it_takes() -> None:
    reader = Reader()

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = reader.outbound(owner, max_size=100)
        outbound.put("first", 1)
        await anyio.wait_all_tasks_blocked()
        for number in range(4):
            outbound.put_event(number, 25)
        outbound.put_event("large", 60)
        outbound.put_event("too large for any room", 101)
        assert reader.dropped == 6
        reader.reads.set()
        await outbound.drained()
        # One that is put while nothing is being written needs no room.
        outbound.put_event("large", 101)
        await outbound.drained()

    assert reader.taken == ["first", "large"]
    assert reader.stretches == [6]


async def test_queue_without_events_to_drop_overflows() -> None:
    reader = Reader()

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = reader.outbound(owner)
        outbound.put("first", 1)
        await anyio.wait_all_tasks_blocked()
        for number in range(2):
            outbound.put_event(number, 1)
        for _ in range(6):
            outbound.put("result", 1)
        assert reader.overflows == [(6, 8)]
        outbound.finish("last", 1)
        outbound.put("nothing more", 1)
        reader.reads.set()
        await outbound.drained()

    assert reader.taken == ["first", "last"]


async def test_stretch_is_reported_when_the_queue_is_closed() -> None:
    reader = Reader()

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = reader.outbound(owner)
        outbound.put("first", 1)
        await anyio.wait_all_tasks_blocked()
        for number in range(7):
            outbound.put_event(number, 1)
        outbound.close()
        assert reader.stretches == [2]
        outbound.put_event("nothing more", 1)
        reader.reads.set()
        await outbound.drained()

    assert reader.taken == ["first", 2, 3, 4, 5, 6]
    assert reader.stretches == [2]


async def test_last_message_of_an_empty_queue_is_written() -> None:
    reader = Reader()
    reader.reads.set()

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = Outbound(
            reader.write,
            reader.write_one,
            owner,
            max_messages=1,
            max_size=1,
            on_overflow=reader.overflow,
        )
        outbound.finish("last", 1)
        outbound.finish("more", 1)
        await outbound.drained()

    assert reader.taken == ["last"]


async def test_nothing_is_written_after_a_message_that_could_not_be() -> None:
    written: list[Any] = []

    async def write_one(item: Any, _: int) -> None:
        if item == "bad":
            raise ZeroDivisionError("in the transport")
        written.append(item)

    async def write(items: Sequence[Any], _: int) -> None:
        for item in items:
            await write_one(item, 1)

    async def own() -> None:
        async with support_for_running_loop(None).task_owner() as owner:
            outbound = Outbound(
                write, write_one, owner, max_messages=5, max_size=5, on_overflow=lambda *lost: None
            )
            for item in ("good", "bad", "later"):
                outbound.put(item, 1)
                with anyio.CancelScope(shield=True):
                    await outbound.drained()
            assert outbound.closed

    with pytest.raises(ExceptionGroup) as raised:
        await own()

    assert raised.value.subgroup(ZeroDivisionError) is not None
    assert written == ["good"]


# The direct way


class DirectReader(Reader):
    """A peer with a direct way. It reads unless ``sink.stop_reading()`` was called."""

    def __init__(self) -> None:
        super().__init__()
        self.sink = Sink(lambda data: self.taken.append(data.decode()))
        self._sender = FrameSender(self.sink, Counts())

    def frames(self, *messages: str) -> list[bytes]:
        return [self.sink.frame(message.encode()) for message in messages]

    def direct_outbound(self, owner: TaskOwner, *, dropping: bool = True) -> Outbound:
        bounds: dict[str, Any] = {"max_messages": 5, "max_size": 1000, "direct": self._sender}
        bounds["on_overflow"] = self.overflow
        write, write_one = self._sender.write, self._sender.write_one
        if not dropping:
            return Outbound(write, write_one, owner, **bounds)
        return DroppingOutbound(
            write, write_one, owner, on_drop=self.drop, on_dropped=self.stretches.append, **bounds
        )


#: On trio, tasks run in random order in a turn.
in_order = pytest.mark.parametrize("anyio_backend", ["asyncio"])
every_outbound = pytest.mark.parametrize("dropping", [False, True])


@every_outbound
async def test_messages_are_written_directly_while_the_peer_reads(dropping: bool) -> None:
    reader = DirectReader()

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = reader.direct_outbound(owner, dropping=dropping)
        for number, frame in enumerate(reader.frames(*map(str, range(100)))):
            put = outbound.put_event if number % 2 else outbound.put
            put(frame, 1000)
        # Not even a turn of the event loop has passed, and no limit applies.
        assert reader.taken == [str(number) for number in range(100)]

    assert reader.overflows == []
    assert reader.stretches == []


@every_outbound
async def test_messages_are_queued_while_the_peer_does_not_read_and_stay_in_order(dropping: bool) -> None:
    reader = DirectReader()
    one, two, three, four, five, six = reader.frames(*"123456")

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = reader.direct_outbound(owner, dropping=dropping)
        outbound.put(one, 1)
        reader.sink.stop_reading()
        outbound.put_event(two, 1)
        await anyio.wait_all_tasks_blocked()
        outbound.put(three, 1)
        outbound.put_event(four, 1)
        assert reader.taken == ["1"]
        reader.sink.read_again()
        # The writer has not written the queue yet.
        outbound.put(five, 1)
        assert reader.taken == ["1"]
        await outbound.drained()
        assert reader.taken == ["1", "2", "3", "4", "5"]
        outbound.put_event(six, 1)
        assert reader.taken[-1] == "6"


async def test_messages_of_the_turn_in_which_the_peer_reads_again_stay_in_order() -> None:
    reader = DirectReader()
    one, two, three = reader.frames(*"123")

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = reader.direct_outbound(owner)
        reader.sink.stop_reading()
        outbound.put(one, 1)
        reader.sink.read_again()
        # The writer is due in the next turn.
        outbound.put_event(two, 1)
        outbound.put(three, 1)
        assert reader.taken == []
        await outbound.drained()

    assert reader.taken == ["1", "2", "3"]


async def test_limits_apply_to_a_peer_that_does_not_read() -> None:
    reader = DirectReader()
    first, last, late, *others = reader.frames("first", "last", "late", *map(str, range(6)))

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = reader.direct_outbound(owner, dropping=False)
        reader.sink.stop_reading()
        outbound.put(first, 1)
        await anyio.wait_all_tasks_blocked()
        for frame in others[:5]:
            outbound.put(frame, 1)
        assert reader.overflows == []
        outbound.put(others[5], 1)
        assert reader.overflows == [(6, 6)]
        outbound.finish(last, 1)
        outbound.put(late, 1)
        reader.sink.read_again()
        await outbound.drained()

    assert reader.taken == ["first", "last"]


async def test_oldest_events_of_a_peer_that_does_not_read_are_dropped() -> None:
    reader = DirectReader()
    first, result, *events = reader.frames("first", "result", *map(str, range(10)))

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = reader.direct_outbound(owner)
        reader.sink.stop_reading()
        outbound.put_event(first, 1)
        await anyio.wait_all_tasks_blocked()
        outbound.put(result, 1)
        for frame in events:
            outbound.put_event(frame, 1)
        assert reader.dropped == 6
        assert reader.stretches == []
        reader.sink.read_again()
        await outbound.drained()
        assert reader.stretches == [6]
        for frame in events:
            outbound.put_event(frame, 1)

    assert reader.taken == ["first", "result", "6", "7", "8", "9", *map(str, range(10))]
    assert reader.stretches == [6]


@every_outbound
async def test_last_message_is_written_directly_if_the_peer_reads(dropping: bool) -> None:
    reader = DirectReader()
    last, late = reader.frames("last", "late")

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = reader.direct_outbound(owner, dropping=dropping)
        outbound.finish(last, 1)
        outbound.finish(late, 1)
        outbound.put(late, 1)
        outbound.put_event(late, 1)
        assert reader.taken == ["last"]
        assert outbound.closed


@every_outbound
async def test_last_message_comes_after_the_queue(dropping: bool) -> None:
    reader = DirectReader()
    first, last = reader.frames("first", "last")

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = reader.direct_outbound(owner, dropping=dropping)
        reader.sink.stop_reading()
        outbound.put(first, 1)
        outbound.finish(last, 1)
        reader.sink.read_again()
        await outbound.drained()

    assert reader.taken == ["first", "last"]


async def test_last_message_waits_for_a_peer_that_does_not_read() -> None:
    reader = DirectReader()
    [last] = reader.frames("last")

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = reader.direct_outbound(owner)
        reader.sink.stop_reading()
        outbound.finish(last, 1)
        await anyio.wait_all_tasks_blocked()
        assert reader.taken == []
        reader.sink.read_again()
        await outbound.drained()

    assert reader.taken == ["last"]


@in_order
async def test_many_messages_of_one_turn_are_congested_until_they_are_written() -> None:
    reader = DirectReader()

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = reader.direct_outbound(owner)
        congested = [outbound.congested]
        for frame in reader.frames(*map(str, range(100))):
            outbound.put(frame, 1)
            congested.append(outbound.congested)
        assert congested[:3] == [False] * 3
        assert congested[20:] == [True] * 81
        assert not outbound.half_full
        await outbound.drained()
        assert not outbound.congested


async def test_peer_that_does_not_read_is_congested() -> None:
    reader = DirectReader()
    one, two = reader.frames("1", "2")

    async with support_for_running_loop(None).task_owner() as owner:
        outbound = reader.direct_outbound(owner)
        reader.sink.stop_reading()
        outbound.put(one, 1)
        await anyio.wait_all_tasks_blocked()
        outbound.put(two, 1)
        assert outbound.congested
        reader.sink.read_again()
        await outbound.drained()
        assert not outbound.congested


@in_order
async def test_drained_waits_for_the_end_of_the_turn_only_if_frames_are_pending() -> None:
    reader = DirectReader()
    turns: list[str] = []

    async def run() -> None:
        turns.append("another task")

    async with support_for_running_loop(None).task_owner() as owner, anyio.create_task_group() as tasks:
        outbound = reader.direct_outbound(owner)
        tasks.start_soon(run)
        await outbound.drained()
        turns.append("nothing was pending")
        outbound.put(reader.frames("1")[0], 1)
        await outbound.drained()
        turns.append("drained")

    assert turns == ["nothing was pending", "another task", "drained"]
