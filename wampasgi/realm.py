"""A realm: an ASGI sub-application with its own procedures, topics, sessions and permissions."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, cast

import anyio
from starlette.middleware import Middleware

from wampasgi.adapters import AsyncSupport
from wampasgi.auth import GateMiddleware
from wampasgi.configuration.authorization import Authorization
from wampasgi.configuration.handlers import Event, Procedure, Subscriber
from wampasgi.configuration.plan import (
    RealmPlan,
    compile_authenticators,
    compile_overflow_handler,
    compile_procedure,
    compile_procedures,
    compile_rpc_handler,
    compile_subscribers,
    compile_subscription_handler,
    compile_topics,
)
from wampasgi.configuration.routes import Route, RouteMatch, RouteTable
from wampasgi.configuration.settings import ConfiguresRealm, RealmSettings
from wampasgi.errors import (
    CLOSE_REALM,
    NO_SUCH_REGISTRATION,
    PROCEDURE_ALREADY_EXISTS,
    RUNTIME_ERROR,
    ConfigurationError,
    WAMPError,
)
from wampasgi.injection.cancellation import within
from wampasgi.injection.plan import Injection, describe
from wampasgi.injection.results import RPCErrorResult, unwrap
from wampasgi.limits import Limits
from wampasgi.metrics import Metrics
from wampasgi.peers.session import Session
from wampasgi.protocol.ids import random_id
from wampasgi.protocol.uris import check_uri, is_reserved, require_pattern
from wampasgi.router.permissions import roles_of
from wampasgi.router.publish_options import check_server_options
from wampasgi.router.router import Router
from wampasgi.rpc import RPCRequest
from wampasgi.serializers import MSGPACK
from wampasgi.sessions.endpoint import SessionEndpoint
from wampasgi.sessions.lifespan import LifespanHandlers
from wampasgi.sessions.listening import Events, LocalSubscription, WhenFull
from wampasgi.sessions.meta_calls import MetaCaller
from wampasgi.sessions.server_session import ServerSession
from wampasgi.types import ASGIApp, Handler, Match, Receive, Scope, Send


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationContext:
    """What a realm takes over from the application that it is added to."""

    app: Any
    limits: Limits
    async_support: AsyncSupport | None
    synchronize_requests: bool
    debug: bool


class Realm(ConfiguresRealm):
    """A realm of an application: its procedures, topics, authenticators, permissions and sessions.

    ``uri`` is what clients name in HELLO. ``middleware`` are Starlette Middleware objects around the sessions
    of this realm, outermost first: ASGI middleware for scope type ``wamp``. ``limits`` replace the
    application's for this realm. ``allow_anonymous`` lets clients in, as role ``anonymous``, that choose the
    method ``anonymous`` or offer none; by default a realm does so only where it has no authenticator, and
    with False it never does. ``client_procedures`` says whom the procedures that clients register are for:
    with ``"realm"`` for whoever is allowed to call them, with ``"session"`` every client can register the
    same ones, and only ``session.call`` of that very session reaches them.
    """

    def __init__(
        self,
        uri: str,
        *,
        middleware: Iterable[Middleware] = (),
        limits: Limits | None = None,
        allow_anonymous: bool | None = None,
        client_procedures: Literal["realm", "session"] = "realm",
    ) -> None:
        require_pattern(f"realm {uri!r}", uri, "exact")
        if client_procedures not in ("realm", "session"):
            raise ConfigurationError(
                f"realm {uri!r}: client_procedures is {client_procedures!r}, it must be realm or session"
            )
        #: The realm URI.
        self.uri = uri
        self._allow_anonymous = allow_anonymous
        self._context: ApplicationContext | None = None
        self._plan: RealmPlan | None = None
        self._router: Router[Session] = Router(
            now=utc_now, private_registrations=client_procedures == "session"
        )
        own_session = Session(
            session_id=random_id(), realm=self, realm_uri=uri, details={}, connection=None, peer=None
        )
        self._server = ServerSession(own_session, self._router)
        self._settings = RealmSettings(
            middleware=middleware,
            limits=limits,
            changed=self._forget_plan,
            keep_history=self._router.keep_history,
        )
        self._procedures_at_run_time: RouteTable[Procedure] = RouteTable()

    def __repr__(self) -> str:
        return f"<Realm {self.uri!r}>"

    @property
    def settings(self) -> RealmSettings:
        """The realm's configuration as it was given."""
        return self._settings

    @property
    def app(self) -> Any:
        """The application that the realm was added to."""
        return self._require_context().app

    @property
    def sessions(self) -> Mapping[int, Session]:
        """The open sessions by session id, as they are now."""
        return self._router.sessions

    def metrics(self) -> Metrics:
        """What the realm has done so far, in numbers: ``metrics["calls"]["results"]``.

        ``sessions``: ``open`` and ``opening`` now; those that ``joined``, were ``refused`` for a limit or
        ``aborted``. ``calls`` of clients: ``results``, ``errors``, ``canceled``. ``errors``: ERRORs ``sent``.
        ``events``: publications ``published`` and EVENTs ``sent``. ``overflows``: ``stretches`` in which a
        client read too slowly, and the messages ``dropped``. ``bytes`` of serialized messages: ``received``,
        ``sent``. ``router``: ``subscriptions`` and ``registrations`` of clients now.
        """
        return self._router.metrics()

    # Serving

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one session: the realm's middleware, its authenticators, then the session endpoint."""
        if scope["type"] != "wamp":
            raise ConfigurationError(
                f"realm {self.uri!r} serves sessions, not the ASGI scope type {scope['type']!r}: "
                f"serve an application that it is added to, Application([realm])"
            )
        plan: RealmPlan = scope["wamp.plan"]
        if plan.early_lifespan_handlers:
            return _serve_around(plan, scope, receive, send)
        return plan.app(scope, receive, send)

    # Calls and publications of the server's

    async def publish(
        self, topic: str, *args: Any, options: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> int:
        """Publish an event to all sessions that have subscribed to ``topic``, and return the publication id.

        ``args`` and ``kwargs`` are the payload, ``options`` those of PUBLISH in the specification's names,
        such as ``{"eligible_authrole": ["staff"]}`` or ``{"retain": True}``. Never waits for a subscriber. A
        value that the serializer of a subscriber cannot carry is logged, and these subscribers get nothing.
        An event that is kept, as a retained one or in a history, is kept as it is now; one that cannot be
        serialized then raises UnserializableValue. A wrong topic or option raises ValueError.
        """
        plan = self.plan()
        if not check_uri(topic):
            raise ValueError(f"topic {topic!r} is no valid URI")
        options, payload = check_server_options(options) if options else {}, (list(args), kwargs)
        if self._router.broker.stores(topic, options):
            # The objects may change later, and one that no client can be sent would spoil a whole history.
            payload = cast(Any, MSGPACK.decode(MSGPACK.encode([*payload])))
        return await self._server.publish(plan, topic, options, *payload)

    async def call(self, procedure: str, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Call a procedure of the realm's own, one that a client has registered or one of the meta API.

        ``timeout`` is in seconds. Returns the result: None without arguments, the value where there is one
        positional argument and nothing else, an RPCResult otherwise. Progress reports are dropped. Raises
        WAMPError for an ERROR, ``wamp.error.timeout`` and ``wamp.error.no_such_procedure`` among them, and
        what the handler raises. A call that is given up is cancelled at the client that handles it.
        """
        plan = self.plan()
        found = plan.answering(procedure)
        if is_reserved(procedure):
            caller = MetaCaller(self._server.session, plan)
            outcome = await within(timeout, caller.call(procedure, args, kwargs))
            self._router.conclude(outcome)
            return unwrap(outcome.args, outcome.kwargs)
        if not isinstance(found, Procedure):
            return await self._server.call(procedure, args, kwargs, timeout=timeout)
        session = self._server.session
        request = None
        if found.wants_request:
            request = RPCRequest(id=0, session=session, uri=procedure, args=args, kwargs=kwargs)
        result = await within(timeout, found.invoke(request, args, kwargs, plan.provided_for(session), None))
        if isinstance(result, RPCErrorResult):
            raise WAMPError(result.error_uri, *result.args, **result.kwargs)
        return unwrap(result.args, result.kwargs)

    async def call_session(
        self,
        session_id: int,
        procedure: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        timeout: float | None,
    ) -> Any:
        """Call a procedure that one session has registered; ``Session.call`` is the way to write it."""
        return await self._server.call(procedure, args, kwargs, timeout=timeout, only=session_id)

    def subscribe(
        self,
        topic: str,
        handler: Handler,
        *,
        match: Match = "exact",
        buffer: int = 1000,
        when_full: WhenFull = "drop_oldest",
        get_retained: bool = False,
    ) -> LocalSubscription:
        """Handle the events of a topic, or a pattern of topics, while the ``async with`` of this lasts.

        ``handler`` is one as ``subscriber`` decorates, but permits no client to publish; its ``session`` is
        the realm's own. It gets what clients, the server and the router publish, one event at a time and in
        order. ``buffer`` events wait for it at most; ``when_full`` says which is dropped then:
        ``"drop_oldest"`` or ``"drop_newest"``. With ``get_retained`` it first gets what is retained, the
        newest ``buffer`` events at most. Raises ConfigurationError for what cannot be.
        """
        events = self.events(
            topic, match=match, buffer=buffer, when_full=when_full, get_retained=get_retained
        )
        plan = self._injection().read(handler, {"event": Event}, takes_payload=True)
        realm_plan = self.plan()
        return LocalSubscription(
            events,
            Subscriber(plan, None),
            realm_plan.provided_for(self._server.session),
            async_support=realm_plan.async_support,
            teardown_timeout=realm_plan.limits.teardown_timeout,
        )

    def events(
        self,
        topic: str,
        *,
        match: Match = "exact",
        buffer: int = 1000,
        when_full: WhenFull = "drop_oldest",
        get_retained: bool = False,
    ) -> Events:
        """The events of a topic, or a pattern of topics, to iterate over inside ``async with``.

        What is published from entering it on, and before it what is retained, as with ``subscribe``.
        Publishers never wait: ``buffer`` and ``when_full`` say what is dropped where the iteration is too
        slow, and ``Events.dropped`` how many were. Raises ConfigurationError for what cannot be.
        """
        return Events(
            self._server.subscriptions,
            topic,
            match,
            buffer=buffer,
            when_full=when_full,
            get_retained=get_retained,
        )

    def register(
        self,
        uri: str,
        handler: Handler,
        *,
        match: RouteMatch = "exact",
        roles: str | Collection[str] | None = None,
    ) -> None:
        """Add a procedure of the server's own at once, for open sessions, too; see ``procedure``.

        Raises ConfigurationError where the URI is taken by the realm's own, and WAMPError
        ``wamp.error.procedure_already_exists`` where a client has registered it.
        """
        route = Route(uri, match, handler, roles_of(roles))
        plan = self.plan()
        taken = plan.own_procedure(match, uri)
        if taken is not None:
            raise ConfigurationError(f"{route} of {describe(handler)} is taken by {taken.plan.description}")
        if match != "regex" and self._router.dealer.registrations.get(match, uri) is not None:
            raise WAMPError(PROCEDURE_ALREADY_EXISTS, f"a client has registered {uri!r}")
        procedure = compile_procedure(route, self._injection(), plan.limits.handler_timeout)
        self._procedures_at_run_time.add(route, procedure)
        if match != "regex":
            self._server.offer([(match, uri)])

    def unregister(self, uri: str, *, match: RouteMatch = "exact") -> None:
        """Remove a procedure that was added with ``register``; calls that are being handled go on.

        Raises WAMPError ``wamp.error.no_such_registration`` if there is none.
        """
        if self._procedures_at_run_time.get(match, uri) is None:
            raise WAMPError(NO_SUCH_REGISTRATION, f"no {match} procedure {uri!r} was registered at run time")
        self._procedures_at_run_time.remove(match, uri)
        # A procedure that was configured meanwhile may have the same URI.
        if match != "regex" and (match, uri) not in self.plan().offered():
            self._server.withdraw(match, uri)

    def revoke_registration(
        self, procedure: str, *, match: Match = "exact", reason: str | None = None
    ) -> int:
        """Take a procedure away from the clients that have registered it, and return how many they were.

        Those that announced ``registration_revocation`` are told, with the reason. What they have been called
        for before is still answered, and nothing keeps them from registering again.
        Spec: Advanced Profile, "Registration Revocation".
        """
        require_pattern(f"revoke_registration({procedure!r})", procedure, match)
        return self._router.revoke_registration(procedure, match, reason)

    def revoke_subscription(
        self,
        topic: str,
        *,
        match: Match = "exact",
        session: Session | None = None,
        reason: str | None = None,
    ) -> int:
        """Take a subscription away from ``session``, or from all clients, and return how many had it.

        ``topic`` and ``match`` are what they subscribed with. Those that announced
        ``subscription_revocation`` are told, with the reason. The second part of a gatekeeper runs as after
        UNSUBSCRIBE, and nothing keeps a client from subscribing again.
        Spec: Advanced Profile, "Subscription Revocation".
        """
        require_pattern(f"revoke_subscription({topic!r})", topic, match)
        if session is not None and not isinstance(session, Session):
            raise TypeError(
                f"revoke_subscription({topic!r}): session is {session!r}, it must be a Session: "
                "realm.sessions has them by session id"
            )
        return self._router.revoke_subscription(topic, match, None if session is None else session.id, reason)

    def clear_retained(self, topic: str, *, match: Match = "exact") -> int:
        """Forget the retained events of a topic, or of all topics that match a pattern.

        Returns how many there were. ``match="prefix"`` with the topic ``""`` forgets all.
        Spec: Advanced Profile, "Event Retention".
        """
        require_pattern(f"clear_retained({topic!r})", topic, match)
        return self._router.retained.clear(topic, match)

    async def close_sessions(self, uri: str = CLOSE_REALM, message: str | None = None) -> None:
        """Close all sessions with GOODBYE and wait until they have ended, for a bounded time.

        The bound is ``Limits.close_timeout`` for the clients' answers and ``Limits.teardown_timeout`` for
        what the handlers have to end.
        """
        limits = self.plan().limits
        closing = list(self.sessions.values())
        for session in closing:
            await session.close(uri, message)
        with anyio.move_on_after(limits.close_timeout + limits.teardown_timeout):
            for session in closing:
                await session.wait_closed()

    def say_goodbye(self, uri: str, message: str | None = None) -> None:
        """Begin to close all sessions with GOODBYE; never waits."""
        self._router.say_goodbye(uri, message)

    async def flushed(self) -> None:
        """Wait until all that was sent to the sessions is written; a client that never reads delays it."""
        for session in list(self.sessions.values()):
            await session.flushed()

    # Building

    def attach(self, context: ApplicationContext) -> None:
        """Make the realm one of an application; an application does this when the realm is added to it."""
        if self._context is not None:
            raise ConfigurationError(
                f"realm {self.uri!r} belongs to an application already: make a Realm for each application"
            )
        self._context = context

    def plan(self) -> RealmPlan:
        """Return the compiled configuration, compiled anew if it has changed.

        Open sessions keep the plan that they have. Raises ConfigurationError for a handler that has a
        parameter nothing can fill.
        """
        if self._plan is None:
            self._plan = plan = self._compile()
            self._router.set_limits(plan.limits)
            self._server.offer(plan.offered())
            self._server.subscribe_handlers(plan.subscribers)
        return self._plan

    def _forget_plan(self) -> None:
        self._plan = None

    def _require_context(self) -> ApplicationContext:
        if self._context is None:
            raise ConfigurationError(
                f"realm {self.uri!r} is not part of an application yet: call app.add_realm(realm) first"
            )
        return self._context

    def _injection(self) -> Injection:
        context = self._require_context()
        provided = {"session": Session, "realm": Realm, "app": type(context.app)}
        return Injection(provided, self._settings.default_args)

    def _compile(self) -> RealmPlan:
        context, settings, injection = self._require_context(), self._settings, self._injection()
        limits = settings.limits or context.limits
        authorizer = settings.authorizer and injection.read(
            settings.authorizer, {"action": None, "uri": None, "options": None}
        )
        return RealmPlan(
            app=self._middleware_stack(injection),
            provided={"realm": self, "app": context.app},
            limits=limits,
            async_support=context.async_support,
            synchronize_requests=context.synchronize_requests,
            debug=context.debug,
            authorization=Authorization(
                settings.permissions.copy(), authorizer, cache=settings.cache_authorizer
            ),
            procedures=compile_procedures(settings, injection, limits.handler_timeout),
            procedures_at_run_time=self._procedures_at_run_time,
            procedure_for_all=compile_rpc_handler(settings, injection, limits.handler_timeout),
            topics=compile_topics(settings, injection),
            topic_for_all=compile_subscription_handler(settings, injection),
            subscribers=compile_subscribers(settings, injection),
            lifespan_handlers=tuple(injection.read(handler) for handler in settings.lifespan_handlers),
            early_lifespan_handlers=tuple(
                injection.read(handler) for handler in settings.early_lifespan_handlers
            ),
            overflow_handler=compile_overflow_handler(settings, injection),
            router=self._router,
        )

    def _middleware_stack(self, injection: Injection) -> ASGIApp:
        app: ASGIApp = SessionEndpoint(self._server)
        app = GateMiddleware(app)
        authenticators = compile_authenticators(
            self._settings, injection, allow_anonymous=self._allow_anonymous
        )
        for authenticator in reversed(authenticators):
            app = authenticator.cls(app, *authenticator.args, **authenticator.kwargs)
        for middleware in reversed(self._settings.middleware):
            app = middleware.cls(app, *middleware.args, **middleware.kwargs)
        return app


def utc_now() -> str:
    """Return the time as RFC 3339 text, with milliseconds, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _serve_around(plan: RealmPlan, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a session with the lifespan handlers that begin before it is authenticated."""
    lifespan = LifespanHandlers(
        plan.early_lifespan_handlers,
        plan.provided_for(scope["wamp.session"]),
        teardown_timeout=plan.limits.teardown_timeout,
    )
    failure: Exception | None = None
    async with anyio.create_task_group() as handlers:
        try:
            if await lifespan.begin(handlers):
                await plan.app(scope, receive, send)
            else:
                await scope["wamp.peer"].refuse(RUNTIME_ERROR, "the session could not be started")
        except Exception as error:  # noqa: BLE001 - raised again below
            # Out of the task group it would come as an exception group.
            failure = error
        finally:
            lifespan.end()
    if failure is not None:
        raise failure
