"""The session that users of the client work with."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine, Mapping
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

import anyio

from wampasgi.client import calls
from wampasgi.client.calls import ProgressCall
from wampasgi.client.conversion import converter_for
from wampasgi.client.events import EventBuffer, Events
from wampasgi.client.history import OnGap
from wampasgi.client.registrations import Registration
from wampasgi.client.requester import BUFFER, check_uri, with_match
from wampasgi.client.subscriptions import Listener
from wampasgi.client.supervisor import State, Supervisor
from wampasgi.client.waiting import DEFAULT
from wampasgi.client.welcome import WelcomedSession
from wampasgi.errors import CLOSE_REALM, ConfigurationError, UnserializableValue
from wampasgi.injection.results import unwrap
from wampasgi.payload import Payload, split_payload
from wampasgi.protocol.messages import Published
from wampasgi.protocol.uris import VALID_URIS
from wampasgi.types import Handler, Match

if TYPE_CHECKING:
    from wampasgi.client.contract import Contract
    from wampasgi.client.handlers import Subscription

Invoke: TypeAlias = Literal["single", "roundrobin", "random", "first", "last"]

T = TypeVar("T")
P = TypeVar("P")
C = TypeVar("C", bound="Contract")


class Session(WelcomedSession):
    """A WAMP session, across all its connections.

    Made by :func:`~wampasgi.client.connect`. All ``timeout`` arguments are in seconds, by default the
    ``timeout`` of ``connect``; None means no limit. While the client reconnects, requests wait for the new
    connection.

    Requests raise WAMPError for an ERROR of the router or of a callee, Timeout, ConnectionLost if the
    connection ends before the answer, and ConnectionClosed after the end of the session.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._requester = supervisor.requester
        self._subscriptions = supervisor.subscriptions

    def __repr__(self) -> str:
        return f"<Session {self.id} on realm {self.realm!r}, {self.state}>"

    @property
    def realm(self) -> str:
        """The URI of the realm."""
        return self._supervisor.settings.realm

    @property
    def id(self) -> int:
        """The session ID. It is another one after each reconnection."""
        welcome = self._supervisor.welcome
        return 0 if welcome is None else welcome.session_id

    @property
    def details(self) -> Mapping[str, Any]:
        """WELCOME.Details of the latest connection."""
        welcome = self._supervisor.welcome
        return {} if welcome is None else welcome.details

    @property
    def state(self) -> State:
        """The state of the connection."""
        return self._supervisor.state

    # Calls

    @overload
    async def call(
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
    async def call(
        self,
        procedure: str,
        /,
        *args: Any,
        timeout: float | None = DEFAULT,
        result_type: Any = Any,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any: ...

    async def call(
        self,
        procedure: str,
        /,
        *args: Any,
        timeout: float | None = DEFAULT,
        result_type: Any = Any,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call a procedure and return its result.

        ``args`` and ``kwargs`` are the payload; pass one ``Payload`` if a keyword has the name of a parameter
        of this method. The result is None if it is empty, the value if it is a single positional argument,
        and an RPCResult otherwise. ``result_type`` is any type that pydantic can validate; the result is
        converted to it, and InvalidResult raised if it does not fit.

        If the timeout expires or the caller is cancelled, the call is canceled at the router, too.
        ``options`` are CALL.Options.
        """
        if type(procedure) is not str or not VALID_URIS["loose"][procedure]:
            check_uri("procedure", procedure)
        convert = None if result_type is Any else converter_for(result_type, "result_type")
        requester = self._requester
        limit = requester.timeout if timeout == DEFAULT else timeout
        positional, keywords = split_payload(args, kwargs) if Payload in map(type, args) else (args, kwargs)
        result = await calls.call(
            requester, procedure, positional, keywords, dict(options) if options else {}, limit
        )
        if convert is None:
            return unwrap(result.args or (), result.kwargs or {})
        return convert(result.args or (), result.kwargs or {}, f"the result of {procedure!r}")

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
    ) -> ProgressCall[Any, Any]:
        """Return a call with progressive results, to be used with ``async with`` and ``async for``.

        ``timeout`` limits the wait for each progressive result and for the final one. ``progress_type`` is
        the type of progressive results, like ``result_type`` for the final one. With ``more``, these are
        only the first arguments, and ``ProgressCall.send`` sends further ones.
        """
        check_uri("procedure", procedure)
        positional, keywords = split_payload(args, kwargs)
        given = dict(options or {})
        if more:
            given["progress"] = True
        return ProgressCall(
            self._requester,
            procedure,
            positional,
            keywords,
            given,
            timeout=self._requester.limit(timeout),
            buffer=_checked_buffer(buffer),
            convert_progress=converter_for(progress_type, "progress_type"),
            convert_result=converter_for(result_type, "result_type"),
        )

    # Publish and subscribe

    async def publish(
        self,
        topic: str,
        /,
        *args: Any,
        acknowledge: bool = False,
        timeout: float | None = DEFAULT,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> int | None:
        """Publish an event.

        With ``acknowledge``, wait until the router has accepted it and return the publication ID; without,
        nothing tells whether the router has refused it. ``options`` are PUBLISH.Options, such as
        ``exclude_me``, ``retain`` and ``eligible_authrole``.
        """
        check_uri("topic", topic)
        positional, keywords = split_payload(args, kwargs)
        given, requester = dict(options or {}), self._requester
        limit = requester.limit(timeout)
        what = partial("the acknowledgement of the event of {!r}".format, topic)
        if acknowledge or given.get("acknowledge"):
            given["acknowledge"] = True
            published: Published = await requester.request(
                lambda core, answer: core.publish(answer, topic, positional, keywords, given), limit, what
            )
            if given.get("exclude_me") is not False:
                self._subscriptions.own.add(published.publication_id)
            return published.publication_id
        link = requester.link or await requester.open_link(limit, what)
        raw = link.core.publish(None, topic, positional, keywords, given)
        try:
            await requester.send(link, raw, None, limit, what)
        except UnserializableValue:
            link.core.withdraw(raw[1])
            raise
        return None

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
    ) -> Events[T]: ...

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
    ) -> Events[Any]: ...

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
    ) -> Coroutine[Any, Any, Subscription]: ...

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
        """Subscribe to a topic or pattern: ``async with session.subscribe(topic) as events``.

        With a handler, ``await session.subscribe(topic, handler)`` returns a Subscription. The handler gets
        the payload of each event as its arguments, and can use ``Depends``; its parameter ``event`` gets the
        Event and ``session`` this session. It handles one event at a time. Its exceptions are logged and
        passed to ``on_error``.

        ``buffer`` is the greatest number of events that wait. ``event_type`` converts the payload of each
        event, see ``Event.value``. With ``get_retained``, the router also sends the event that it retains.
        With ``resume``, the events that were missed during a reconnection are fetched from the router's event
        history, and each is delivered once; ``on_gap`` is called if the history does not have all of them.
        ``options`` are SUBSCRIBE.Options.
        """
        check_uri("topic", topic, match)
        if inspect.iscoroutinefunction(on_gap):
            raise ConfigurationError(f"on_gap is {on_gap!r}: pass a plain function, which must not block")
        limit = self._requester.limit(timeout)
        events: EventBuffer[Any] = EventBuffer(
            topic, _checked_buffer(buffer), converter_for(event_type, "event_type")
        )
        listener = Listener(events, get_retained=get_retained, resume=resume, on_gap=on_gap)
        join = partial(self._subscriptions.join, topic, match, dict(options or {}), limit, listener)
        if handler is None:
            return Events(topic, join, events, limit)
        from wampasgi.client.handlers import Subscription, event_plan

        plan = event_plan(handler, Session)
        return Subscription(topic, events, plan, self, self._requester).open(join)

    # Procedures of this client

    async def register(
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
    ) -> Registration:
        """Register a procedure. It is registered again after each reconnection.

        The handler gets the payload of each call as its arguments, validated by their annotations, and can
        use ``Depends``; its parameter ``invocation`` gets the Invocation and ``session`` this session. It may
        be a coroutine function, an async generator function, whose RPCProgressReports are progressive
        results, or a plain function, which runs in a worker thread. What it returns is the result: None is
        empty, a tuple several values, and anything else one value. A WAMPError becomes the ERROR; other
        exceptions are logged and passed to ``on_error``, and the caller gets ``wamp.error.runtime_error``.

        ``invoke`` lets several clients share the procedure. ``concurrency`` is the greatest number of
        invocations that the router sends at the same time. ``options`` are REGISTER.Options.
        """
        check_uri("procedure", procedure, match)
        from wampasgi.client.handlers import procedure_plan

        given = with_match(options, match)
        if invoke != "single":
            given["invoke"] = invoke
        if concurrency is not None:
            given["concurrency"] = concurrency
        registration = Registration(
            self._requester,
            procedure,
            match,
            given,
            procedure_plan(handler, Session),
            {"session": self},
            self._supervisor.registrations.forget,
        )
        await self._supervisor.registrations.add(registration, self._requester.limit(timeout))
        return registration

    async def serve(self, implementation: object, /) -> list[Registration]:
        """Register the procedures of an implemented contract, see Contract.

        Raises WAMPError if the router refuses one of them, and unregisters those before it.
        """
        from wampasgi.client.contract import procedures_of

        registrations: list[Registration] = []
        try:
            for procedure, method in procedures_of(implementation):
                registrations.append(await self.register(procedure, method))
        except BaseException:
            with anyio.CancelScope(shield=True):
                for registration in registrations:
                    await registration.unregister()
            raise
        return registrations

    def use(self, contract: type[C]) -> C:
        """Return an object whose methods call the procedures of a contract, see Contract."""
        from wampasgi.client.contract import caller

        return caller(self, contract)

    # The end

    async def close(self, reason: str = CLOSE_REALM) -> None:
        """Say GOODBYE and close the connection. Leaving ``connect`` does it, too."""
        await self._supervisor.close(reason)

    async def wait_closed(self) -> None:
        """Wait until the session is over for good.

        If this side has not closed it, the reason is raised: ConnectionClosed, ConnectionLost, ConnectFailed,
        JoinRefused or RemoteProtocolError.
        """
        await self._supervisor.wait_closed()
        if self._supervisor.failure is not None:
            raise copy(self._supervisor.failure)


def _checked_buffer(buffer: int) -> int:
    if buffer < 1:
        raise ConfigurationError(f"buffer={buffer}: it must be at least 1")
    return buffer
