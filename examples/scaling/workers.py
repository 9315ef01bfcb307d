"""The processes of the demonstration: workers, each of them a uvicorn."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# As docs/serving.md recommends.
OPTIONS = ("--ws", "wampasgi.transports.picows:WebSocketProtocol", "--ws-max-size", "262144")
#: Longest wait for a worker to accept connections, and to end, in seconds.
TIMEOUT = 20.0


class Worker:
    """A worker, which can be killed and started again. Its log lines are printed behind its name."""

    def __init__(self, name: str, backplane: str, tasks: asyncio.TaskGroup) -> None:
        self.name = name
        self.port = free_port()
        self._backplane = backplane
        self._tasks = tasks
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """The URL for its clients."""
        return f"ws://127.0.0.1:{self.port}/"

    async def start(self) -> None:
        """Start the process, and wait until it accepts connections. Raises RuntimeError if it ends."""
        options = ("--port", str(self.port), "--log-level", "warning", *OPTIONS)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uvicorn", "examples.scaling.app:app", *options),
            cwd=ROOT,
            env={**os.environ, "BACKPLANE": self._backplane},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._process = process
        self._tasks.create_task(self._print_log(process))
        async with asyncio.timeout(TIMEOUT):
            while not await is_open(self.port):
                if process.returncode is not None:
                    raise RuntimeError(f"{self.name} has ended with code {process.returncode}")
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        """End the process as ``kill -9`` does."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def stop(self) -> None:
        """End the process in order."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._process.wait()
        finally:
            self.kill()

    async def _print_log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            print(f"            {self.name} logs: {line.decode(errors='replace').rstrip()}", flush=True)


@asynccontextmanager
async def running_workers(backplane: str, number: int) -> AsyncIterator[list[Worker]]:
    """Start workers, and stop them at the end."""
    async with asyncio.TaskGroup() as tasks:
        workers = [Worker(f"worker {place}", backplane, tasks) for place in range(1, number + 1)]
        try:
            await asyncio.gather(*(worker.start() for worker in workers))
            yield workers
        finally:
            await asyncio.gather(*(worker.stop() for worker in workers))


async def is_open(port: int) -> bool:
    """Return whether a local port accepts connections."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def free_port() -> int:
    """Return the number of a local port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
