"""The server processes: one uvicorn for each app, on a core of its own if there are several."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[1]

CEILING = "ceiling"

APPS = {
    CEILING: "benchmarks.apps.ceiling",
    "wampasgi": "benchmarks.apps.wampasgi_app",
    "serverwamp": "benchmarks.apps.serverwamp_app",
    "fastapi-headless-wamp": "benchmarks.apps.headless_app",
}
PEERS = {"serverwamp": "serverwamp", "fastapi-headless-wamp": "fastapi_headless_wamp"}


@dataclass(frozen=True)
class Work:
    """Seconds in which a server used the CPU, and in which it waited for a CPU that others used."""

    spent: float
    wanted: float


@dataclass(frozen=True)
class Server:
    """A running server; its CPU times are those of its main thread, which runs the event loop."""

    app: str
    process: subprocess.Popen[str]
    port: int

    def worked(self) -> Work | None:
        """Return its CPU times since it started, or None if the system does not report them."""
        try:
            spent, wanted, _ = Path(f"/proc/{self.process.pid}/schedstat").read_text().split()
        except FileNotFoundError:
            return None
        return Work(int(spent) / 1e9, int(wanted) / 1e9)

    def resident_bytes(self) -> int:
        """Return its current memory; Linux only."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate()


class Servers:
    """Starts each app on first use, and stops all of them on exit.

    With ``pin``, and if the system supports it, the servers run on the first core, and this process, which
    runs the clients, on the others.
    """

    def __init__(self, *, pin: bool = True) -> None:
        self._pin = pin and hasattr(os, "sched_setaffinity")
        self._running: dict[str, Server] = {}
        self._core = -1

    def __enter__(self) -> Servers:
        if self._pin:
            cores = sorted(os.sched_getaffinity(0))
            if len(cores) > 1:
                self._core = cores[0]
                self._cores_before = cores
                os.sched_setaffinity(0, set(cores[1:]))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._running.values():
            server.stop()
        if self._core >= 0:
            os.sched_setaffinity(0, self._cores_before)

    def running(self, app: str) -> Server:
        """Return the server of an app, which all cases share."""
        if app not in self._running:
            self._running[app] = self._start(app)
        return self._running[app]

    def missing_peers(self) -> dict[str, str]:
        """Return the other frameworks that cannot be measured, each with the reason."""
        reasons = {}
        for app, package in PEERS.items():
            if importlib.util.find_spec(package) is None:
                python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
                reasons[app] = f"it is not installed for {python}"
                continue
            try:
                self.running(app)
            except RuntimeError as error:
                reasons[app] = str(error)
        return reasons

    @contextmanager
    def fresh(self, app: str) -> Iterator[Server]:
        """Start a server that has not been used, and stop it on exit."""
        server = self._start(app)
        try:
            yield server
        finally:
            server.stop()

    def _start(self, app: str) -> Server:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.serve", APPS[app], str(self._core)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        port = process.stdout.readline()
        if not port:
            process.communicate()
            raise RuntimeError(f"the server of {app} did not start; see its error output")
        return Server(app, process, int(port))
