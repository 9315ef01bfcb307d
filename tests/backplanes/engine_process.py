"""The process of an engine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

# The longest time in seconds that a start takes.
_START_TIMEOUT = 15.0
_POLL_INTERVAL = 0.01
_ATTEMPTS = 3


class Engine:
    """The process of an engine, which listens on the same port each time it is started."""

    def __init__(self, command: Callable[[int], Sequence[str]], log: Path, port: int = 0) -> None:
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port

    def start(self) -> None:
        """Start it, and wait until it accepts connections; raise RuntimeError with its log otherwise."""
        for _ in range(1 if self.port else _ATTEMPTS):
            port = self.port or free_port()
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command(port), stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            if self._accepts(port):
                self.port = port
                return
            # Another process may have taken the port.
            self.kill()
        raise RuntimeError(f"the engine did not start; its log:\n{self._log.read_text(errors='replace')}")

    def _accepts(self, port: int) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(_POLL_INTERVAL)
            else:
                return self._process.poll() is None
        return False

    def freeze(self) -> None:
        """Stop it from doing anything, as if it hung."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        # The signal takes a moment to stop all threads.
        os.waitpid(self._process.pid, os.WUNTRACED)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it, if it is running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def running(self) -> bool:
        return self._process is not None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
