"""ASGI servers in processes of their own, each on a local port."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

# In seconds. A server starts within about one second on an idle machine.
START_TIMEOUT = 20.0
POLL_INTERVAL = 0.02

#: The WebSocket transport on picows, for uvicorn's option ``--ws``.
PICOWS = "wampasgi.transports.picows:WebSocketProtocol"

_UVICORN = ("uvicorn", "--host", "127.0.0.1", "--port", "{port}")
_HYPERCORN = ("hypercorn", "--bind", "127.0.0.1:{port}")
# A worker of granian 2.8 that has open WebSockets may hang when it is stopped.
_GRANIAN = (
    *("granian", "--host", "127.0.0.1", "--port", "{port}", "--interface", "asgi"),
    *("--workers-kill-timeout", "5"),
)

#: The kinds for tests of clients, which run on uvicorn's own WebSocket transport and on the one on picows.
BOTH_TRANSPORTS = ("uvicorn", "picows")

#: The command line of each kind of server, without the application.
SERVERS: dict[str, tuple[str, ...]] = {
    "uvicorn": _UVICORN,
    "uvicorn-asyncio": (*_UVICORN, "--loop", "asyncio"),
    "uvicorn-sansio": (*_UVICORN, "--ws", "websockets-sansio"),
    "uvicorn-wsproto": (*_UVICORN, "--ws", "wsproto"),
    "picows": (*_UVICORN, "--ws", PICOWS, "--loop", "uvloop"),
    "picows-asyncio": (*_UVICORN, "--ws", PICOWS, "--loop", "asyncio"),
    "hypercorn-asyncio": (*_HYPERCORN, "--worker-class", "asyncio"),
    "hypercorn-trio": (*_HYPERCORN, "--worker-class", "trio"),
    "granian": _GRANIAN,
    # Without worker processes, because these do not receive the signals sent to the server.
    "hypercorn-in-process": (*_HYPERCORN, "--workers", "0"),
}


class ServerProcess:
    """A running server.

    The served application writes notes to the file ``journal``.
    """

    def __init__(self, kind: str, app: str, folder: Path, port: int, options: Sequence[str] = ()) -> None:
        self.kind = kind
        self.journal = folder / "journal.txt"
        self.journal.touch()
        self._log = folder / "server.log"
        # Granian reports the configured port instead of the one that it listens on.
        self._reports_port = kind != "granian"
        self.port = port if port or self._reports_port else _free_port()
        command = [part.format(port=self.port) for part in SERVERS[kind]]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command, *options, app],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "WAMPASGI_TEST_JOURNAL": str(self.journal),
                    "PYTHONUNBUFFERED": "1",
                },
                # So that its workers receive the signals of the tests, but not those of the terminal.
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        """The URL for WAMP clients."""
        return f"ws://127.0.0.1:{self.port}/"

    @property
    def log(self) -> str:
        """The output of the server."""
        return self._log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Return whether the process is running."""
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Wait until it accepts connections; raise RuntimeError with its log if it ends or takes too long."""
        self._wait(self._is_ready, START_TIMEOUT)

    def wait_for_note(self, note: str, timeout: float = 5.0) -> None:
        """Wait until the application has written a line to its journal."""
        if not _poll(lambda: note in self.journal.read_text().splitlines(), timeout):
            raise AssertionError(
                f"no {note!r} in the journal within {timeout} s; it has:\n{self.journal.read_text()}"
            )

    def wait_for_exit(self, timeout: float) -> int:
        """Wait until the process ends and return its exit code; raise AssertionError after the timeout."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.kind} has not ended within {timeout} s; its log:\n{self.log}"
            ) from None

    def terminate(self) -> None:
        """Send SIGTERM without waiting for the process to end."""
        self._process.send_signal(signal.SIGTERM)

    def stop(self, timeout: float = 10.0) -> int:
        """Send SIGTERM and return the exit code; raise AssertionError if the process does not end in time."""
        try:
            self.terminate()
            return self.wait_for_exit(timeout)
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill the process and its workers if they are running."""
        if self.running:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _wait(self, condition: Callable[[], bool], timeout: float) -> None:
        if not _poll(lambda: not self.running or condition(), timeout):
            self.kill()
            raise RuntimeError(f"{self.kind} was not ready within {timeout} s; its log:\n{self.log}")
        if not self.running:
            raise RuntimeError(
                f"{self.kind} ended with code {self._process.returncode} before it was ready; "
                f"its log:\n{self.log}"
            )

    def _is_ready(self) -> bool:
        if self._reports_port:
            reported = re.search(r"https?://127\.0\.0\.1:(\d+)", self.log)
            if reported is None:
                return False
            self.port = int(reported[1])
        elif "Started worker" not in self.log:
            # Another process may have bound the port meanwhile and would accept the connection.
            return False
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False


def start_server(
    kind: str, app: str, folder: Path, port: int = 0, *, options: Sequence[str] = ()
) -> ServerProcess:
    """Start a server and wait until it accepts connections.

    By default, it listens on a free port. The options are added to its command line.
    """
    attempts = 3
    for attempt in range(attempts):
        server = ServerProcess(kind, app, folder, port, options)
        try:
            server.wait_until_ready()
        except RuntimeError:
            if "in use" not in server.log or attempt == attempts - 1:
                raise
        else:
            return server
    raise AssertionError("unreachable: the last attempt returns or raises")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _poll(condition: Callable[[], bool], timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_INTERVAL)
    return True
