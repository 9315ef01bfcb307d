"""Routers of other projects, each in a process of its own, with one realm and one user."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey

from benchmarks.peers import ENVIRONMENTS
from tests.clients.server_process import POLL_INTERVAL

REALM = "office"
AUTHID, ROLE = "joe", "clerk"
SECRET = "sesame, open"
#: Another user, for whom Crossbar.io demands a key that is derived with a salt.
SALTED = "ann"
PRIVATE_KEY = bytes(range(32)).hex()
PUBLIC_KEY = bytes(SigningKey(bytes.fromhex(PRIVATE_KEY)).verify_key).hex()

#: In seconds. Crossbar.io needs about five seconds on an idle machine.
_START_TIMEOUT = 40.0

#: Crossbar.io is tested if it is installed: at the path in the variable, or where ``make bench`` installs it.
CROSSBAR = Path(os.environ.get("CROSSBAR", ENVIRONMENTS / "crossbar" / "bin" / "crossbar"))


@dataclass(frozen=True)
class OtherRouter:
    """A running router, which listens on ``port`` at ``path``."""

    name: str
    port: int
    path: str
    process: subprocess.Popen[str]
    log: Path

    @property
    def url(self) -> str:
        """The URL for WAMP clients."""
        return f"ws://127.0.0.1:{self.port}{self.path}"

    def kill(self) -> None:
        """Kill the router and its workers."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def start_router(name: str, folder: Path) -> OtherRouter:
    """Start a router and wait until it accepts connections. Raises RuntimeError with its log."""
    return _start_xconn(folder) if name == "xconn" else _start_crossbar(folder)


def _start_xconn(folder: Path) -> OtherRouter:
    log = folder / "xconn.log"
    process = _start([sys.executable, "-m", "tests.client.xconn_router"], log, stdout=subprocess.PIPE)
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    router = OtherRouter("xconn", int(port or 0), "/ws", process, log)
    if not port:
        router.kill()
        raise RuntimeError(f"xconn has not started; its log:\n{log.read_text()}")
    return router


def _start_crossbar(folder: Path) -> OtherRouter:
    port, log = free_port(), folder / "crossbar.log"
    (folder / "config.json").write_text(json.dumps(_crossbar_configuration(port)))
    process = _start([str(CROSSBAR), "start", "--cbdir", str(folder)], log)
    router = OtherRouter("Crossbar.io", port, "/", process, log)
    deadline = time.monotonic() + _START_TIMEOUT
    while not _accepts(port):
        if process.poll() is not None or time.monotonic() > deadline:
            router.kill()
            raise RuntimeError(f"Crossbar.io has not started; its log:\n{log.read_text()}")
        time.sleep(POLL_INTERVAL)
    return router


def _start(command: Sequence[str], log: Path, stdout: int | None = None) -> subprocess.Popen[str]:
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
            text=True,
            # A group of its own, which has the worker processes, too.
            start_new_session=True,
        )


def _accepts(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def _crossbar_configuration(port: int) -> dict[str, Any]:
    everything = {
        "uri": "",
        "match": "prefix",
        "allow": {"call": True, "register": True, "publish": True, "subscribe": True},
        "disclose": {"caller": True, "publisher": True},
        "cache": True,
    }
    roles = [{"name": name, "permissions": [everything]} for name in ("anonymous", ROLE)]
    salted = {"salt": "some salt", "iterations": 100, "keylen": 32}
    users = {
        AUTHID: {"secret": SECRET, "role": ROLE},
        SALTED: {"secret": SECRET, "role": ROLE, **salted},
    }
    transport = {
        "type": "websocket",
        "endpoint": {"type": "tcp", "port": port, "interface": "127.0.0.1"},
        "serializers": ["json", "msgpack", "cbor"],
        "auth": {
            "anonymous": {"type": "static", "role": "anonymous"},
            "ticket": {"type": "static", "principals": {AUTHID: {"ticket": SECRET, "role": ROLE}}},
            "wampcra": {"type": "static", "users": users},
            "cryptosign": {
                "type": "static",
                "principals": {AUTHID: {"realm": REALM, "role": ROLE, "authorized_keys": [PUBLIC_KEY]}},
            },
        },
    }
    worker = {"type": "router", "realms": [{"name": REALM, "roles": roles}], "transports": [transport]}
    return {"version": 2, "controller": {}, "workers": [worker]}
