"""The server programs: an application, the WebSocket transport that serves it, and the command for both."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

#: uvicorn's default: the implementation that it selects itself.
UVICORN: Final = "auto"
PICOWS: Final = "wampasgi.transports.picows:WebSocketProtocol"


@dataclass(frozen=True)
class Program:
    """A program that serves WebSocket connections at ``path``.

    Its first line of output is a port, and the ID of the process whose CPU time and memory are measured.
    ``variables`` are added to its environment.
    """

    name: str
    command: tuple[str, ...]
    path: str = "/"
    variables: tuple[tuple[str, str], ...] = ()


def on_uvicorn(name: str, app: str, transport: str = UVICORN) -> Program:
    """Return the program that serves ``app``, a module of ``benchmarks.apps``, on uvicorn."""
    module = f"benchmarks.apps.{app}"
    return Program(name, (sys.executable, "-m", "benchmarks.serve", module, transport))


CEILING: Final = on_uvicorn("ceiling", "ceiling")
BARE_ON_PICOWS: Final = on_uvicorn("bare app on picows", "ceiling", PICOWS)
WAMPASGI: Final = on_uvicorn("wampasgi", "wampasgi_app")
WAMPASGI_ON_PICOWS: Final = on_uvicorn("wampasgi on picows", "wampasgi_app", PICOWS)
