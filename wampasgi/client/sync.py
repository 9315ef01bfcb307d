"""A blocking session, for scripts, notebooks, Django views and threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack, overload

from anyio.from_thread import BlockingPortal, start_blocking_portal

from wampasgi.client.calls import CancelMode, ProgressCall
from wampasgi.client.client import Client, Options
from wampasgi.client.events import Event, Events
from wampasgi.client.history import OnGap
from wampasgi.client.registrations import Registration
from wampasgi.client.requester import BUFFER
from wampasgi.client.session import Invoke, Session
from wampasgi.client.supervisor import State
from wampasgi.client.waiting import DEFAULT
from wampasgi.client.welcome import WelcomedSession
from wampasgi.errors import CLOSE_REALM
from wampasgi.types import Handler, Match

if TYPE_CHECKING:
    from wampasgi.client.contract import Contract
    from wampasgi.client.handlers import Subscription

T = TypeVar("T")


@contextmanager
def connect_sync(
    url: str | None = None, *, portal: BlockingPortal | None = None, **options: Unpack[Options]
) -> Iterator[SyncSession]:
    """Open a session whose methods block, to be used with ``with``.

    The arguments are those of Client. An event loop in a thread of its own serves the session, so that it
    reconnects and runs handlers while the calling thread does something else. Several threads may use the
    session. ``portal``, an anyio BlockingPortal, is another event loop to use; sessions of the same ``app``
    must share one.
    """
    client = Client(url, **options)
    with ExitStack() as stack:
        if portal is None:
            portal = stack.enter_context(start_blocking_portal("asyncio", name="wampasgi client"))
        session = stack.enter_context(portal.wrap_async_context_manager(client))
        yield SyncSession(portal, session)


class SyncSession(WelcomedSession):
    """The blocking form of Session, which describes the methods. Plain functions can be handlers.

    Plain functions run in worker threads, so they may use the session.
    """

    def __init__(self, portal: BlockingPortal, session: Session) -> None:
        self._portal = portal
        #: The asynchronous session, for code that runs in the session's event loop, such as async handlers.
        self.session = session

    def __repr__(self) -> str:
        return f"<SyncSession {self.id} on realm {self.realm!r}, {self.state}>"

    @property
    def realm(self) -> str:
        """The URI of the realm."""
        return self.session.realm

    @property
    def id(self) -> int:
        """The session ID. It is another one after each reconnection."""
        return self.session.id

    @property
    def details(self) -> Mapping[str, Any]:
        """WELCOME.Details of the latest connection."""
        return self.session.details

    @property
    def state(self) -> State:
        """The state of the connection."""
        return self.session.state

    @overload
    def call(
        self,
        procedure: str,
        /,
        *args: Any,
        timeout: float | None = DEFAULT,
        result_type: type[T],
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> T: ...

    @overload
    def call(
        self,
        procedure: str,
        /,
        *args: Any,
        timeout: float | None = DEFAULT,
        result_type: Any = Any,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any: ...

    def call(
        self,
        procedure: str,
        /,
        *args: Any,
        timeout: float | None = DEFAULT,
        result_type: Any = Any,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call a procedure and return its result. See ``Session.call``."""
        call = partial(
            self.session.call,
            procedure,
            *args,
            timeout=timeout,
            result_type=result_type,
            options=options,
            **kwargs,
        )
        return self._portal.call(call)

    @contextmanager
    def call_progress(
        self,
        procedure: str,
        /,
        *args: Any,
        timeout: float | None = DEFAULT,
        result_type: Any = Any,
        progress_type: Any = Any,
        buffer: int = BUFFER,
        more: bool = False,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Iterator[SyncProgressCall]:
        """Call a procedure with progressive results. See ``Session.call_progress``."""
        make = partial(
            self.session.call_progress,
            procedure,
            *args,
            timeout=timeout,
            result_type=result_type,
            progress_type=progress_type,
            buffer=buffer,
            more=more,
            options=options,
            **kwargs,
        )
        call = self._portal.call(make)
        with self._portal.wrap_async_context_manager(call):
            yield SyncProgressCall(self._portal, call)

    def publish(
        self,
        topic: str,
        /,
        *args: Any,
        acknowledge: bool = False,
        timeout: float | None = DEFAULT,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> int | None:
        """Publish an event. See ``Session.publish``."""
        publish = partial(
            self.session.publish,
            topic,
            *args,
            acknowledge=acknowledge,
            timeout=timeout,
            options=options,
            **kwargs,
        )
        return self._portal.call(publish)

    @overload
    def subscribe(
        self,
        topic: str,
        /,
        *,
        match: Match = "exact",
        event_type: type[T],
        buffer: int = BUFFER,
        get_retained: bool = False,
        resume: bool = False,
        on_gap: OnGap | None = None,
        options: Mapping[str, Any] | None = None,
        timeout: float | None = DEFAULT,
    ) -> AbstractContextManager[SyncEvents[T]]: ...

    @overload
    def subscribe(
        self,
        topic: str,
        /,
        *,
        match: Match = "exact",
        event_type: Any = Any,
        buffer: int = BUFFER,
        get_retained: bool = False,
        resume: bool = False,
        on_gap: OnGap | None = None,
        options: Mapping[str, Any] | None = None,
        timeout: float | None = DEFAULT,
    ) -> AbstractContextManager[SyncEvents[Any]]: ...

    @overload
    def subscribe(
        self,
        topic: str,
        handler: Handler,
        /,
        *,
        match: Match = "exact",
        buffer: int = BUFFER,
        get_retained: bool = False,
        resume: bool = False,
        on_gap: OnGap | None = None,
        options: Mapping[str, Any] | None = None,
        timeout: float | None = DEFAULT,
    ) -> SyncSubscription: ...

    def subscribe(
        self,
        topic: str,
        handler: Handler | None = None,
        /,
        *,
        match: Match = "exact",
        event_type: Any = Any,
        buffer: int = BUFFER,
        get_retained: bool = False,
        resume: bool = False,
        on_gap: OnGap | None = None,
        options: Mapping[str, Any] | None = None,
        timeout: float | None = DEFAULT,
    ) -> Any:
        """Subscribe to a topic: ``with session.subscribe(topic) as events``.

        With a handler, ``session.subscribe(topic, handler)`` returns a SyncSubscription at once. See
        ``Session.subscribe``.
        """
        subscribe: Any = partial(
            self.session.subscribe,
            topic,
            match=match,
            buffer=buffer,
            get_retained=get_retained,
            resume=resume,
            on_gap=on_gap,
            options=options,
            timeout=timeout,
        )
        if handler is None:
            return self._subscribed(partial(subscribe, event_type=event_type))
        return SyncSubscription(self._portal, self._portal.call(subscribe, handler))

    @contextmanager
    def _subscribed(self, subscribe: Callable[[], Events[T]]) -> Iterator[SyncEvents[T]]:
        events = self._portal.call(subscribe)
        with self._portal.wrap_async_context_manager(events):
            yield SyncEvents(self._portal, events)

    def register(
        self,
        procedure: str,
        handler: Handler,
        /,
        *,
        match: Match = "exact",
        invoke: Invoke = "single",
        concurrency: int | None = None,
        options: Mapping[str, Any] | None = None,
        timeout: float | None = DEFAULT,
    ) -> SyncRegistration:
        """Register a procedure. See ``Session.register``."""
        register = partial(
            self.session.register,
            procedure,
            handler,
            match=match,
            invoke=invoke,
            concurrency=concurrency,
            options=options,
            timeout=timeout,
        )
        return SyncRegistration(self._portal, self._portal.call(register))

    def serve(self, implementation: object, /) -> list[SyncRegistration]:
        """Register the procedures of an implemented contract. See ``Session.serve``."""
        registrations = self._portal.call(self.session.serve, implementation)
        return [SyncRegistration(self._portal, registration) for registration in registrations]

    def use(self, contract: type[Contract]) -> Any:
        """Return an object whose methods call the procedures of a contract, and block.

        Methods with progressive results are generators. The type is Any, because the methods of the contract
        are coroutine functions.
        """
        from wampasgi.client.contract import blocking_caller

        return blocking_caller(self, contract)

    def close(self, reason: str = CLOSE_REALM) -> None:
        """Say GOODBYE and close the connection."""
        self._portal.call(self.session.close, reason)

    def wait_closed(self) -> None:
        """Wait until the session is over for good. See ``Session.wait_closed``."""
        self._portal.call(self.session.wait_closed)


class SyncProgressCall:
    """The blocking form of ProgressCall."""

    def __init__(self, portal: BlockingPortal, call: ProgressCall[Any, Any]) -> None:
        self._portal = portal
        self._call = call

    @property
    def procedure(self) -> str:
        """The URI of the procedure."""
        return self._call.procedure

    @property
    def dropped(self) -> int:
        """The number of progressive results that were dropped because the buffer was full."""
        return self._call.dropped

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        """Return the next progressive result; stop at the final one."""
        return _next(self._portal, self._call.__anext__)

    def result(self) -> Any:
        """Wait for the final result and return it."""
        return self._portal.call(self._call.result)

    def send(self, *args: Any, final: bool = False, **kwargs: Any) -> None:
        """Send further arguments; the last ones with ``final``. See ``ProgressCall.send``."""
        self._portal.call(partial(self._call.send, *args, final=final, **kwargs))

    def cancel(self, mode: CancelMode = "kill") -> None:
        """Send CANCEL. See ``ProgressCall.cancel``."""
        self._portal.call(self._call.cancel, mode)


class SyncEvents(Generic[T]):
    """The blocking form of Events."""

    def __init__(self, portal: BlockingPortal, events: Events[T]) -> None:
        self._portal = portal
        self._events = events

    @property
    def topic(self) -> str:
        """The topic or pattern."""
        return self._events.topic

    @property
    def dropped(self) -> int:
        """The number of events that were dropped because the buffer was full."""
        return self._events.dropped

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event[T]:
        """Wait for the next event, without a timeout."""
        event: Event[T] = _next(self._portal, self._events.__anext__)
        return event

    def next(self, *, timeout: float | None = None) -> Event[T]:
        """Wait for the next event. Raises Timeout after ``timeout`` seconds, by default the session's."""
        return self._portal.call(partial(self._events.next, timeout=timeout))


class SyncSubscription:
    """The blocking form of Subscription: a subscription with a handler."""

    def __init__(self, portal: BlockingPortal, subscription: Subscription) -> None:
        self._portal = portal
        self._subscription = subscription

    @property
    def topic(self) -> str:
        """The topic or pattern."""
        return self._subscription.topic

    @property
    def dropped(self) -> int:
        """The number of events that were dropped because the buffer was full."""
        return self._subscription.dropped

    def unsubscribe(self) -> None:
        """End the subscription. Events that wait are dropped; the one that is being handled goes on."""
        self._portal.call(self._subscription.unsubscribe)


class SyncRegistration:
    """The blocking form of Registration."""

    def __init__(self, portal: BlockingPortal, registration: Registration) -> None:
        self._portal = portal
        self._registration = registration

    @property
    def procedure(self) -> str:
        """The procedure or pattern."""
        return self._registration.procedure

    @property
    def match(self) -> str:
        """The match policy."""
        return self._registration.match

    @property
    def registration_id(self) -> int:
        """The registration ID on the current connection, 0 until the router has given one."""
        return self._registration.registration_id

    def unregister(self) -> None:
        """End the registration. Running invocations go on."""
        self._portal.call(self._registration.unregister)


_END = object()


def _next(portal: BlockingPortal, advance: Callable[[], Any]) -> Any:
    """Return the next item of an async iterator, or raise StopIteration."""

    async def following() -> Any:
        try:
            return await advance()
        except StopAsyncIteration:
            # It cannot leave a coroutine.
            return _END

    item = portal.call(following)
    if item is _END:
        raise StopIteration
    return item
