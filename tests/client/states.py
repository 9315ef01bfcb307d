"""The states of a session, to wait for."""

from __future__ import annotations

import anyio

from wampasgi.client import Retry

QUICK = Retry(initial=0.01, maximum=0.05)


class States:
    """Records the states of a session, as its ``on_state``."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._changed = anyio.Event()

    def __call__(self, state: str) -> None:
        self.seen.append(state)
        self._changed.set()
        self._changed = anyio.Event()

    async def wait_for(self, count: int, state: str) -> None:
        """Wait until a state was entered for the n-th time."""
        with anyio.fail_after(20):
            while self.seen.count(state) < count:
                await self._changed.wait()
