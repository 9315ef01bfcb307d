"""Subscriptions: the events of a topic or pattern, for iteration or for a handler."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

import anyio

from wampasgi import event
from wampasgi.client.conversion import Converter
from wampasgi.client.errors import EventsDropped
from wampasgi.client.waiting import timed_out

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Event(event.Event, Generic[T]):
    """An event that a client has received.

    ``value`` is the payload, converted to the ``event_type`` of the subscription; without a type it has the
    form of a result: None, a single value or an RPCResult.
    """

    value: T = None  # type: ignore[assignment] # set from the payload


@dataclass(slots=True)
class _Gap:
    """Stands in the buffer for events that were dropped."""

    count: int


class EventBuffer(Generic[T]):
    """The events of one listener, at most ``size`` beside those that were missed during a reconnection.

    If the buffer is full, new events are dropped until there is room again. ``next`` raises EventsDropped at
    the place of the gap, after all events before it.
    """

    def __init__(self, topic: str, size: int, convert: Converter) -> None:
        self._topic = topic
        self._size = size
        self._convert = convert
        self._waiting: deque[Event[Any] | _Gap] = deque()
        # The number of missed events among them. They do not count.
        self._missed = 0
        self._arrived = anyio.Event()
        self._end: Callable[[], Exception] | None = None
        #: The number of events that were dropped so far.
        self.dropped = 0

    def __len__(self) -> int:
        return sum(not isinstance(item, _Gap) for item in self._waiting)

    def put(self, event: Event[Any], *, missed: bool = False) -> None:
        """Add an event, or drop it if the buffer is full.

        Events that were ``missed`` are never dropped, because they are in memory already.
        """
        waiting = self._waiting
        if missed:
            self._missed += 1
            waiting.append(event)
        elif len(waiting) - self._missed >= self._size:
            self.dropped += 1
            last = waiting[-1]
            if isinstance(last, _Gap):
                last.count += 1
            else:
                waiting.append(_Gap(1))
        else:
            waiting.append(event)
        self._wake()

    def end(self, error: Callable[[], Exception]) -> None:
        """Let ``next`` raise this error after the events that are waiting."""
        if self._end is None:
            self._end = error
        self._wake()

    def clear(self) -> None:
        """Drop the events that are waiting."""
        self._waiting.clear()
        self._missed = 0

    def _wake(self) -> None:
        self._arrived.set()

    async def next(self, timeout: float | None) -> Event[T]:
        """Wait for the next event. Raises Timeout, EventsDropped, InvalidResult, and the error of ``end``."""
        if not self._waiting and self._end is None:
            with anyio.move_on_after(timeout):
                while not self._waiting and self._end is None:
                    if self._arrived.is_set():
                        self._arrived = anyio.Event()
                    await self._arrived.wait()
        if not self._waiting:
            if self._end is not None:
                raise self._end()
            raise timed_out(timeout or 0, f"an event of {self._topic!r}")
        event = self._waiting.popleft()
        # It need not be one of them, but as many events may wait as before.
        self._missed = max(self._missed - 1, 0)
        if isinstance(event, _Gap):
            raise EventsDropped(self._topic, event.count, self._size)
        what = f"an event of {event.topic!r}"
        value = self._convert(event.args, event.kwargs, what)
        return Event(event.topic, event.args, event.kwargs, event.publication_id, event.details, value)


class Left(Exception):
    """Ends the iteration over events after their ``async with`` block."""


class Events(Generic[T]):
    """The events of one subscription, made by ``Session.subscribe``.

    Enter it to subscribe, and iterate over it. Leaving it unsubscribes. It has the events that arrive in
    between, across reconnections. An event goes to one of the tasks that iterate over the same object.

    At most ``buffer`` events wait. If they are read too slowly, later events are dropped, and the iteration
    raises EventsDropped at their place. It can go on after that, as after InvalidResult.
    """

    def __init__(
        self,
        topic: str,
        join: Callable[[], Awaitable[Callable[[], Awaitable[None]]]],
        buffer: EventBuffer[T],
        timeout: float | None,
    ) -> None:
        #: The topic or pattern.
        self.topic = topic
        self._join = join
        self._buffer = buffer
        self._timeout = timeout
        self._leave: Callable[[], Awaitable[None]] | None = None
        self._entered = False

    @property
    def dropped(self) -> int:
        """The number of events that were dropped because the buffer was full."""
        return self._buffer.dropped

    async def __aenter__(self) -> Self:
        """Subscribe. Raises WAMPError if the router refuses it."""
        if self._entered:
            raise RuntimeError("Events can be entered only once: call subscribe again")
        self._entered = True
        self._leave = await self._join()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Unsubscribe."""
        self._buffer.end(Left)
        if self._leave is not None:
            leave, self._leave = self._leave, None
            await leave()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event[T]:
        """Wait for the next event, without a timeout.

        Raises ConnectionClosed at the end of the session, and WAMPError if the router has ended the
        subscription.
        """
        self._require_entered()
        try:
            return await self._buffer.next(None)
        except Left:
            raise StopAsyncIteration from None

    async def next(self, *, timeout: float | None = None) -> Event[T]:
        """Wait for the next event. Raises Timeout after ``timeout`` seconds, by default the session's."""
        self._require_entered()
        try:
            return await self._buffer.next(self._timeout if timeout is None else timeout)
        except Left:
            raise RuntimeError(f"the subscription to {self.topic!r} was left") from None

    def _require_entered(self) -> None:
        if not self._entered:
            raise RuntimeError("subscribe first: async with session.subscribe(topic) as events")


#: The number of publication IDs that are remembered, to recognise events that have been delivered.
MAX_SEEN: Final = 10_000


class SeenPublications:
    """The IDs of the latest publications that were delivered."""

    __slots__ = ("_ids",)

    def __init__(self) -> None:
        self._ids: dict[int, None] = {}

    def add(self, publication_id: int) -> bool:
        """Remember an ID. Return False if it is known already."""
        if publication_id in self._ids:
            return False
        self._ids[publication_id] = None
        if len(self._ids) > MAX_SEEN:
            del self._ids[next(iter(self._ids))]
        return True

    def __contains__(self, publication_id: int) -> bool:
        return publication_id in self._ids

    def __len__(self) -> int:
        return len(self._ids)
