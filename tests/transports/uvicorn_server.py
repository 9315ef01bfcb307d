"""A uvicorn process for each WebSocket transport, with options of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients.server_process import ServerProcess, start_server

_PICOWS = "wampasgi.transports.picows:WebSocketProtocol"

#: The options of uvicorn that select each transport.
TRANSPORTS: dict[str, tuple[str, ...]] = {
    "picows-uvloop": ("--ws", _PICOWS, "--loop", "uvloop"),
    "picows-asyncio": ("--ws", _PICOWS, "--loop", "asyncio"),
    # uvicorn's own, which `--ws auto` selects if `websockets` is installed.
    "uvicorn": ("--ws", "websockets-sansio"),
}


def start_uvicorn(kind: str, app: str, folder: Path, *options: str) -> ServerProcess:
    """Start a uvicorn with a transport and wait until it accepts connections on a free port.

    Options follow those of the transport, so that they replace them.
    """
    return start_server("uvicorn", app, folder, options=(*TRANSPORTS[kind], *options))


@contextmanager
def uvicorn_server(kind: str, app: str, folder: Path, *options: str) -> Iterator[ServerProcess]:
    """Serve an application while the context is open; raise AssertionError if the server does not end."""
    server = start_uvicorn(kind, app, folder, *options)
    try:
        yield server
        if server.running:
            server.stop()
    finally:
        server.kill()
