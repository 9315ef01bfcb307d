"""The outbound queue by itself: its order, its limits and its reports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from wampasgi.adapters import TaskOwner, support_for_running_loop
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
