"""Reports to the application about messages that slow clients have lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from wampasgi.adapters import TaskOwner
from wampasgi.injection.plan import HandlerPlan
from wampasgi.logs import about, logger_named

logger = logger_named("wampasgi.session")


class OverflowReports:
    """Runs a realm's ``on_overflow`` handler for one session, once for each overflow.

    An overflow begins when the queue of a client exceeds its limits. It ends when the client has caught up or
    its session ends. Messages lost while the handler runs are reported together afterwards. ``owner`` owns
    the task that runs the handler.
    """

    __slots__ = ("_dropped", "_idle", "_owner", "_plan", "_provided")

    def __init__(self, plan: HandlerPlan, owner: TaskOwner, provided: Mapping[str, Any]) -> None:
        self._plan = plan
        self._owner = owner
        self._provided = provided
        self._dropped = 0
        self._idle: anyio.Event | None = None

    def add(self, dropped: int) -> None:
        """Report the number of lost messages to the handler; never waits."""
        self._dropped += dropped
        if self._idle is None:
            self._idle = anyio.Event()
            self._owner.spawn_in_owner_context(self._report, self._idle)

    async def told(self) -> None:
        """Wait until all lost messages are reported."""
        if self._idle is not None:
            await self._idle.wait()

    async def _report(self, idle: anyio.Event) -> None:
        try:
            # Let the task that caused the overflow, such as a publisher's, finish first.
            await checkpoint()
            while self._dropped:
                dropped, self._dropped = self._dropped, 0
                try:
                    await self._plan.call({**self._provided, "dropped": dropped})
                except Exception:
                    session = self._provided["session"]
                    logger.exception("%s failed for %r", self._plan.name, session, extra=about(session))
        finally:
            self._idle = None
            idle.set()
