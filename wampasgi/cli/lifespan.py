"""Runs the lifespan of an ASGI application that no server runs."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio

from wampasgi.adapters import support_for_running_loop
from wampasgi.cli.errors import CommandError
from wampasgi.types import ASGIApp, ASGIEvent, Receive, Scope, Send


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[ASGIApp]:
    """Run the lifespan of an application, and yield the application with the state that its lifespan sets.

    An application that does not know lifespans is run without one. Raises CommandError if the startup or the
    shutdown fails.
    """
    lifespan = _Lifespan(app)
    async with support_for_running_loop(None).task_owner() as owner:
        owner.spawn(lifespan.run)
        with _kept_signal_handlers():
            await lifespan.finish("startup")
        try:
            yield lifespan.serve
        finally:
            # Also if the command is interrupted.
            with anyio.CancelScope(shield=True):
                await lifespan.finish("shutdown")


@contextmanager
def _kept_signal_handlers() -> Iterator[None]:
    """Restore the handlers of signals that an Application replaces at its startup.

    It closes all sessions when its server is shut down. Here, the command must end its own session first.
    """
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    handlers = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


class _Lifespan:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._state: dict[str, Any] = {}
        self._to_app, self._from_server = anyio.create_memory_object_stream[ASGIEvent](math.inf)
        self._answered = anyio.Event()
        self._has_started = False
        self._is_over = False
        self._failure: str | None = None

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application as a server does after the startup."""
        await self._app({**scope, "state": dict(self._state)}, receive, send)

    async def run(self) -> None:
        """Call the application for its lifespan."""
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        try:
            await self._app(scope, self._from_server.receive, self._send)
        except Exception as error:  # noqa: BLE001 - raised by finish
            # Before the end of the startup, an exception means that the application knows no lifespans.
            if self._has_started and self._failure is None:
                self._failure = str(error)
        finally:
            self._is_over = True
            self._answered.set()
            self._to_app.close()
            self._from_server.close()

    async def finish(self, phase: str) -> None:
        """Announce the startup or the shutdown, and wait until the application has finished it."""
        if not self._is_over:
            self._answered = anyio.Event()
            self._to_app.send_nowait({"type": f"lifespan.{phase}"})
            await self._answered.wait()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise CommandError(f"the {phase} of the app failed: {failure}")

    async def _send(self, event: ASGIEvent) -> None:
        if event["type"].endswith(".failed"):
            self._failure = event.get("message") or "it gave no reason"
        elif event["type"] == "lifespan.startup.complete":
            self._has_started = True
        self._answered.set()
