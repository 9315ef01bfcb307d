"""Workers: uvicorn processes that serve the application together, each on a port of its own."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.clients.server_process import ServerProcess

APP = "tests.chaos.app:app"


class WorkerProcess(ServerProcess):
    """A process that serves the application. ``environment`` is added to that of the tests."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], *, port: int = 0, options: tuple[str, ...] = ()
    ) -> None:
        folder.mkdir()
        settings = folder / "environment"
        settings.write_text("".join(f"{name}='{value}'\n" for name, value in environment.items()))
        super().__init__("picows", APP, folder, port, ("--env-file", str(settings), *options))

    def pause(self) -> None:
        """Stop the process as if it hung."""
        self._process.send_signal(signal.SIGSTOP)
        # The signal takes a moment to stop all threads.
        os.waitpid(self._process.pid, os.WUNTRACED)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._process.send_signal(signal.SIGCONT)


class Worker:
    """A worker, which can be started again on the same port after it has ended."""

    def __init__(
        self, name: str, url: str, folder: Path, *, version: int | None = None, **options: Any
    ) -> None:
        self.name = name
        self._folder = folder
        self._environment = {"CHAOS_BACKPLANE": url}
        if options:
            self._environment["CHAOS_OPTIONS"] = json.dumps(options)
        if version is not None:
            self._environment["CHAOS_VERSION"] = str(version)
        self._port = 0
        self._processes: list[WorkerProcess] = []

    def __repr__(self) -> str:
        return f"worker {self.name}"

    @property
    def process(self) -> WorkerProcess:
        """The process that was started last."""
        return self._processes[-1]

    @property
    def running(self) -> bool:
        """True if the process runs, also while it is paused."""
        return bool(self._processes) and self.process.running

    @property
    def url(self) -> str:
        """The URL for WAMP clients. It stays the same."""
        return self.process.url

    @property
    def log(self) -> str:
        """The output of all its processes."""
        return "".join(process.log for process in self._processes)

    def start(self) -> None:
        """Start it, and wait until it accepts sessions. Raises RuntimeError with its log if it ends."""
        folder = self._folder / f"{self.name}-{len(self._processes)}"
        self._processes.append(WorkerProcess(folder, self._environment, port=self._port))
        self.process.wait_until_ready()
        self._port = self.process.port

    def kill(self) -> None:
        """Kill it if it runs."""
        if self._processes:
            self.process.kill()
