"""The applications under attack. They differ in their limits."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.attacks.guarded_realms import add_guarded_realms
from wampasgi import Application, Limits

#: The payload of the events for clients that do not read, in bytes.
LARGE = 32_000

#: Limits under which a client that does not read is cut soon. A client of `overflowing` has more waiting than
#: its queue may hold. A client of `stuck` has room in its queue for everything that the tests send.
OVERFLOWING = Limits(outbound_bytes=256 * 1024, write_timeout=1, close_timeout=1)
STUCK = Limits(write_timeout=1, close_timeout=1)
FLOODED = Limits(pending_connections=100, pending_connections_per_address=60, handshake_timeout=4)


def note(line: str) -> None:
    """Add a line to the journal."""
    with Path(os.environ["WAMPASGI_TEST_JOURNAL"]).open("a") as journal:
        journal.write(f"{line}\n")


@asynccontextmanager
async def lifespan(app: Application) -> AsyncIterator[None]:
    note(f"pid {os.getpid()}")
    yield
    note("lifespan ended")


def new_app(limits: Limits) -> Application:
    app = Application(lifespan=lifespan, limits=limits)

    @app.topic("news")
    async def news() -> AsyncIterator[None]:
        yield

    @app.procedure("echo")
    async def echo(value: Any) -> Any:
        return value

    @app.procedure("sessions")
    async def sessions() -> int:
        return len(app.default_realm.sessions)

    @app.procedure("publish")
    async def publish(events: int) -> None:
        for _ in range(events):
            await app.publish("news", "x" * LARGE)

    @app.procedure("collect")
    async def collect() -> None:
        gc.collect()

    @app.procedure("note")
    async def add_note(line: str) -> None:
        note(line)

    return app


app = new_app(Limits())
overflowing = new_app(OVERFLOWING)
stuck = new_app(STUCK)
flooded = new_app(FLOODED)
guessed = new_app(Limits())
add_guarded_realms(guessed)
