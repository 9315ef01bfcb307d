from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path
from shutil import rmtree

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.backplanes.local_nodes import (
    NAME,
    PATIENCE,
    Node,
    Recorder,
    open_files,
    opened,
    pair,
    path_of,
    process,
    until,
)
from wampasgi.backplanes.local import LocalBackplane
from wampasgi.backplanes.unix_sockets import MAX_FRAME
from wampasgi.errors import ConfigurationError


@pytest.fixture
def directory() -> Iterator[Path]:
    # Not `tmp_path`, which is too long for a socket.
    path = Path(tempfile.mkdtemp(prefix="w"))
    yield path
    rmtree(path)


def numbered(sender: int, number: int) -> bytes:
    return b"%d %d" % (sender, number)


def from_sender(node: Node, sender: int) -> list[bytes]:
    return [frame for frame in node.sink.frames if frame.startswith(b"%d " % sender)]


@pytest.mark.anyio
async def test_frames_reach_one_node_or_all(directory: Path) -> None:
    async with pair(directory) as (one, two), opened(directory, 3) as three:
        await one.exchange_with(three)
        await two.exchange_with(three)
        one.send(2, b"for two")
        one.broadcast(b"for all")
        three.send(3, b"for three")
        await one.sink.until_frames(1)
        await two.sink.until_frames(2)
        await three.sink.until_frames(2)
        assert one.sink.frames == [b"for all"]
        assert two.sink.frames == [b"for two", b"for all"]
        assert sorted(three.sink.frames) == [b"for all", b"for three"]
        assert not one.sink.gone + two.sink.gone + three.sink.gone


def counts_of(node: Node) -> tuple[int, int, int, int]:
    counts = node.backplane.counts
    return counts.sent, counts.bytes_sent, counts.received, counts.bytes_received


@pytest.mark.anyio
async def test_counts_are_those_of_frames_and_bytes(directory: Path) -> None:
    async with pair(directory) as (one, two):
        before_one, before_two = counts_of(one), counts_of(two)
        one.send(2, b"12345")
        one.broadcast(b"123")
        await two.sink.until_frames(2)
        await one.sink.until_frames(1)
        assert counts_of(two)[2:] == (before_two[2] + 2, before_two[3] + 8)
        assert counts_of(one)[:2] == (before_one[0] + 3, before_one[1] + 5 + 3 + 3)
        assert counts_of(one)[2:] == (before_one[2] + 1, before_one[3] + 3)
        assert one.backplane.counts.queued == 0
        assert one.backplane.counts.dropped == 0


@pytest.mark.anyio
async def test_own_broadcast_is_delivered_in_the_next_turn_in_order(directory: Path) -> None:
    async with opened(directory, 1) as one:
        depth = 0

        def react(frame: bytes) -> None:
            nonlocal depth
            depth += 1
            assert depth == 1, "the sink was called recursively"
            if frame == b"first":
                one.broadcast(b"third")
            depth -= 1

        one.sink.react = react
        one.broadcast(b"first")
        one.send(1, b"second")
        assert one.sink.frames == []
        await one.sink.until_frames(3)
        assert one.sink.frames == [b"first", b"second", b"third"]


@pytest.mark.anyio
@pytest.mark.parametrize(("nodes", "operations"), [(2, 5000), (5, 2000)])
async def test_order_of_sends_and_broadcasts_under_load(directory: Path, nodes: int, operations: int) -> None:
    ids = range(1, nodes + 1)
    expected: dict[tuple[int, int], list[bytes]] = {(a, b): [] for a in ids for b in ids}

    async def talk(node: Node) -> None:
        for number in range(operations):
            frame = numbered(node.id, number) + b"x" * (number % 700)
            if number % 3:
                target = number % nodes + 1
                node.send(target, frame)
                expected[node.id, target].append(frame)
            else:
                node.broadcast(frame)
                for target in ids:
                    expected[node.id, target].append(frame)
            if number % 50 == 0:
                await checkpoint()

    async with AsyncExitStack() as stack:
        members = [await stack.enter_async_context(opened(directory, id)) for id in ids]
        for node in members:
            for other in members[node.id :]:
                await node.exchange_with(other)
        async with anyio.create_task_group() as tasks:
            for node in members:
                tasks.start_soon(talk, node)
        for node in members:
            await node.sink.until_frames(sum(len(expected[sender, node.id]) for sender in ids))
            for sender in ids:
                assert from_sender(node, sender) == expected[sender, node.id]


@pytest.mark.anyio
async def test_nodes_that_open_at_the_same_moment_find_each_other(directory: Path) -> None:
    ids = range(1, 6)

    def greeted_by(node: Node) -> set[int]:
        words = [frame.split() for frame in node.sink.frames]
        return {int(sender) for word, sender in words if word in (b"hi", b"back")}

    async def serve(id: int) -> None:
        async with opened(directory, id) as node:

            def answer(frame: bytes) -> None:
                word, _, sender = frame.partition(b" ")
                if word == b"hi":
                    node.send(int(sender), b"back %d" % id)

            node.sink.react = answer
            node.broadcast(b"hi %d" % id)
            # Frames travel in both directions between two nodes when one has got a frame of the other.
            await node.sink.until(lambda: greeted_by(node) == set(ids))
            for number in range(100):
                node.broadcast(numbered(id, number))
            await node.sink.until(lambda: all(len(from_sender(node, sender)) >= 100 for sender in ids))
            for sender in ids:
                assert from_sender(node, sender) == [numbered(sender, number) for number in range(100)]
            done.add(id)
            await until(lambda: len(done) == len(ids))

    done: set[int] = set()
    async with anyio.create_task_group() as tasks:
        for id in ids:
            tasks.start_soon(serve, id)


@pytest.mark.anyio
async def test_large_frames_arrive_in_both_directions_between_small_ones(directory: Path) -> None:
    large = os.urandom(MAX_FRAME)
    frames = [b"", b"small", large, b"x", large[: MAX_FRAME // 2], b"last"]
    async with pair(directory) as (one, two):
        assert one.backplane.max_frame == MAX_FRAME
        for frame in frames:
            one.send(2, frame)
            two.send(1, frame)
        await one.sink.until_frames(len(frames))
        await two.sink.until_frames(len(frames))
        assert one.sink.frames == frames
        assert two.sink.frames == frames


@pytest.mark.anyio
async def test_a_frame_over_the_maximum_is_dropped_and_counted(directory: Path) -> None:
    async with pair(directory) as (one, two):
        one.send(2, bytes(MAX_FRAME + 1))
        one.broadcast(bytes(MAX_FRAME + 1))
        one.send(2, b"next")
        await two.sink.until_frames(1)
        assert two.sink.frames == [b"next"]
        assert one.backplane.counts.dropped == 2


@pytest.mark.anyio
async def test_a_newcomer_is_reached_by_the_next_broadcast(directory: Path) -> None:
    async with opened(directory, 1) as one:
        one.sink.react = lambda frame: one.broadcast(b"welcome") if frame == b"hi" else None
        async with opened(directory, 2) as two:
            two.broadcast(b"hi")
            await two.sink.until_frames(2)
            assert two.sink.frames == [b"hi", b"welcome"]


@pytest.mark.anyio
async def test_applications_of_other_names_are_separate(directory: Path) -> None:
    async with pair(directory) as (one, two), opened(directory, 3, name="shop") as three:
        three.broadcast(b"for the shop")
        await three.sink.until_frames(1)
        one.broadcast(b"for the chat")
        one.send(3, b"for nobody")
        await two.sink.until_frames(1)
        await one.sink.until(lambda: one.sink.gone == [3])
        assert two.sink.frames == [b"for the chat"]
        assert three.sink.frames == [b"for the shop"]


@pytest.mark.anyio
async def test_frames_of_a_node_that_leaves_arrive_before_it_is_unreachable(directory: Path) -> None:
    async with opened(directory, 1) as one:
        async with opened(directory, 2) as two:
            await one.exchange_with(two)
            two.send(1, bytes(1024 * 1024))
            two.send(1, b"bye")
        await one.sink.until(lambda: one.sink.gone == [2])
        assert one.sink.calls[-2:] == [b"bye", 2]
        assert os.listdir(directory) == [path_of(directory, 1).name]
        one.send(2, b"too late")
        await one.sink.until(lambda: one.sink.gone == [2, 2])
        assert one.backplane.counts.dropped == 1


@pytest.mark.anyio
async def test_a_killed_process_is_unreachable_at_once(directory: Path) -> None:
    async with opened(directory, 1) as one, process(directory, 7) as worker:
        one.send(7, b"ping")
        await one.sink.until_frames(1)
        worker.kill()
        await one.sink.until(lambda: one.sink.gone == [7])
        assert one.sink.calls == [b"ping", 7]
        assert not path_of(directory, 7).exists()


@pytest.mark.anyio
async def test_a_stopped_process_is_cut_and_costs_nobody_else_a_frame(directory: Path) -> None:
    def pinged(node: Node) -> bool:
        node.send(7, b"ping again")
        return b"ping again" in node.sink.frames

    async with (
        opened(directory, 1, max_pending=MAX_FRAME) as one,
        opened(directory, 2) as two,
        process(directory, 7) as worker,
    ):
        await one.exchange_with(two)
        one.send(7, b"ping")
        await one.sink.until_frames(1)
        worker.send_signal(signal.SIGSTOP)
        one.broadcast(bytes(MAX_FRAME // 2))
        with anyio.fail_after(5):
            assert not await one.backplane.flushed()
        assert 0 < one.backplane.counts.queued < MAX_FRAME
        for number in range(8):
            one.broadcast(bytes(MAX_FRAME // 2))
            await two.sink.until_frames(number + 2)
            assert one.backplane.counts.queued <= MAX_FRAME
        assert one.backplane.counts.dropped >= 2
        assert one.backplane.counts.reconnects >= 1
        assert one.sink.gone == []
        worker.send_signal(signal.SIGCONT)
        await until(lambda: pinged(one))
        assert await one.backplane.flushed()


@pytest.mark.anyio
async def test_stale_sockets_are_removed(directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as ended:
        ended.bind(str(path_of(directory, 9)))
    async with opened(directory, 1) as one:
        assert os.listdir(directory) == [path_of(directory, 1).name]
        one.send(9, b"anybody there?")
        assert one.sink.gone == [], "the sink must not be called by `send`"
        await one.sink.until(lambda: one.sink.gone == [9])


@pytest.mark.anyio
async def test_a_removed_socket_is_restored(directory: Path) -> None:
    async with opened(directory, 1) as one:
        rmtree(directory)
        await until(path_of(directory, 1).exists)
        async with opened(directory, 2) as two:
            await two.exchange_with(one)


@pytest.mark.anyio
async def test_reconnecting_replaces_all_connections(directory: Path) -> None:
    async with pair(directory) as (one, two):
        before = path_of(directory, 1).stat().st_ino
        two.send(1, b"sent before")
        await one.backplane.reconnect()
        assert path_of(directory, 1).stat().st_ino != before
        assert one.backplane.counts.reconnects == 1
        for number in range(1000):
            one.send(2, numbered(1, number))
        await two.sink.until_frames(1000)
        assert two.sink.frames == [numbered(1, number) for number in range(1000)]
        await two.exchange_with(one)
        assert one.sink.calls.count(b"sent before") == 1
        assert one.sink.gone + two.sink.gone == []


@pytest.mark.anyio
async def test_flushed_returns_when_the_kernel_has_all_frames(directory: Path) -> None:
    async with pair(directory) as (one, two):
        for _ in range(10):
            one.send(2, bytes(MAX_FRAME))
        assert one.backplane.counts.queued > 0
        assert await one.backplane.flushed()
        assert one.backplane.counts.queued == 0
        await two.sink.until_frames(10)


@pytest.mark.anyio
@pytest.mark.parametrize("end", ["leave", "fail", "cancel"])
async def test_leaving_leaves_no_file_and_no_socket(directory: Path, end: str) -> None:
    before = open_files()
    with anyio.CancelScope() as scope, pytest.raises(LookupError) if end == "fail" else nullcontext():
        async with pair(directory) as (one, two):
            one.broadcast(bytes(MAX_FRAME))
            two.broadcast(bytes(MAX_FRAME))
            assert len(open_files()) > len(before)
            if end == "fail":
                raise LookupError
            if end == "cancel":
                scope.cancel()
                await checkpoint()
    assert scope.cancelled_caught == (end == "cancel")
    assert two.backplane.counts.dropped == 0, "the node that left first has not sent its queue"
    assert os.listdir(directory) == []
    assert open_files() == before


@pytest.mark.anyio
async def test_leaving_waits_at_most_a_second_for_a_stopped_process(directory: Path) -> None:
    async with process(directory, 7) as worker:
        with anyio.fail_after(PATIENCE):
            async with opened(directory, 1) as one:
                one.send(7, b"ping")
                await one.sink.until_frames(1)
                worker.send_signal(signal.SIGSTOP)
                one.send(7, bytes(MAX_FRAME))
                start = anyio.current_time()
            assert 0.9 < anyio.current_time() - start < 5
        assert one.backplane.counts.dropped == 1
        assert one.backplane.counts.queued == 0


@pytest.mark.anyio
async def test_sending_without_being_open_drops_the_frame(directory: Path) -> None:
    backplane = LocalBackplane(directory)
    backplane.send(1, b"early")
    backplane.broadcast(b"early")
    await backplane.reconnect()
    assert await backplane.flushed()
    for _ in range(2):
        sink = Recorder()
        async with backplane.open(1, sink, name=NAME):
            backplane.broadcast(b"in time")
            await sink.until_frames(1)
        backplane.send(2, b"late")
        assert sink.frames == [b"in time"]
    assert backplane.counts.dropped == 4


@pytest.mark.anyio
async def test_a_backplane_can_be_opened_only_once_at_a_time(directory: Path) -> None:
    async with opened(directory, 1) as one:
        with pytest.raises(ConfigurationError, match="open already"):
            async with one.backplane.open(2, one.sink, name=NAME):
                pytest.fail("it was opened twice")
        async with opened(directory, 2) as two:
            await two.exchange_with(one)


def test_uvloop_carries_frames_too(directory: Path) -> None:
    async def main() -> None:
        async with pair(directory) as (one, two):
            one.broadcast(bytes(MAX_FRAME))
            one.send(2, b"last")
            await two.sink.until_frames(2)
            assert await one.backplane.flushed()

    anyio.run(main, backend="asyncio", backend_options={"use_uvloop": True})
    assert os.listdir(directory) == []


def test_the_queue_must_have_room_for_a_frame(directory: Path) -> None:
    with pytest.raises(ConfigurationError, match="max_pending"):
        LocalBackplane(directory, max_pending=MAX_FRAME - 1)


def test_the_name_is_optional(directory: Path) -> None:
    assert LocalBackplane(directory).name is None
    assert LocalBackplane(directory, name="shop").name == "shop"
    assert LocalBackplane(directory).library is None


@pytest.mark.anyio
async def test_search_that_is_due_when_a_node_closes_leaves_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wampasgi.backplanes.local.SEARCH_INTERVAL", 0.001)
    async with opened(directory, 1):
        await checkpoint()
        # The interval ends while the event loop is busy, and the node closes before the search runs.
        time.sleep(0.01)  # noqa: ASYNC251
        await checkpoint()
        await checkpoint()
    await checkpoint()
    assert os.listdir(directory) == []
