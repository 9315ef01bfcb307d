"""Events for the server's own code: ``Realm.events``, ``Realm.subscribe`` and their subscriptions.

The realm's own session is a single subscriber of the broker, however many tasks listen.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeAlias, get_args
from warnings import warn

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from wampasgi.adapters import AsyncSupport, support_for_running_loop
from wampasgi.adapters.event_loop import EventLoopBinding
from wampasgi.configuration.handlers import Subscriber
from wampasgi.configuration.routes import refuse_glob
from wampasgi.errors import ConfigurationError
from wampasgi.event import Event
from wampasgi.logs import fields, logger_named
from wampasgi.protocol import messages
from wampasgi.protocol.uris import require_pattern
from wampasgi.router.broker import Broker, Subscription
from wampasgi.router.completion import Completion
from wampasgi.sessions.waiting import completed
from wampasgi.types import Match

logger = logger_named("wampasgi.router")

#: The event to drop when the buffer is full.
WhenFull: TypeAlias = Literal["drop_oldest", "drop_newest"]


class InterestHolder(Protocol):
    """The router, as far as it lets other workers know of this worker's interests."""

    def hold_interest(self, topic: str, match: Match) -> Completion[bool] | None:
        """Prepare for subscribers of a topic or pattern; see :meth:`Router.hold_interest`."""

    def release_interest(self, topic: str, match: Match) -> None:
        """End a ``hold_interest``."""


class ServerSubscriptions:
    """The subscriptions of the realm's own session, which is a single subscriber of the broker.

    ``session_id`` is the ID of that session. It subscribes to a topic with the first listener and
    unsubscribes with the last, unless the subscription has handlers. ``changed`` is called after either.
    """

    __slots__ = ("_broker", "_by_id", "_changed", "_interests", "_listeners", "_with_handlers", "session_id")

    def __init__(
        self,
        session_id: int,
        broker: Broker,
        *,
        changed: Callable[[], None],
        interests: InterestHolder | None = None,
    ) -> None:
        self.session_id = session_id
        self._interests = interests
        self._broker = broker
        self._changed = changed
        self._by_id: dict[int, Subscription] = {}
        self._listeners: dict[int, list[Events]] = {}
        # The IDs of the subscriptions that have handlers.
        self._with_handlers: set[int] = set()

    def keep(self, topic: str, match: Match) -> None:
        """Subscribe for handlers, permanently."""
        self._with_handlers.add(self._subscribe(topic, match).subscription_id)
        self._changed()

    def handled(self, subscription_id: int) -> Subscription | None:
        """Return the subscription if it has handlers."""
        return self._by_id[subscription_id] if subscription_id in self._with_handlers else None

    async def prepare(self, events: Events) -> None:
        """Wait until other workers send the events, too; ``release`` must follow."""
        if self._interests is not None:
            completion = self._interests.hold_interest(events.topic, events.match)
            if completion is not None:
                try:
                    await completed(completion)
                except BaseException:
                    self.release(events)
                    raise

    def release(self, events: Events) -> None:
        """Let other workers send no more events, unless others want them."""
        if self._interests is not None:
            self._interests.release_interest(events.topic, events.match)

    def add(self, events: Events) -> int:
        """Deliver events of its topic to ``events`` from now on; return the subscription ID."""
        subscription = self._subscribe(events.topic, events.match)
        self._listeners.setdefault(subscription.subscription_id, []).append(events)
        if events.get_retained:
            for message in self._broker.retained_events(self.session_id, subscription, most=events.buffer):
                events.put(_read(message, events.topic))
        self._changed()
        return subscription.subscription_id

    def remove(self, subscription_id: int, events: Events) -> None:
        """Deliver no more events to ``events``."""
        listeners = self._listeners[subscription_id]
        listeners.remove(events)
        if not listeners:
            del self._listeners[subscription_id]
            if subscription_id not in self._with_handlers:
                del self._by_id[subscription_id]
                self._broker.unsubscribe(self.session_id, subscription_id)
                self._changed()

    def take(self, message: messages.Event) -> Event:
        """Deliver an EVENT to all listeners of its subscription, and return it in the form for handlers."""
        subscription_id = message.subscription_id
        event = _read(message, self._by_id[subscription_id].topic)
        for events in self._listeners.get(subscription_id, ()):
            events.put(event)
        return event

    def _subscribe(self, topic: str, match: Match) -> Subscription:
        subscription = self._broker.subscribe(self.session_id, topic, match)
        self._by_id[subscription.subscription_id] = subscription
        return subscription


def _read(message: messages.Event, topic: str) -> Event:
    # Copies, because other listeners get the same event, and clients get the same lists.
    args, kwargs = tuple(message.args or ()), dict(message.kwargs or {})
    if message.payload is not None:
        args = (message.payload,)
    topic = message.details.get("topic", topic)
    return Event(topic, args, kwargs, message.publication_id, message.details)


class Events:
    """The events of a topic or a pattern of topics, during the ``async with`` of ``Realm.events``.

    Iterate over it with ``async for``: the events come in the order of their publication. If several tasks
    iterate, each event goes to one of them.
    """

    __slots__ = (
        "_event_loop",
        "_overflowing",
        "_receiver",
        "_sender",
        "_subscription_id",
        "_subscriptions",
        "_when_full",
        "buffer",
        "dropped",
        "get_retained",
        "match",
        "topic",
    )

    def __init__(
        self,
        subscriptions: ServerSubscriptions,
        topic: str,
        match: Match,
        *,
        buffer: int,
        when_full: WhenFull,
        get_retained: bool = False,
        event_loop: EventLoopBinding | None = None,
    ) -> None:
        where = f"events of {topic!r}"
        refuse_glob(where, topic)
        require_pattern(where, topic, match)
        if type(buffer) is not int or buffer < 1:
            raise ConfigurationError(f"{where}: buffer is {buffer!r}, it must be a positive integer")
        if when_full not in get_args(WhenFull):
            raise ConfigurationError(
                f"{where}: when_full is {when_full!r}, it must be one of {', '.join(get_args(WhenFull))}"
            )
        self._subscriptions = subscriptions
        self._event_loop = event_loop or EventLoopBinding()
        self._when_full = when_full
        self._overflowing = False
        self._subscription_id: int | None = None
        self._sender: MemoryObjectSendStream[Event] | None = None
        self._receiver: MemoryObjectReceiveStream[Event] | None = None
        #: The topic, or the pattern of topics.
        self.topic = topic
        self.match: Match = match
        #: The maximum number of events in the buffer.
        self.buffer = buffer
        #: True if the iteration starts with the retained events.
        self.get_retained = get_retained
        #: The number of events dropped because the buffer was full.
        self.dropped = 0

    def __repr__(self) -> str:
        return f"<Events of {self.match} {self.topic!r}>"

    async def __aenter__(self) -> Self:
        if self._receiver is not None:
            raise RuntimeError(f"{self!r} was entered before: call realm.events(...) for each `async with`")
        self._event_loop.enter()
        self._sender, self._receiver = anyio.create_memory_object_stream[Event](self.buffer)
        try:
            await self._subscriptions.prepare(self)
        except BaseException:
            self._event_loop.leave()
            raise
        self._subscription_id = self._subscriptions.add(self)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if self._receiver is not None:
            self._receiver.close()
        self._event_loop.leave()

    def close(self) -> None:
        """Take no more events; the iteration ends after those in the buffer."""
        if self._subscription_id is None:
            return
        self._subscriptions.remove(self._subscription_id, self)
        self._subscriptions.release(self)
        self._subscription_id = None
        if self._sender is not None:
            self._sender.close()

    def put(self, event: Event) -> None:
        """Add ``event`` to the buffer; never waits."""
        assert self._sender is not None
        assert self._receiver is not None
        try:
            self._sender.send_nowait(event)
        except anyio.WouldBlock:
            self.dropped += 1
            if not self._overflowing:
                self._overflowing = True
                logger.warning(
                    "%r are read too slowly: the buffer of %s is full, and the %s are dropped from now on",
                    self,
                    self.buffer,
                    self._when_full.removeprefix("drop_"),
                    extra=fields(None, None, self.topic),
                )
            if self._when_full == "drop_oldest":
                self._receiver.receive_nowait()
                self._sender.send_nowait(event)
        else:
            # Only at half of the buffer: otherwise a reader that is slightly too slow would cause a warning
            # for each event.
            if self._overflowing and 2 * self._receiver.statistics().current_buffer_used <= self.buffer:
                self._overflowing = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._receiver is None:
            raise RuntimeError(f"{self!r} was not entered: iterate inside `async with realm.events(...)`")
        try:
            return await self._receiver.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            raise StopAsyncIteration from None


class LocalSubscription:
    """A handler in the server's own code for the events of a topic, during its ``async with``.

    ``Realm.subscribe`` makes it. Its ``async with`` owns the task that runs the handler. Leaving it takes no
    more events and waits until those in the buffer are handled, for at most ``teardown_timeout`` seconds. If
    it is left by an exception or by cancellation, it cancels the handler and waits for its end.
    """

    __slots__ = ("_context", "_events", "_provided", "_subscriber", "_support", "_teardown_timeout")

    def __init__(
        self,
        events: Events,
        subscriber: Subscriber,
        provided: Mapping[str, Any],
        *,
        async_support: AsyncSupport | None,
        teardown_timeout: float,
    ) -> None:
        self._events = events
        self._subscriber = subscriber
        self._provided = provided
        self._support = async_support
        self._teardown_timeout = teardown_timeout
        self._context: AbstractAsyncContextManager[None] | None = None

    def __repr__(self) -> str:
        return f"<LocalSubscription of {self._subscriber.plan.name} to {self.match} {self.topic!r}>"

    def __del__(self) -> None:
        # A call without `async with` would look like `realm.register`, and do nothing.
        if getattr(self, "_context", self) is None:
            warn(
                f"{self!r} was never entered: write `async with realm.subscribe(...)`",
                RuntimeWarning,
                stacklevel=1,
            )

    @property
    def topic(self) -> str:
        """The topic, or the pattern of topics."""
        return self._events.topic

    @property
    def match(self) -> Match:
        """The match policy: exact, prefix or wildcard."""
        return self._events.match

    @property
    def dropped(self) -> int:
        """The number of events dropped because the buffer was full."""
        return self._events.dropped

    def close(self) -> None:
        """Take no more events; those in the buffer are still handled."""
        self._events.close()

    async def __aenter__(self) -> Self:
        if self._context is not None:
            raise RuntimeError(
                f"{self!r} was entered before: call realm.subscribe(...) for each `async with`"
            )
        self._context = self._handling()
        await self._context.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._context is not None
        return await self._context.__aexit__(exc_type, exc, traceback)

    @asynccontextmanager
    async def _handling(self) -> AsyncGenerator[None, None]:
        handled = anyio.Event()
        failure: Exception | None = None
        async with self._events, support_for_running_loop(self._support).task_owner() as owner:
            owner.spawn(self._handle, handled)
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised again below
                # Raised inside the task group, it would become an exception group.
                failure = error
            else:
                self._events.close()
                with anyio.move_on_after(self._teardown_timeout):
                    await handled.wait()
                if not handled.is_set():
                    logger.error(
                        "%r is ended: handling its last events took more than %s s",
                        self,
                        self._teardown_timeout,
                        extra=fields(None, None, self._events.topic),
                    )
        if failure is not None:
            raise failure

    async def _handle(self, handled: anyio.Event) -> None:
        async for event in self._events:
            await self._subscriber.handle(event, self._provided, f"publication {event.publication_id}")
        handled.set()
