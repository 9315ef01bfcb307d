"""A session in JavaScript that a session in Python controls with calls."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients.autobahn_client import TIMEOUT

SCRIPT = Path(__file__).with_name("node") / "peer_client.mjs"


@contextmanager
def javascript_session(installed: Path, url: str, library: str, serializer: str) -> Iterator[str]:
    """Run a session of a library, and yield the prefix of its procedures; at the end, it must exit itself."""
    command = ["node", str(SCRIPT), str(installed), url, library, serializer]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert "ready" in process.stdout.readline()
            yield f"clients.{library}"
            process.stdin.close()
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()
