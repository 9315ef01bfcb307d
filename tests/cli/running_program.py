"""Runs the command line as a program that a test talks to: its input, its output so far, and Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.cli.program import TIMEOUT, Ended, environment
from tests.clients.server_process import POLL_INTERVAL


class Running:
    """A running ``wampasgi``, in pipes or in a pseudo terminal. Leaving its ``with`` block interrupts it.

    ``program`` is the beginning of the command line.
    """

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        terminal: bool = False,
        stdin: bytes | None = None,
        program: Sequence[str] = (sys.executable, "-m", "wampasgi"),
    ) -> None:
        self._terminal = terminal
        self._texts = {"stdout": "", "stderr": ""}
        self._changed = threading.Condition()
        ours, theirs = pty.openpty() if terminal else (None, None)
        self._ours = ours
        self._process = subprocess.Popen(
            [*program, *arguments],
            cwd=cwd,
            env=env or environment(COLUMNS="100"),
            stdin=theirs if terminal else subprocess.PIPE,
            stdout=theirs if terminal else subprocess.PIPE,
            stderr=theirs if terminal else subprocess.PIPE,
            start_new_session=True,
        )
        if ours is not None and theirs is not None:
            os.close(theirs)
            streams = {"stdout": ours}
        else:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            assert self._process.stderr is not None
            self._process.stdin.write(stdin or b"")
            self._process.stdin.close()
            streams = {"stdout": self._process.stdout.fileno(), "stderr": self._process.stderr.fileno()}
        self._readers = [
            threading.Thread(target=self._read, args=(name, stream)) for name, stream in streams.items()
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._process.poll() is None and exc is None:
                self.interrupt()
                self.end()
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self.end()
            self._close()

    def _close(self) -> None:
        if self._ours is not None:
            os.close(self._ours)
        for stream in self._process.stdout, self._process.stderr:
            if stream is not None:
                stream.close()

    def _read(self, name: str, stream: int) -> None:
        while True:
            try:
                data = os.read(stream, 65536)
            except OSError:
                # Linux reports the end of a terminal's output as an error.
                data = b""
            with self._changed:
                self._texts[name] += data.decode(errors="replace").replace("\r\n", "\n")
                self._changed.notify_all()
            if not data:
                return

    def wait_for(self, text: str, stream: str = "stdout", *, times: int = 1) -> None:
        """Wait until the program has written a text."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._texts[stream].count(text) >= times, TIMEOUT)
        assert found, f"no {text!r} in {self._texts}"

    def written(self, stream: str = "stdout") -> str:
        """Return the output so far."""
        with self._changed:
            return self._texts[stream]

    def type(self, text: str) -> None:
        """Type a line in the terminal."""
        assert self._ours is not None
        os.write(self._ours, f"{text}\n".encode())

    def interrupt(self) -> None:
        """Send SIGINT, as Ctrl-C does."""
        self.signal(signal.SIGINT)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self) -> Ended:
        """Wait until the program ends."""
        status = self._process.wait(TIMEOUT)
        for reader in self._readers:
            reader.join(TIMEOUT)
        return Ended(status, self._texts["stdout"], self._texts["stderr"])


def wait_until_listening(url: str) -> None:
    """Wait until the server of a URL accepts connections, which it does some time after its startup."""
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            socket.create_connection((address.hostname, address.port), timeout=TIMEOUT).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, f"nothing listens at {url}"
            time.sleep(POLL_INTERVAL)
        else:
            return


def plain(text: str) -> str:
    """Return the output of a terminal without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
