"""A server that is attacked while a healthy client uses it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from tests.attacks.attacker import PATIENCE, Attacker
from tests.clients.server_process import ServerProcess
from tests.specification import CALL, RESULT
from tests.transports.uvicorn_server import TRANSPORTS, uvicorn_server

MIB: Final = 1024 * 1024
#: Bytes that the server may take for the work of an attack, beside what the attack makes it store.
OVERHEAD: Final = 24 * MIB
MAX_SIZE: Final = 256 * 1024
_POLL_INTERVAL: Final = 0.02

_LIMITED: Final = ("--ws-max-size", str(MAX_SIZE), "--timeout-graceful-shutdown", "15")
#: The options of each kind of server. Those of the first two are in docs/serving.md, "In production".
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "picows": (*TRANSPORTS["picows-uvloop"], *_LIMITED),
    "uvicorn": (*TRANSPORTS["uvicorn"], "--ws-per-message-deflate", "false", *_LIMITED),
    "uvicorn-default": TRANSPORTS["uvicorn"],
}
PRODUCTION: Final = ("picows", "uvicorn")


class Attack:
    """A server under attack. `report` ends the healthy client and prints the figures."""

    def __init__(self, name: str, server: ServerProcess) -> None:
        self._name = name
        self.server = server
        self.pid = _pid(server)
        self._healthy = _start_healthy_client(server.port)
        self._control = Attacker(server.port)
        self._control.join()
        self._requests = 0
        self.before = self.resident()
        self._sockets_before = _count_sockets(self.pid)

    def call(self, procedure: str, *args: object) -> object:
        """Call a procedure of the application and return its result."""
        self._requests += 1
        answer = self._control.request(CALL, self._requests, {}, procedure, list(args))
        assert answer[:2] == [RESULT, self._requests], answer
        return answer[3][0] if len(answer) > 3 and answer[3] else None

    def sessions(self) -> int:
        """Return the number of sessions, without the healthy client and that of this object."""
        sessions = self.call("sessions")
        assert isinstance(sessions, int)
        return sessions - 2

    def sockets(self) -> int:
        """Return the number of sockets that the server has opened since the attack began."""
        return _count_sockets(self.pid) - self._sockets_before

    def resident(self) -> int:
        """Return the resident memory of the server in bytes."""
        return _memory(self.pid, "VmRSS")

    def growth(self) -> int:
        """Return by how many bytes the memory of the server has grown at the peak."""
        return _memory(self.pid, "VmHWM") - self.before

    def report(self) -> None:
        """End the healthy client, which must have got all answers, and print the figures."""
        calls, longest = _stop_healthy_client(self._healthy)
        peak, after = _memory(self.pid, "VmHWM"), self.resident()
        sizes = " / ".join(f"{size / MIB:.0f}" for size in (self.before, peak, after))
        print(
            f"\n{self._name}: {calls} calls of a healthy client, the longest took {longest * 1000:.0f} ms; "
            f"RSS before / peak / after: {sizes} MiB"
        )

    def close(self) -> None:
        """Disconnect the clients."""
        self._control.__exit__(None, None, None)
        self._healthy.kill()
        self._healthy.communicate()


def wait_until(condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
    """Wait for a state; raise AssertionError after the timeout."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"the state has not been reached within {timeout} s"
        time.sleep(_POLL_INTERVAL)


@contextmanager
def attacked(name: str, kind: str, app: str, folder: Path, *options: str) -> Iterator[Attack]:
    """Serve an application of `attacked_app`, with a healthy client, while the context is open."""
    if sys.platform != "linux":
        pytest.skip("the memory and the sockets of the server are read from /proc")
    served = f"tests.attacks.attacked_app:{app}"
    transport = "uvicorn" if kind.startswith("uvicorn") else "picows-uvloop"
    with uvicorn_server(transport, served, folder, *KINDS[kind], *options) as server:
        attack = Attack(f"{name} ({kind})", server)
        try:
            yield attack
        finally:
            attack.close()


def _pid(server: ServerProcess) -> int:
    noted = re.search(r"^pid (\d+)$", server.journal.read_text(), re.MULTILINE)
    assert noted is not None
    return int(noted[1])


def _start_healthy_client(port: int) -> subprocess.Popen[str]:
    client = subprocess.Popen(
        [sys.executable, "-m", "tests.attacks.healthy_client", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdout is not None
    assert client.stdout.readline() == "ready\n"
    return client


def _stop_healthy_client(client: subprocess.Popen[str]) -> tuple[int, float]:
    figures, _ = client.communicate(timeout=PATIENCE)
    assert client.returncode == 0, "a healthy client has lost its connection"
    calls, longest = json.loads(figures)
    return calls, longest


def _memory(pid: int, field: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def _count_sockets(pid: int) -> int:
    count = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        # It may have been closed meanwhile.
        with suppress(FileNotFoundError):
            count += os.readlink(descriptor).startswith("socket:")
    return count
