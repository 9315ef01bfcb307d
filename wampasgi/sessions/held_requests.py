"""Bounded queues of requests that have been read from a session and wait to be handled."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NamedTuple

import anyio

from wampasgi.configuration.handlers import Procedure
from wampasgi.limits import Limits
from wampasgi.protocol.messages import Call, Message
from wampasgi.sessions.changes import Changes


class HeldRequest(NamedTuple):
    """A request in a queue. ``size`` is 0 for a short message; ``procedure`` is set for a permitted call."""

    message: Message
    size: int
    #: The time at which a call with a timeout is over.
    deadline: float | None
    procedure: Procedure | None


class HeldRequests:
    """A queue of requests of one session, in the order in which they were read.

    It holds as many requests as the session may have in flight, and as many bytes. ``ahead`` is a queue whose
    requests count, too. A request that is added to a full queue stays in it, and the reader pauses.
    """

    __slots__ = ("_ahead", "_calls", "_changes", "_limits", "_queue", "size")

    def __init__(self, limits: Limits, changes: Changes, ahead: HeldRequests | None = None) -> None:
        self._limits = limits
        self._changes = changes
        self._ahead = ahead
        self._queue: deque[HeldRequest] = deque()
        # The request IDs of the calls. A client may use one again.
        self._calls: Counter[int] = Counter()
        #: The total size of the requests that came in long messages, in bytes.
        self.size = 0

    def __len__(self) -> int:
        return len(self._queue)

    def __contains__(self, request_id: int) -> bool:
        """Return whether a call with this request ID is held."""
        return request_id in self._calls

    def put(
        self, message: Message, size: int, *, procedure: Procedure | None = None, timed: bool = True
    ) -> Awaitable[None] | None:
        """Add a request; return an awaitable if nothing more may be read until it has been awaited.

        If the request is ``timed``, a call's timeout runs from now on.
        """
        full = self._excess >= 0 or self._over_bytes
        deadline = None
        if isinstance(message, Call):
            self._calls[message.request_id] += 1
            if timed and message.options.get("timeout", 0):
                deadline = anyio.current_time() + message.options["timeout"] / 1000
        self._queue.append(HeldRequest(message, size, deadline, procedure))
        self.size += size
        return self._room() if full else None

    def take(self) -> HeldRequest:
        """Remove the oldest request. The timeout of a call is reduced to the time that is left."""
        held = self._queue.popleft()
        self.size -= held.size
        self._changes.notify()
        message = held.message
        if not isinstance(message, Call):
            return held
        self._calls[message.request_id] -= 1
        if not self._calls[message.request_id]:
            del self._calls[message.request_id]
        if held.deadline is not None:
            left = max(1, round((held.deadline - anyio.current_time()) * 1000))
            held = held._replace(message=replace(message, options={**message.options, "timeout": left}))
        return held

    def remove(self, request_id: int) -> Call | None:
        """Remove the calls with this request ID, and return the first one."""
        if request_id not in self._calls:
            return None
        found = [held.message for held in self._queue if _is_call(held.message, request_id)]
        self.keep_only(lambda message: not _is_call(message, request_id))
        assert isinstance(found[0], Call)
        return found[0]

    def keep_only(self, wanted: Callable[[Message], bool]) -> None:
        """Drop the other requests."""
        self._queue = deque(held for held in self._queue if wanted(held.message))
        self.size = sum(held.size for held in self._queue)
        self._calls = Counter(
            held.message.request_id for held in self._queue if isinstance(held.message, Call)
        )
        self._changes.notify()

    def clear(self) -> None:
        """Drop all requests."""
        self.keep_only(lambda _: False)

    def next_deadline(self) -> float | None:
        """Return the time at which the next call is over."""
        return min((held.deadline for held in self._queue if held.deadline is not None), default=None)

    def expire(self, now: float) -> list[Call]:
        """Remove the calls whose time is over, and return them."""
        over = {
            held.message.request_id: held.message
            for held in self._queue
            if held.deadline is not None and held.deadline <= now and isinstance(held.message, Call)
        }
        for request_id in over:
            self.remove(request_id)
        return list(over.values())

    @property
    def _excess(self) -> int:
        """The number of requests over the limit; negative if there is room."""
        ahead = 0 if self._ahead is None else len(self._ahead)
        return len(self._queue) + ahead - self._limits.requests_in_flight

    @property
    def _over_bytes(self) -> bool:
        ahead = 0 if self._ahead is None else self._ahead.size
        return self.size + ahead > self._limits.requests_bytes

    async def _room(self) -> None:
        while self._queue and (self._excess > 0 or self._over_bytes):
            await self._changes.wait()


def _is_call(message: Message, request_id: int) -> bool:
    return isinstance(message, Call) and message.request_id == request_id
