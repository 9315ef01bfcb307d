"""The other frameworks in the comparison. They are ASGI applications and run on the same uvicorn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from benchmarks.programs import Program, on_uvicorn

#: The cases in which frameworks are measured.
CALLS_AND_EVENTS = ("echo", "latency", "fan_out_100", "payload", "sessions")


@dataclass(frozen=True)
class Peer:
    """A framework. ``installed`` returns its version, or None if it is not installed."""

    program: Program
    cases: tuple[str, ...]
    installed: Callable[[], str | None]


def framework(name: str, app: str) -> Peer:
    """Return a framework; ``name`` is also the name of its distribution."""

    def installed() -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return Peer(on_uvicorn(name, app), CALLS_AND_EVENTS, installed)


PEERS: tuple[Peer, ...] = (
    framework("serverwamp", "serverwamp_app"),
    framework("fastapi-headless-wamp", "headless_app"),
)
