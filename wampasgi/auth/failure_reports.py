"""Reports to the application about failed authentications."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import anyio

from wampasgi.auth.failures import AuthenticationFailure
from wampasgi.injection.plan import HandlerPlan
from wampasgi.logs import about, logger_named
from wampasgi.metrics import Counts

logger = logger_named("wampasgi.auth")

#: The maximum number of failures that wait for the handler, or that it handles.
MAX_WAITING: Final = 100


class FailureReports:
    """Runs a realm's ``on_authentication_failed`` handler, for one failure at a time.

    Each connection that failed runs the handler itself, after ABORT, and has to wait for its turn. So the
    queue consists of tasks that the server waits for. It has a bound: further failures are dropped and
    counted, and the handler gets their number with the next one. Waiting and handler together have
    ``timeout`` seconds.
    """

    __slots__ = ("_counts", "_dropped", "_plan", "_timeout", "_turn", "_waiting")

    def __init__(self, plan: HandlerPlan, *, counts: Counts, timeout: float) -> None:
        self._plan = plan
        self._counts = counts
        self._timeout = timeout
        self._waiting = 0
        self._dropped = 0
        self._turn: anyio.Lock | None = None

    async def run(self, failure: AuthenticationFailure, provided: Mapping[str, Any]) -> None:
        """Run the handler for a failure, or drop the failure. Raises nothing but cancellation."""
        if self._waiting >= MAX_WAITING:
            self._drop()
            return
        if self._turn is None:
            # Not before, because a lock belongs to an event loop, and an application may be served by
            # several ones, one after the other.
            self._turn = anyio.Lock()
        self._waiting += 1
        begun = False
        try:
            with anyio.move_on_after(self._timeout) as scope:
                async with self._turn:
                    begun = True
                    await self._report(failure, provided)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._turn = None
        if scope.cancelled_caught and not begun:
            self._drop()
        elif scope.cancelled_caught:
            logger.error(
                "%s took longer than teardown_timeout=%s s and was cancelled",
                self._plan.name,
                self._timeout,
                extra=about(provided["session"]),
            )

    def _drop(self) -> None:
        self._dropped += 1
        self._counts.unreported_failures += 1

    async def _report(self, failure: AuthenticationFailure, provided: Mapping[str, Any]) -> None:
        dropped, self._dropped = self._dropped, 0
        try:
            await self._plan.call({**provided, "failure": failure, "dropped": dropped})
        except Exception:
            session = provided["session"]
            logger.exception("%s failed for %r", self._plan.name, session, extra=about(session))
