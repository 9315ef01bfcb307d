"""Nodes of the Unix socket backplane for tests, in this process and in others."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio.abc import Process

from wampasgi.backplanes.local import LocalBackplane
from wampasgi.backplanes.unix_sockets import SocketDirectory

PATIENCE = 10.0
NAME = "chat"

# A node in a process of its own. It sends each frame that starts with "ping" back to node 1.
PROGRAM = """
import sys, anyio
from wampasgi.backplanes.local import LocalBackplane

class Sink:
    def received(self, frame):
        if frame.startswith(b"ping"):
            backplane.send(1, frame)
    def unreachable(self, node): pass
    def ended(self, node): pass
    def disconnected(self): pass
    def connected(self): pass

async def main():
    async with backplane.open(int(sys.argv[2]), Sink(), name="chat"):
        print("open", flush=True)
        await anyio.sleep_forever()

backplane = LocalBackplane(sys.argv[1])
anyio.run(main)
"""


class Recorder:
    """A sink that records its calls, in order."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.gone: list[int] = []
        self.calls: list[bytes | int] = []
        self.react: Callable[[bytes], None] = lambda frame: None
        self._changed = anyio.Event()

    def received(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.calls.append(frame)
        self._changed.set()
        self.react(frame)

    def ended(self, node: int) -> None:
        self.gone.append(node)
        self.calls.append(node)
        self._changed.set()

    def unreachable(self, node: int) -> None:
        raise AssertionError("the end of a process is certain")

    def disconnected(self) -> None:
        raise AssertionError("there is no engine to lose")

    def connected(self) -> None:
        raise AssertionError("there is no engine to find")

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(PATIENCE):
            while not condition():
                self._changed = anyio.Event()
                await self._changed.wait()

    async def until_frames(self, count: int) -> None:
        await self.until(lambda: len(self.frames) >= count)


class Node:
    """An open backplane and its sink."""

    def __init__(self, id: int, backplane: LocalBackplane) -> None:
        self.id = id
        self.backplane = backplane
        self.sink = Recorder()
        self.send = backplane.send
        self.broadcast = backplane.broadcast

    async def exchange_with(self, other: Node) -> None:
        """Return when each of two nodes has a connection to the other."""
        other.sink.react = lambda frame: other.send(self.id, frame) if frame == b"exchange" else None
        expected = len(self.sink.frames) + 1
        self.send(other.id, b"exchange")
        await self.sink.until_frames(expected)
        other.sink.react = lambda frame: None
        self.sink.frames.clear()
        other.sink.frames.clear()


@asynccontextmanager
async def opened(
    directory: Path, id: int, *, name: str = NAME, max_pending: int = 64 * 1024 * 1024
) -> AsyncIterator[Node]:
    node = Node(id, LocalBackplane(directory, max_pending=max_pending))
    async with node.backplane.open(id, node.sink, name=name):
        yield node


@asynccontextmanager
async def pair(directory: Path) -> AsyncIterator[tuple[Node, Node]]:
    async with opened(directory, 1) as one, opened(directory, 2) as two:
        await one.exchange_with(two)
        yield one, two


@asynccontextmanager
async def process(directory: Path, id: int) -> AsyncIterator[Process]:
    worker = await anyio.open_process([sys.executable, "-c", PROGRAM, str(directory), str(id)], stderr=None)
    try:
        assert worker.stdout is not None
        with anyio.fail_after(PATIENCE):
            assert (await worker.stdout.receive()).strip() == b"open"
        yield worker
    finally:
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                worker.kill()
            await worker.aclose()


def path_of(directory: Path, id: int) -> Path:
    return SocketDirectory(directory, NAME).path_of(id)


def open_files() -> list[str]:
    return sorted(os.listdir("/dev/fd"))


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        # Nothing reports changes of a directory or of another process.
        while not condition():  # noqa: ASYNC110
            await anyio.sleep(0.005)
