"""The lifespan of an ASGI application that a client runs in memory."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import anyio

from wampasgi.adapters import TaskOwner
from wampasgi.client.errors import ConnectFailed
from wampasgi.client.waiting import timed_out
from wampasgi.types import ASGIApp, ASGIEvent

#: The longest wait for the end of an application whose startup has failed, in seconds.
_END_TIMEOUT: Final = 1.0


class Lifespan:
    """Starts an application and shuts it down. ``state`` is what its lifespan puts into the state."""

    def __init__(self, app: ASGIApp, timeout: float | None) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._timeout = timeout
        self._to_app: deque[str] = deque(["lifespan.startup"])
        self._wake = anyio.Event()
        self._started = anyio.Event()
        self._ended = anyio.Event()
        self._failure: str | None = None
        self._error: Exception | None = None

    async def start(self, owner: TaskOwner) -> None:
        """Start the application in a task of ``owner``. Raises ConnectFailed, and Timeout."""
        owner.spawn(self._run)
        await self._wait(self._started, "the startup of the application")
        if self._failure is not None:
            # It may raise the cause.
            with anyio.move_on_after(_END_TIMEOUT):
                await self._ended.wait()
            raise ConnectFailed(
                f"the application did not start: {self._failure}", retryable=False
            ) from self._error

    async def stop(self) -> None:
        """Shut the application down. Raises ConnectFailed if that fails, and Timeout."""
        self._to_app.append("lifespan.shutdown")
        self._wake.set()
        await self._wait(self._ended, "the shutdown of the application")
        if self._failure is not None:
            raise ConnectFailed(
                f"the application did not shut down: {self._failure}", retryable=False
            ) from self._error

    async def _wait(self, event: anyio.Event, what: str) -> None:
        with anyio.move_on_after(self._timeout):
            await event.wait()
        if not event.is_set():
            raise timed_out(self._timeout or 0, what)

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - raised by start or stop
            self._error = error
            self._failure = self._failure or f"{type(error).__name__}: {error}"
        finally:
            if not self._started.is_set():
                self._failure = self._failure or "it returned before its startup was complete"
            self._started.set()
            self._ended.set()

    async def _receive(self) -> ASGIEvent:
        while not self._to_app:
            self._wake = anyio.Event()
            await self._wake.wait()
        return {"type": self._to_app.popleft()}

    async def _send(self, event: ASGIEvent) -> None:
        kind = event["type"]
        if kind.endswith(".failed"):
            # The message of Starlette is a traceback, which the cause of the exception has, too.
            lines = str(event.get("message") or "").strip().splitlines()
            self._failure = lines[-1] if lines else kind
        if kind in ("lifespan.startup.complete", "lifespan.startup.failed"):
            self._started.set()
