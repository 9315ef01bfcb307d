"""The requests of one session that were read while an earlier one keeps the session busy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.lowlevel import checkpoint

from wampasgi.adapters import TaskOwner
from wampasgi.peers.peer import Peer
from wampasgi.protocol.messages import Message
from wampasgi.sessions.changes import Changes
from wampasgi.sessions.held_requests import HeldRequests


class Backlog:
    """Handles requests in order while the session is read on, so that its end and CANCEL are noticed.

    A request begins a backlog if later ones must wait for it, for example because an authorizer is asked. A
    task of ``owner`` waits for it, and then passes the requests that were held meanwhile to ``handle``.
    ``fail`` gets the exceptions, and ``on_done`` is called when no request is left.
    """

    __slots__ = (
        "_changes",
        "_current",
        "_fail",
        "_generation",
        "_handle",
        "_held",
        "_on_done",
        "_owner",
        "_peer",
        "busy",
    )

    def __init__(
        self,
        peer: Peer,
        owner: TaskOwner,
        held: HeldRequests,
        changes: Changes,
        *,
        handle: Callable[[Message], Awaitable[None] | None],
        fail: Callable[[Exception], None],
        on_done: Callable[[], None],
    ) -> None:
        self._peer = peer
        self._owner = owner
        self._held = held
        self._changes = changes
        self._handle = handle
        self._fail = fail
        self._on_done = on_done
        self._current: Message | None = None
        # Counts the tasks, because one that is given up goes on until the session ends.
        self._generation = 0
        #: True if requests must be held.
        self.busy = False

    def begin(self, message: Message, waiting: Awaitable[None]) -> None:
        """Hold further requests until ``waiting``, the rest of the work for ``message``, is done."""
        self.busy = True
        self._set_current(message, self._peer.turn.size_of(message))
        self._owner.spawn(self._work, self._generation, waiting)

    async def finish(self, lasting: Callable[[Message], bool], seconds: float) -> None:
        """Handle the ``lasting`` requests that are left, for at most ``seconds``, and drop all others."""
        self._held.keep_only(lasting)
        if self._current is not None and not lasting(self._current):
            self._generation += 1
            self._owner.spawn(self._work, self._generation, None)
        with anyio.move_on_after(seconds):
            while self.busy:
                await self._changes.wait()

    async def _work(self, generation: int, waiting: Awaitable[None] | None) -> None:
        turn = self._peer.turn
        try:
            while True:
                try:
                    if waiting is not None:
                        await waiting
                        waiting = None
                    if generation != self._generation or not self._next_is_due():
                        return
                    turn.left -= 1
                    if turn.left <= 0:
                        await checkpoint()
                        turn.begin()
                        continue
                    waiting = self._handle_next()
                except Exception as error:  # noqa: BLE001 - answered, or logged
                    waiting = None
                    self._fail(error)
        finally:
            if generation == self._generation:
                self._end()

    def _next_is_due(self) -> bool:
        if self._peer.ending is not None:
            # Our GOODBYE may have been sent meanwhile: no request is handled after it.
            self._held.clear()
        return len(self._held) > 0

    def _handle_next(self) -> Awaitable[None] | None:
        held = self._held.take()
        self._set_current(held.message, held.size)
        return self._handle(held.message)

    def _end(self) -> None:
        self.busy = False
        self._set_current(None, 0)
        self._on_done()
        self._changes.notify()

    def _set_current(self, message: Message | None, size: int) -> None:
        self._current = message
        self._peer.turn.keep_size(message, size)
