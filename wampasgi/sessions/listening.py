"""Events for code of the server: ``Realm.events`` and ``Realm.subscribe``, and the subscriptions they need.

The realm's own session is one subscriber of the broker's, however many tasks listen.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, get_args
from warnings import warn

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from wampasgi.adapters import AsyncSupport, support_for_running_loop
from wampasgi.configuration.handlers import Event, Subscriber
from wampasgi.errors import ConfigurationError
from wampasgi.logs import fields, logger_named
from wampasgi.protocol import messages
from wampasgi.protocol.uris import require_pattern
from wampasgi.router.broker import Broker, Subscription
from wampasgi.types import Match

logger = logger_named("wampasgi.router")

#: Which event is lost when the buffer is full.
WhenFull: TypeAlias = Literal["drop_oldest", "drop_newest"]


class ServerSubscriptions:
    """The subscriptions of the realm's own session, which is one subscriber of the broker's.

    ``session_id`` is that of the realm's own session. It subscribes to a topic with the first listener and
    unsubscribes with the last, unless handlers keep the subscription. ``changed`` is called after either.
    """

    __slots__ = ("_broker", "_by_id", "_changed", "_handled", "_listeners", "session_id")

    def __init__(self, session_id: int, broker: Broker, *, changed: Callable[[], None]) -> None:
        self.session_id = session_id
        self._broker = broker
        self._changed = changed
        self._by_id: dict[int, Subscription] = {}
        self._listeners: dict[int, list[Events]] = {}
        # Subscriptions that have handlers.
        self._handled: set[int] = set()

    def keep(self, topic: str, match: Match) -> None:
        """Subscribe for handlers: for good."""
        self._handled.add(self._subscribe(topic, match).subscription_id)
        self._changed()

    def handled(self, subscription_id: int) -> Subscription | None:
        """Return the subscription if it has handlers."""
        return self._by_id[subscription_id] if subscription_id in self._handled else None

    def add(self, events: Events) -> int:
        """Put events of its topic into ``events`` from now on; return the subscription ID."""
        subscription = self._subscribe(events.topic, events.match)
        self._listeners.setdefault(subscription.subscription_id, []).append(events)
        if events.get_retained:
            for message in self._broker.retained_events(self.session_id, subscription, most=events.buffer):
                events.put(_read(message, events.topic))
        self._changed()
        return subscription.subscription_id

    def remove(self, subscription_id: int, events: Events) -> None:
        """Put no more events into ``events``."""
        listeners = self._listeners[subscription_id]
        listeners.remove(events)
        if not listeners:
            del self._listeners[subscription_id]
            if subscription_id not in self._handled:
                del self._by_id[subscription_id]
                self._broker.unsubscribe(self.session_id, subscription_id)
                self._changed()

    def take(self, message: messages.Event) -> Event:
        """Put an EVENT into all listeners of its subscription, and return it as handlers get it."""
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
    # Copies: other listeners get the same event, and clients the same lists.
    args, kwargs = tuple(message.args or ()), dict(message.kwargs or {})
    if message.payload is not None:
        args = (message.payload,)
    topic = message.details.get("topic", topic)
    return Event(topic, args, kwargs, message.publication_id, message.details)


class Events:
    """The events of a topic, or a pattern of topics, while the ``async with`` of ``Realm.events`` lasts.

    Iterate over it with ``async for``: one at a time, in the order of their publication. Several tasks may;
    each event goes to one of them.
    """

    __slots__ = (
        "_arriving",
        "_overflowing",
        "_subscription_id",
        "_subscriptions",
        "_waiting",
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
    ) -> None:
        where = f"events of {topic!r}"
        require_pattern(where, topic, match)
        if type(buffer) is not int or buffer < 1:
            raise ConfigurationError(f"{where}: buffer is {buffer!r}, it must be a whole number above zero")
        if when_full not in get_args(WhenFull):
            raise ConfigurationError(
                f"{where}: when_full is {when_full!r}, it must be one of {', '.join(get_args(WhenFull))}"
            )
        self._subscriptions = subscriptions
        self._when_full = when_full
        self._overflowing = False
        self._subscription_id: int | None = None
        self._arriving: MemoryObjectSendStream[Event] | None = None
        self._waiting: MemoryObjectReceiveStream[Event] | None = None
        #: The topic, or the pattern of topics.
        self.topic = topic
        self.match: Match = match
        #: How many events wait at most.
        self.buffer = buffer
        #: Whether the retained events come first.
        self.get_retained = get_retained
        #: How many events were lost because the buffer was full.
        self.dropped = 0

    def __repr__(self) -> str:
        return f"<Events of {self.match} {self.topic!r}>"

    async def __aenter__(self) -> Self:
        if self._waiting is not None:
            raise RuntimeError(f"{self!r} was entered before: call realm.events(...) for each `async with`")
        self._arriving, self._waiting = anyio.create_memory_object_stream[Event](self.buffer)
        self._subscription_id = self._subscriptions.add(self)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if self._waiting is not None:
            self._waiting.close()

    def close(self) -> None:
        """Take no more events; the iteration ends after those that wait."""
        if self._subscription_id is None:
            return
        self._subscriptions.remove(self._subscription_id, self)
        self._subscription_id = None
        if self._arriving is not None:
            self._arriving.close()

    def put(self, event: Event) -> None:
        """Let ``event`` wait for its reader; never waits itself."""
        assert self._arriving is not None
        assert self._waiting is not None
        try:
            self._arriving.send_nowait(event)
        except anyio.WouldBlock:
            self.dropped += 1
            if not self._overflowing:
                self._overflowing = True
                logger.warning(
                    "%r are read too slowly: %s wait, and from now on the %s are dropped",
                    self,
                    self.buffer,
                    self._when_full.removeprefix("drop_"),
                    extra=fields(None, None, self.topic),
                )
            if self._when_full == "drop_oldest":
                self._waiting.receive_nowait()
                self._arriving.send_nowait(event)
        else:
            # Only once it has caught up: a reader that is a little too slow would be logged with each event.
            if self._overflowing and 2 * self._waiting.statistics().current_buffer_used <= self.buffer:
                self._overflowing = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._waiting is None:
            raise RuntimeError(f"{self!r} was not entered: iterate inside `async with realm.events(...)`")
        try:
            return await self._waiting.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            raise StopAsyncIteration from None


class LocalSubscription:
    """A handler of the server's own for the events of a topic, while its ``async with`` lasts.

    ``Realm.subscribe`` makes it. Its ``async with`` owns the task that runs the handler: leaving it takes no
    more events and waits until those that wait are handled, for ``teardown_timeout`` seconds at most. Left by
    an exception or by cancellation, it cancels the handler and waits for its end.
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
        # Written as a plain call, it would look like `realm.register` and do nothing.
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
        """How many events were lost because the buffer was full."""
        return self._events.dropped

    def close(self) -> None:
        """Take no more events; those that wait are still handled."""
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
                # Out of the task group it would come as an exception group.
                failure = error
            else:
                self._events.close()
                with anyio.move_on_after(self._teardown_timeout):
                    await handled.wait()
                if not handled.is_set():
                    logger.error(
                        "%r is ended: its events took more than %s s",
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
