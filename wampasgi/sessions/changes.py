"""An event that can happen again and again, for the tasks of one session."""

from __future__ import annotations

import anyio


class Changes:
    """Wakes the tasks of one session that wait for a change."""

    __slots__ = ("awaited",)

    def __init__(self) -> None:
        #: The event that tasks wait for, or None.
        self.awaited: anyio.Event | None = None

    def notify(self) -> None:
        """Wake all tasks that wait now."""
        if self.awaited is not None:
            self.awaited.set()
            self.awaited = None

    async def wait(self) -> None:
        """Wait for the next change."""
        if self.awaited is None:
            self.awaited = anyio.Event()
        await self.awaited.wait()
