"""The messages of one WebSocket that the application has not received yet."""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop, Future, Task
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, Final

from wampasgi.peers.frames import Taker
from wampasgi.types import ASGIEvent

#: A message of this length, in characters or bytes, makes the client wait until it is received.
_LONG: Final = 64 * 1024


class Inbox:
    """Keeps messages in order, and passes them to tasks that receive them, or directly to a taker.

    ``pause`` is called if ``max_messages``, or one message of more than 64 KiB, wait to be received, and
    ``resume`` when none waits any more.
    """

    __slots__ = (
        "_context",
        "_end",
        "_left",
        "_loop",
        "_max_messages",
        "_messages",
        "_pause",
        "_receivers",
        "_resume",
        "_taker",
        "_task",
    )

    def __init__(
        self,
        loop: AbstractEventLoop,
        max_messages: int,
        *,
        pause: Callable[[], None],
        resume: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._max_messages = max_messages
        self._pause = pause
        self._resume = resume
        # None until a message has to wait, because idle connections have none.
        self._messages: deque[str | bytes] | None = None
        self._receivers: list[Future[None]] | None = None
        self._end: ASGIEvent | None = None
        # Takes messages while a task waits in receive_with.
        self._taker: Taker | None = None
        self._task: Task[Any]
        self._context: Context
        # What a taker has left to its task.
        self._left: object | None = None

    def read(self, parse: Callable[[int], None], nbytes: int) -> None:
        """Call ``parse(nbytes)``, which puts the messages that were read.

        If a task waits with a taker, that happens as if the task did it: in its context, and as the current
        task, so that the taker may use everything that needs one.
        """
        taker = self._taker
        if taker is None:
            parse(nbytes)
            return
        taker.begin_turn()
        loop, task = self._loop, self._task
        if asyncio.current_task(loop) is not None:
            # Not a callback of the event loop.
            self._context.run(parse, nbytes)
            return
        asyncio._enter_task(loop, task)  # noqa: SLF001 - for those who extend asyncio
        try:
            self._context.run(parse, nbytes)
        finally:
            asyncio._leave_task(loop, task)  # noqa: SLF001

    def put(self, data: str | bytes) -> None:
        """Pass on a message, or keep it."""
        if self._taker is not None:
            self._left = self._taker.take(data)
            if self._left is not None:
                self._taker = None
                self._wake()
            return
        if self._messages is None:
            self._messages = deque()
        self._messages.append(data)
        self._wake()
        if len(data) > _LONG or len(self._messages) >= self._max_messages:
            self._pause()

    def end(self, event: ASGIEvent) -> None:
        """Return this event from now on, after the messages that were kept."""
        if self._end is None:
            self._end = event
            self._wake()

    @property
    def ended(self) -> bool:
        """Return whether no more messages come."""
        return self._end is not None

    async def receive(self) -> Any:
        """Return the next message, or the event of the end."""
        while not self._messages and self._left is None and self._end is None:
            await self._woken()
        return self._next()

    async def receive_with(self, taker: Taker) -> Any:
        """Pass messages to ``taker`` until it leaves one, and return what it left."""
        while not self._messages and self._left is None and self._end is None:
            self._taker = taker
            task = asyncio.current_task()
            assert task is not None
            self._task = task
            self._context = copy_context()
            try:
                await self._woken()
            finally:
                self._taker = None
        return self._next()

    def _next(self) -> object:
        if self._left is not None:
            left, self._left = self._left, None
            return left
        if self._messages:
            data = self._messages.popleft()
            if not self._messages:
                self._resume()
            return data
        return self._end

    async def _woken(self) -> None:
        receiver = self._loop.create_future()
        if self._receivers is None:
            self._receivers = []
        self._receivers.append(receiver)
        await receiver

    def _wake(self) -> None:
        receivers, self._receivers = self._receivers, None
        for receiver in receivers or ():
            if not receiver.done():
                receiver.set_result(None)
