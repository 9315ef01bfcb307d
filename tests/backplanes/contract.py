"""The behaviour of all backplanes, as tests that the modules of the engines inherit.

Subclasses of ``BackplaneContract`` have a fixture ``make`` that returns new backplanes, all of them on one
engine. Those of ``EngineContract`` also have a fixture ``engine``, which starts and stops the engine.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import anyio
import anyio.lowlevel
import pytest

from tests.backplanes.engine_process import Engine
from wampasgi.backplanes.base import Backplane, NodeId

#: The longest time in seconds that a test waits for a state.
PATIENCE = 15.0
#: Replicas agree within two seconds after an engine is back.
HEALING_TIME = 2.0

A: NodeId = 0x0A
B: NodeId = 0xFFFFFFFFFFFFFFFB


class Recorder:
    """A sink that records everything, and lets tests wait for it."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.unreachable_nodes: list[NodeId] = []
        self.ended_nodes: list[NodeId] = []
        #: ``"disconnected"`` and ``"connected"``
        self.states: list[str] = []
        self._changed = anyio.Event()

    def received(self, frame: bytes) -> None:
        self.frames.append(frame)
        self._notify()

    def unreachable(self, node: NodeId) -> None:
        self.unreachable_nodes.append(node)
        self._notify()

    def ended(self, node: NodeId) -> None:
        self.ended_nodes.append(node)
        self._notify()

    def disconnected(self) -> None:
        self.states.append("disconnected")
        self._notify()

    def connected(self) -> None:
        self.states.append("connected")
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Wait until a condition on the records is true."""
        with anyio.fail_after(timeout):
            while not condition():
                await self._changed.wait()

    async def until_received(self, *frames: bytes) -> None:
        """Wait until there are as many frames, and check that they are these."""
        await self.until(lambda: len(self.frames) >= len(frames))
        assert self.frames == list(frames)


Make = Callable[..., Backplane]


@asynccontextmanager
async def pair(make: Make) -> AsyncIterator[tuple[Backplane, Recorder, Backplane, Recorder]]:
    """Open the backplanes of the nodes A and B."""
    a, b, from_a, from_b = make(), make(), Recorder(), Recorder()
    async with a.open(A, from_a, name="app"), b.open(B, from_b, name="app"):
        yield a, from_a, b, from_b


async def open_files() -> int:
    """Return the number of open files of this process, after everything that is about to be closed."""
    await anyio.wait_all_tasks_blocked()
    return len(os.listdir("/dev/fd"))


@pytest.mark.anyio
class BackplaneContract:
    """Tests of a backplane whose engine is reachable."""

    async def test_frame_reaches_its_node_only(self, make: Make) -> None:
        async with pair(make) as (a, at_a, b, at_b):
            a.send(B, b"to b\r\n\x00")
            b.send(A, b"to a")
            await at_b.until_received(b"to b\r\n\x00")
            await at_a.until_received(b"to a")

    async def test_broadcast_reaches_all_nodes_and_the_sender(self, make: Make) -> None:
        async with pair(make) as (a, at_a, _, at_b):
            a.broadcast(b"to all")
            await at_a.until_received(b"to all")
            await at_b.until_received(b"to all")

    async def test_node_can_send_to_itself(self, make: Make) -> None:
        async with pair(make) as (a, at_a, _, _):
            a.send(A, b"to myself")
            await at_a.until_received(b"to myself")

    async def test_order_holds_for_sent_and_broadcast_frames_together(self, make: Make) -> None:
        async with pair(make) as (a, _, _, at_b):
            frames = [b"%d" % number for number in range(1000)]
            for number, frame in enumerate(frames):
                if number % 3:
                    a.send(B, frame)
                else:
                    a.broadcast(frame)
                if number % 100 == 0:
                    await anyio.lowlevel.checkpoint()
            await at_b.until_received(*frames)

    async def test_many_frames_in_one_turn_all_arrive(self, make: Make) -> None:
        async with pair(make) as (a, _, b, at_b):
            frames = [b"%06d" % number for number in range(20_000)]
            for frame in frames:
                a.send(B, frame)
            await at_b.until_received(*frames)
            assert a.counts.sent == b.counts.received == len(frames)
            assert a.counts.bytes_sent == b.counts.bytes_received == 6 * len(frames)
            assert a.counts.dropped == 0

    async def test_frame_of_the_maximum_size_arrives(self, make: Make) -> None:
        async with pair(make) as (a, _, _, at_b):
            largest = os.urandom(a.max_frame)
            a.send(B, b"before")
            a.send(B, largest)
            a.broadcast(b"after")
            await at_b.until_received(b"before", largest, b"after")

    async def test_larger_frame_is_dropped_and_counted(self, make: Make) -> None:
        async with pair(make) as (a, _, _, at_b):
            a.send(B, bytes(a.max_frame + 1))
            assert not await a.flushed()
            await anyio.wait_all_tasks_blocked()
            a.send(B, b"after")
            assert await a.flushed()
            await at_b.until_received(b"after")
            assert a.counts.dropped == 1
            assert at_b.states == []

    async def test_frame_for_an_unknown_node_is_reported_as_unreachable(self, make: Make) -> None:
        async with pair(make) as (a, at_a, _, at_b):
            a.send(0xC, b"nobody")
            await at_a.until(lambda: at_a.unreachable_nodes == [0xC])
            assert at_b.unreachable_nodes == []

    async def test_node_that_left_is_reported_as_unreachable(self, make: Make) -> None:
        a, b, at_a, at_b = make(), make(), Recorder(), Recorder()
        async with a.open(A, at_a, name="app"):
            async with b.open(B, at_b, name="app"):
                a.send(B, b"here")
                await at_b.until_received(b"here")
            assert at_a.unreachable_nodes == []
            # An engine may notice the end of a connection a moment later.
            with anyio.fail_after(PATIENCE):
                while not at_a.unreachable_nodes:
                    a.send(B, b"gone")
                    await a.flushed()
            assert set(at_a.unreachable_nodes) == {B}

    async def test_flushed_confirms_that_the_engine_has_the_frames(self, make: Make) -> None:
        async with pair(make) as (a, at_a, _, _):
            for number in range(100):
                a.broadcast(b"%d" % number)
            assert await a.flushed()
            # The engine has passed them on to the sender before it answers, or just after it.
            await at_a.until(lambda: len(at_a.frames) == 100)

    async def test_leaving_sends_the_frames_in_the_queue(self, make: Make) -> None:
        a, b, at_a, at_b = make(), make(), Recorder(), Recorder()
        async with b.open(B, at_b, name="app"):
            async with a.open(A, at_a, name="app"):
                a.broadcast(b"bye")
            await at_b.until_received(b"bye")
            with anyio.CancelScope() as scope:
                async with a.open(A, at_a, name="app"):
                    a.broadcast(b"cancelled")
                    scope.cancel()
                    await anyio.sleep_forever()
            await at_b.until_received(b"bye", b"cancelled")

    async def test_other_names_are_separate(self, make: Make) -> None:
        a, b, at_a, at_b = make(), make(), Recorder(), Recorder()
        async with a.open(A, at_a, name="my.app:one"), b.open(B, at_b, name="my.app"):
            a.broadcast(b"one")
            a.send(B, b"one")
            b.broadcast(b"two")
            await at_a.until(lambda: at_a.unreachable_nodes == [B])
            await at_a.until_received(b"one")
            await at_b.until_received(b"two")

    async def test_reconnect_replaces_the_connection(self, make: Make) -> None:
        async with pair(make) as (a, at_a, b, _):
            await a.reconnect()
            assert at_a.states == ["disconnected", "connected"]
            assert a.counts.reconnects == 1
            b.send(A, b"to a")
            b.broadcast(b"to all")
            await at_a.until_received(b"to a", b"to all")
            assert await a.flushed()

    async def test_concurrent_reconnects_all_return(self, make: Make) -> None:
        async with pair(make) as (a, at_a, b, _):
            with anyio.fail_after(PATIENCE):
                async with anyio.create_task_group() as tasks:
                    for _ in range(5):
                        tasks.start_soon(a.reconnect)
            assert at_a.states[-1] == "connected"
            b.send(A, b"again")
            await at_a.until_received(b"again")

    async def test_nothing_stays_open(self, make: Make) -> None:
        # A first time, so that what stays open on purpose is open.
        async with pair(make):
            pass
        files, tasks = await open_files(), len(anyio.get_running_tasks())
        async with pair(make) as (a, _, _, _):
            await a.reconnect()
            a.broadcast(b"something")
        with anyio.fail_after(PATIENCE):
            while await open_files() > files:
                await anyio.lowlevel.checkpoint()
        assert len(anyio.get_running_tasks()) == tasks

    async def test_sending_after_the_end_drops_the_frame(self, make: Make) -> None:
        a = make()
        a.send(B, b"too early")
        async with a.open(A, Recorder(), name="app"):
            pass
        a.broadcast(b"too late")
        await a.reconnect()
        assert not await a.flushed()
        assert a.counts.dropped == 2

    async def test_exception_of_the_application_is_not_changed(self, make: Make) -> None:
        error = RuntimeError("of the application")
        with pytest.raises(RuntimeError) as caught:
            async with make().open(A, Recorder(), name="app"):
                raise error
        assert caught.value is error


class EngineBackplaneMaker(Protocol):
    """Returns a new backplane. The options are those of its class."""

    def __call__(
        self, *, connect_timeout: float = ..., wait_for_engine: bool = ..., max_pending: int = ...
    ) -> Backplane: ...


@pytest.mark.anyio
class EngineContract:
    """Tests of a backplane whose engine fails. ``engine`` is started anew for each test."""

    async def test_restarted_engine_is_used_again(
        self, make: EngineBackplaneMaker, engine: Engine, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "wampasgi.backplane")
        async with pair(make) as (a, at_a, b, at_b):
            engine.kill()
            await at_a.until(lambda: at_a.states == ["disconnected"])
            await at_b.until(lambda: at_b.states == ["disconnected"])
            a.broadcast(b"lost")
            assert a.counts.dropped == 1
            assert not await a.flushed()
            engine.start()
            await at_a.until(lambda: at_a.states == ["disconnected", "connected"], HEALING_TIME)
            await at_b.until(lambda: at_b.states == ["disconnected", "connected"], HEALING_TIME)
            a.send(B, b"direct")
            a.broadcast(b"broadcast")
            await at_b.until_received(b"direct", b"broadcast")
            b.send(A, b"answer")
            await at_a.until_received(b"broadcast", b"answer")
            assert a.counts.reconnects == 1
        messages = [record.getMessage() for record in caplog.records]
        assert any("is lost" in message for message in messages)
        assert any(message.startswith("connected to") for message in messages)

    async def test_frozen_engine_is_used_again(self, make: EngineBackplaneMaker, engine: Engine) -> None:
        a, at_a = make(connect_timeout=0.3), Recorder()
        async with a.open(A, at_a, name="app"):
            engine.freeze()
            try:
                with anyio.fail_after(PATIENCE):
                    await a.reconnect()
                assert at_a.states == ["disconnected"]
                a.broadcast(b"lost")
                assert a.counts.dropped == 1
            finally:
                engine.thaw()
            await at_a.until(lambda: at_a.states == ["disconnected", "connected"], HEALING_TIME)
            a.broadcast(b"arrives")
            await at_a.until_received(b"arrives")

    async def test_exception_of_the_sink_does_not_end_the_connection(
        self, make: EngineBackplaneMaker, engine: Engine, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Failing(Recorder):
            def received(self, frame: bytes) -> None:
                super().received(frame)
                if frame == b"bad":
                    raise RuntimeError("of the sink")

        a, at_a = make(), Failing()
        async with a.open(A, at_a, name="app"):
            a.broadcast(b"bad")
            a.broadcast(b"good")
            await at_a.until_received(b"bad", b"good")
            assert at_a.states == []
        assert "a frame could not be handled" in caplog.text

    async def test_leaving_a_frozen_engine_takes_about_a_second(
        self, make: EngineBackplaneMaker, engine: Engine
    ) -> None:
        a = make()
        try:
            with anyio.fail_after(PATIENCE):
                # The engine delivers some of the frames later, and other tests must not receive them.
                async with a.open(A, Recorder(), name="leaving"):
                    engine.freeze()
                    for _ in range(50):
                        a.broadcast(bytes(a.max_frame // 2))
        finally:
            engine.thaw()

    async def test_queue_to_a_frozen_engine_is_bounded(
        self, make: EngineBackplaneMaker, engine: Engine
    ) -> None:
        limit = 4 * 1024 * 1024
        a, at_a = make(max_pending=limit), Recorder()
        async with a.open(A, at_a, name="app"):
            engine.freeze()
            try:
                sent = 0
                while a.counts.dropped == 0:
                    a.broadcast(b"%06d" % sent + bytes(100_000))
                    sent += 1
                    assert a.counts.queued <= limit
                    await anyio.lowlevel.checkpoint()
                assert not await a.flushed()
            finally:
                engine.thaw()
            await at_a.until(lambda: len(at_a.frames) == sent - 1)
            assert [int(frame[:6]) for frame in at_a.frames] == list(range(sent - 1))
            assert a.counts.queued == 0
            assert await a.flushed()

    async def test_flushed_returns_false_if_the_connection_is_lost_meanwhile(
        self, make: EngineBackplaneMaker, engine: Engine
    ) -> None:
        a, at_a = make(), Recorder()
        results: list[bool] = []

        async def flush() -> None:
            results.append(await a.flushed())

        async with a.open(A, at_a, name="app"), anyio.create_task_group() as tasks:
            engine.freeze()
            a.broadcast(b"lost")
            tasks.start_soon(flush)
            await anyio.wait_all_tasks_blocked()
            assert results == []
            engine.kill()
            await at_a.until(lambda: at_a.states == ["disconnected"])
        assert results == [False]

    async def test_absent_engine_fails_the_start_with_its_address(
        self, make: EngineBackplaneMaker, engine: Engine
    ) -> None:
        engine.kill()
        with pytest.raises(ConnectionError, match=f"127.0.0.1:{engine.port}"):
            async with make(connect_timeout=0.2).open(A, Recorder(), name="app"):
                pytest.fail("there is no engine")

    async def test_frozen_engine_fails_the_start(self, make: EngineBackplaneMaker, engine: Engine) -> None:
        engine.freeze()
        try:
            with anyio.fail_after(PATIENCE), pytest.raises(ConnectionError, match="does not answer"):
                async with make(connect_timeout=0.2).open(A, Recorder(), name="app"):
                    pytest.fail("the engine does not answer")
        finally:
            engine.thaw()

    async def test_engine_may_come_during_the_start(self, make: EngineBackplaneMaker, engine: Engine) -> None:
        engine.kill()
        a, at_a = make(), Recorder()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, engine.start)
            async with a.open(A, at_a, name="app"):
                a.broadcast(b"arrives")
                await at_a.until_received(b"arrives")
        assert at_a.states == []

    async def test_engine_may_come_after_the_start(self, make: EngineBackplaneMaker, engine: Engine) -> None:
        engine.kill()
        a, at_a = make(wait_for_engine=False), Recorder()
        async with a.open(A, at_a, name="app"):
            a.broadcast(b"lost")
            assert at_a.states == []
            engine.start()
            await at_a.until(lambda: at_a.states == ["connected"], HEALING_TIME)
            a.broadcast(b"arrives")
            await at_a.until_received(b"arrives")
            assert a.counts.reconnects == 0

    async def test_cancelled_start_leaves_nothing_open(
        self, make: EngineBackplaneMaker, engine: Engine
    ) -> None:
        # A first time, so that what stays open on purpose is open.
        async with make().open(A, Recorder(), name="app"):
            pass
        files = await open_files()
        engine.freeze()
        try:
            with anyio.move_on_after(0.05) as scope:
                async with make().open(A, Recorder(), name="app"):
                    pytest.fail("the engine does not answer")
            assert scope.cancelled_caught
        finally:
            engine.thaw()
        with anyio.fail_after(PATIENCE):
            while await open_files() > files:
                await anyio.lowlevel.checkpoint()


async def assert_works(backplane: Backplane) -> None:
    """Open a backplane, and check that a frame arrives."""
    sink = Recorder()
    async with backplane.open(A, sink, name="app"):
        backplane.broadcast(b"arrives")
        await sink.until_received(b"arrives")


async def assert_refused(backplane: Backplane, *secrets: str) -> str:
    """Check that opening fails at once, however long the timeout, and return the message.

    It does not contain the secrets, and neither does the repr of the backplane.
    """
    with anyio.fail_after(PATIENCE), pytest.raises(ConnectionError) as caught:
        async with backplane.open(A, Recorder(), name="app"):
            pytest.fail("the engine accepts everything")
    for secret in secrets:
        assert secret not in str(caught.value)
        assert secret not in repr(backplane)
    return str(caught.value)
