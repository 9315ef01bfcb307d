"""Events for the server's own subscribers."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from wampasgi.adapters import TaskOwner
from wampasgi.errors import InvalidArgument
from wampasgi.handlers import HandlerPlan
from wampasgi.logs import about, escaped, logger_named, shown

logger = logger_named("wampasgi.router")


@dataclass(frozen=True, slots=True)
class Event:
    """A publication, as the server's own subscribers and the test client see it."""

    #: The topic that was published to.
    topic: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    publication_id: int = 0
    #: EVENT.Details.
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A handler of the server's own for the events of a topic or a pattern of topics."""

    plan: HandlerPlan
    roles: frozenset[str] | None

    async def handle(self, event: Event, provided: Mapping[str, Any], source: object) -> None:
        """Run the handler for one event; what it raises is logged, for nobody waits for an answer.

        ``source`` is what the log names as the event's origin.
        """
        try:
            await self.plan.call({**provided, "event": event}, event.args, event.kwargs)
        except InvalidArgument as error:
            logger.warning(
                "an event of topic %s from %s does not fit %s: %s",
                shown(event.topic),
                source,
                self.plan.name,
                escaped(str(error)),
                extra=about(provided.get("session"), event.topic),
            )
        except Exception:
            logger.exception(
                "%s failed for topic %s, from %s",
                self.plan.name,
                shown(event.topic),
                source,
                extra=about(provided.get("session"), event.topic),
            )


class EventQueue:
    """The publications of one session that wait for the server's own subscribers, handled in order.

    One task handles them as long as there are any. The session that published them owns it, and waits for
    it when it ends.
    """

    __slots__ = ("_limit", "_owner", "_provided", "_room", "_waiting", "_working")

    def __init__(self, owner: TaskOwner, provided: Mapping[str, Any], *, limit: int) -> None:
        self._owner = owner
        self._provided = provided
        self._limit = limit
        # Made when there is something to wait, because most sessions publish nothing.
        self._waiting: deque[tuple[Subscriber, Event]] | None = None
        self._room: anyio.Event | None = None
        self._working = False

    def put(self, subscriber: Subscriber, event: Event) -> None:
        """Let ``subscriber`` handle ``event`` after the ones before."""
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append((subscriber, event))
        if not self._working:
            self._working = True
            self._owner.spawn(self._handle)

    @property
    def full(self) -> bool:
        """Whether as many events wait as may."""
        return self._waiting is not None and len(self._waiting) >= self._limit

    async def room(self) -> None:
        """Wait while it is ``full``."""
        while self.full:
            self._room = anyio.Event()
            await self._room.wait()

    async def empty(self) -> None:
        """Wait until all events are handled."""
        while self._working:
            self._room = anyio.Event()
            await self._room.wait()

    async def _handle(self) -> None:
        try:
            while self._waiting:
                subscriber, event = self._waiting.popleft()
                await subscriber.handle(event, self._provided, self._provided["session"])
                if self._room is not None:
                    self._room.set()
        finally:
            self._working = False
            if self._room is not None:
                self._room.set()
