"""A short run of each fault, with two workers on each backplane. ``make chaos`` runs more of them, longer."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.chaos.engines import KINDS, Kind, missing_program, url_of
from tests.chaos.faults import faults_of
from tests.chaos.load import ON_LEAVE
from tests.chaos.session import HANG, NETWORK_FAILURE, Failed, Session
from tests.chaos.stage import stage_of
from tests.chaos.workers import WorkerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

#: Seconds until a process has started again, on a loaded machine.
PATIENCE = 20.0


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The backend of the clients, whose WebSockets work on asyncio alone."""
    return "asyncio"


@pytest.mark.parametrize("kind", KINDS)
async def test_workers_survive_faults(kind: Kind) -> None:
    if (missing := missing_program(kind)) is not None:
        pytest.skip(f"{missing} is not installed")
    lines: list[str] = []

    async with asyncio.timeout(100), stage_of(kind, report=lines.append) as stage:
        for fault in faults_of(kind, long=False):
            await fault(stage)

    assert stage.load.problems == [], "\n".join(lines)
    # The load was not idle.
    assert stage.load.done["calls"] > 100
    assert stage.load.done["events"] > 100
    assert stage.load.done["visits"] > 10


# One uvicorn with two worker processes


@pytest.fixture
def server() -> Iterator[WorkerProcess]:
    """A uvicorn with two worker processes on one port."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        environment = {"CHAOS_BACKPLANE": url_of("unix", folder, 0)}
        process = WorkerProcess(folder / "server", environment, options=("--workers", "2"))
        try:
            process.wait_until_ready()
            yield process
            process.stop()
            assert "Traceback" not in process.log
        finally:
            process.kill()


@asynccontextmanager
async def joined(server: WorkerProcess) -> AsyncIterator[tuple[Session, int]]:
    """A session and the ID of its process."""
    session = Session("client")
    try:
        await session.open(server.url)
        yield session, await session.call("chaos.process")
    finally:
        session.close()


@asynccontextmanager
async def joined_elsewhere(server: WorkerProcess, other: int) -> AsyncIterator[tuple[Session, int]]:
    """A session on another process than the one with an ID: the system chooses which one accepts."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        async with joined(server) as (session, process):
            if process != other:
                yield session, process
                return
    raise AssertionError(f"no process but {other} accepts connections:\n{server.log}")


async def test_a_killed_process_of_one_uvicorn_is_replaced(server: WorkerProcess) -> None:
    def leaves_of(session_id: int) -> int:
        return sum(args[0] == session_id for _, args in survivor.events(ON_LEAVE))

    async with joined(server) as (survivor, here):
        await survivor.subscribe(ON_LEAVE)
        async with joined_elsewhere(server, here) as (victim, there):
            await victim.register("victim.echo")
            assert await survivor.call("victim.echo", 1) == 1
            hanging = asyncio.create_task(survivor.call("victim.echo", HANG))
            assert await survivor.call("victim.echo", 2) == 2

            os.kill(there, signal.SIGKILL)

            with pytest.raises(Failed, match=NETWORK_FAILURE):
                await hanging
            async with asyncio.timeout(5):
                while not leaves_of(victim.id):
                    await survivor.wait_for_next(5)

        # uvicorn starts another one, which accepts connections when it shares the realm.
        async with joined_elsewhere(server, here) as (newcomer, process):
            assert process != there
            await newcomer.register("victim.echo")
            assert await survivor.call("victim.echo", 3) == 3
        assert await survivor.call("chaos.process") == here
        assert leaves_of(victim.id) == 1
