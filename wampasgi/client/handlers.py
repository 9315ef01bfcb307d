"""Handlers of a client: the plans of their arguments, and the subscriptions that run them.

This module imports pydantic, so it is imported when the first handler is registered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from wampasgi.adapters import Task
from wampasgi.client.blocking import BlockingWatch
from wampasgi.client.errors import EventsDropped
from wampasgi.client.events import Event, EventBuffer, Left
from wampasgi.client.registrations import Invocation
from wampasgi.client.requester import Requester
from wampasgi.errors import ConfigurationError
from wampasgi.injection.plan import HandlerPlan
from wampasgi.logs import logger_named
from wampasgi.types import Handler

logger = logger_named("wampasgi.client")


def procedure_plan(handler: Handler, session_type: type) -> HandlerPlan:
    """Return the plan of a procedure, which may have a parameter for the session.

    Raises ConfigurationError for a handler that cannot be called.
    """
    return HandlerPlan.read(
        handler,
        provided={"session": session_type, "invocation": Invocation},
        default_args={},
        takes_payload=True,
        whole_payload_in=("invocation",),
    )


def event_plan(handler: Handler, session_type: type) -> HandlerPlan:
    """Return the plan of a handler of events. Raises ConfigurationError if it cannot be called."""
    plan = HandlerPlan.read(
        handler,
        provided={"session": session_type, "event": Event},
        default_args={},
        takes_payload=True,
        whole_payload_in=("event",),
    )
    if plan.kind == "async_generator":
        raise ConfigurationError(
            f"{plan.description} is an async generator function: a handler of events must not yield"
        )
    return plan


class Subscription:
    """A subscription with a handler, made by ``Session.subscribe``."""

    def __init__(
        self,
        topic: str,
        events: EventBuffer[Any],
        plan: HandlerPlan,
        session: object,
        requester: Requester,
    ) -> None:
        #: The topic or pattern.
        self.topic = topic
        self._events = events
        self._plan = plan
        self._watch = BlockingWatch(plan.name)
        self._provided: Final = {"session": session}
        self._requester = requester
        self._leave: Callable[[], Awaitable[None]] | None = None
        self._task: Task | None = None

    @property
    def dropped(self) -> int:
        """The number of events that were dropped because the buffer was full."""
        return self._events.dropped

    async def open(self, join: Callable[[], Awaitable[Callable[[], Awaitable[None]]]]) -> Subscription:
        """Subscribe, and start to handle events. Raises WAMPError."""
        self._leave = await join()
        self._task = self._requester.owner.spawn_in_owner_context(self._run)
        return self

    async def unsubscribe(self) -> None:
        """End the subscription. Events that wait are dropped; the one that is being handled goes on."""
        self._events.end(Left)
        self._events.clear()
        if self._leave is not None:
            leave, self._leave = self._leave, None
            await leave()

    async def _run(self) -> None:
        while True:
            try:
                event = await self._events.next(None)
            except EventsDropped as dropped:
                logger.warning("%s", dropped)
                self._requester.report(dropped)
                continue
            except (Left, ConnectionError):
                return
            except Exception as error:  # noqa: BLE001 - logged: the subscription is over
                logger.warning("the subscription to %r is over: %s", self.topic, error)
                self._requester.report(error)
                return
            handlers, name = self._requester.handlers, self._plan.name
            handlers[name] += 1
            try:
                provided = {**self._provided, "event": event}
                await self._watch.run(self._plan.call(provided, event.args, event.kwargs))
            except Exception as error:
                logger.exception("%s failed for an event of %r", name, event.topic)
                self._requester.report(error)
            finally:
                handlers[name] -= 1
