"""The engines that connect the workers: each is started for one run, on a free port."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final

#: Longest wait for an engine to accept connections, in seconds.
PATIENCE: Final = 10.0


@dataclass
class Engine:
    """A running engine. ``url`` is the URL for ``Application(backplane=...)``.

    ``command`` is empty if there is no program, as with Unix sockets.
    """

    url: str
    command: list[str] = field(default_factory=list)
    port: int | None = None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the program and wait until it accepts connections. Raises RuntimeError if it does not."""
        if not self.command:
            return
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert self.port is not None
        _wait_until_open(self.port, self.process)

    def kill(self) -> None:
        """End the program at once, as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@dataclass(frozen=True)
class EngineKind:
    """A kind of engine: its title, the program and the package that it needs, and how it is started."""

    title: str
    program: str | None
    package: str | None
    make: Callable[[Path], Engine]

    def missing(self) -> str | None:
        """Return the reason why this kind cannot be used here; None if it can."""
        if self.program is not None and path_of(self.program) is None:
            return f"{self.program} is not installed"
        if self.package is not None and find_spec(self.package) is None:
            return f"the Python package {self.package} is not installed"
        return None

    @contextmanager
    def running(self) -> Iterator[Engine]:
        """Start an engine, and end it on exit; its files are in a temporary folder."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scaling-")))
            engine = self.make(folder)
            stack.callback(engine.kill)
            engine.start()
            yield engine


def _unix(folder: Path) -> Engine:
    return Engine(f"unix:{folder}")


def _nats(folder: Path) -> Engine:
    port = _free_port()
    command = [path_of("nats-server") or "nats-server", "--addr", "127.0.0.1", "--port", str(port)]
    return Engine(f"nats://127.0.0.1:{port}", command, port)


def _redis(folder: Path) -> Engine:
    port = _free_port()
    command = [path_of("redis-server") or "redis-server", "--bind", "127.0.0.1", "--port", str(port)]
    command += ["--dir", str(folder), "--save", "", "--appendonly", "no"]
    return Engine(f"redis://127.0.0.1:{port}", command, port)


ENGINES: Final = {
    "unix": EngineKind("Unix sockets", None, None, _unix),
    "nats": EngineKind("NATS", "nats-server", "nats", _nats),
    "redis": EngineKind("Redis", "redis-server", "redis", _redis),
}


def path_of(program: str) -> str | None:
    """Return the path of a program, which may be in a folder for daemons; None if it is not installed."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} did not start")
