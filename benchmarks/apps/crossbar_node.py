"""A node of Crossbar.io, run by the Python of Crossbar.io's own environment.

The node has a controller process, and a worker process that routes. The worker imports this file, too,
for the component that it hosts.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from autobahn.twisted.wamp import ApplicationSession

#: The worker writes its process ID into this file of the node's directory.
WORKER = "worker.pid"


class Procedures(ApplicationSession):
    """A component in the process of the router; it has the procedure ``echo``."""

    def onJoin(self, details: Any) -> Any:
        Path(self.config.extra[WORKER]).write_text(str(os.getpid()))
        return self.register(lambda value: value, "echo")


def configuration(port: int, folder: Path) -> dict[str, Any]:
    """Return the configuration of a node with one worker, whose realms allow everything."""
    everything = {
        "uri": "",
        "match": "prefix",
        "allow": {"call": True, "register": True, "publish": True, "subscribe": True},
        "cache": True,
    }
    roles = [{"name": "anonymous", "permissions": [everything]}]
    worker = {
        "type": "router",
        "options": {"pythonpath": [str(Path(__file__).parent)]},
        "realms": [{"name": name, "roles": roles} for name in ("default", "router")],
        "components": [
            {
                "type": "class",
                "classname": f"{Path(__file__).stem}.{Procedures.__name__}",
                "realm": "default",
                "role": "anonymous",
                "extra": {WORKER: str(folder / WORKER)},
            }
        ],
        "transports": [
            {
                "type": "websocket",
                "endpoint": {"type": "tcp", "port": port, "interface": "127.0.0.1"},
                "serializers": ["json"],
            }
        ],
    }
    return {"version": 2, "controller": {}, "workers": [worker]}


def serve(folder: Path) -> None:
    """Run a node, print its port and the process ID of its worker, and wait until the node ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "config.json").write_text(json.dumps(configuration(port, folder)))
    crossbar = Path(sys.executable).with_name("crossbar")
    command = [str(crossbar), "start", "--cbdir", str(folder), "--loglevel", "error"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as node:
        try:
            wait_until_open(port, node)
            print(port, (folder / WORKER).read_text(), flush=True)
            node.wait()
        finally:
            node.terminate()


def wait_until_open(port: int, node: subprocess.Popen[bytes]) -> None:
    """Wait until the port accepts connections; exit if the node ends or takes more than 30 seconds."""
    for _ in range(300):
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        if node.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit("Crossbar.io did not start")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with tempfile.TemporaryDirectory() as name:
        serve(Path(name))
