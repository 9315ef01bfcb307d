"""A realm: an ASGI sub-application with its own procedures, topics, sessions and permissions."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, Unpack

from starlette.middleware import Middleware

from wampasgi.administration import AdministersRealm
from wampasgi.auth import GateMiddleware
from wampasgi.auth.failed_logins import FailedLogins
from wampasgi.configuration.compilation import compile_realm, recompile_procedures
from wampasgi.configuration.handler_settings import RealmOverrides
from wampasgi.configuration.handlers import Procedure, Subscriber
from wampasgi.configuration.http_arguments import HTTP_ARGUMENTS
from wampasgi.configuration.plan import ProcedureOptions, RealmPlan, compile_procedure
from wampasgi.configuration.response_types import FROM_ANNOTATION
from wampasgi.configuration.route_details import ProcedureDetails, read_details
from wampasgi.configuration.routes import Route, RouteMatch, RouteTable
from wampasgi.configuration.settings import ApplicationContext, ConfiguresRealm, RealmSettings
from wampasgi.description import Describer, Interface
from wampasgi.errors import (
    NO_SUCH_REGISTRATION,
    PROCEDURE_ALREADY_EXISTS,
    ConfigurationError,
    WAMPError,
)
from wampasgi.event import Event
from wampasgi.injection.cancellation import within
from wampasgi.injection.plan import Injection, describe
from wampasgi.injection.results import RPCErrorResult, unwrap
from wampasgi.injection.worker_threads import in_process_call
from wampasgi.limits import Limits
from wampasgi.payload import split_payload
from wampasgi.peers.session import Session
from wampasgi.peers.wall_clock import utc_now
from wampasgi.protocol.ids import random_id
from wampasgi.protocol.uris import check_uri, is_reserved, require_pattern
from wampasgi.router.permissions import roles_of
from wampasgi.router.publish_options import check_server_options
from wampasgi.router.router import Router
from wampasgi.rpc import RPCRequest
from wampasgi.serializers import plain_copy
from wampasgi.sessions.endpoint import SessionEndpoint, serve_with_early_handlers
from wampasgi.sessions.listening import Events, LocalSubscription, WhenFull
from wampasgi.sessions.meta_calls import MetaCaller
from wampasgi.sessions.server_session import ServerSession
from wampasgi.sessions.visibility import public_interface
from wampasgi.types import Handler, Match, Receive, Scope, Send


class Realm(ConfiguresRealm, AdministersRealm):
    """A realm of an application: its procedures, topics, authenticators, permissions and sessions.

    ``uri`` is the realm's name in HELLO. ``middleware`` are Starlette Middleware objects around the sessions
    of this realm, outermost first: ASGI middleware for the scope type ``wamp``. ``limits`` replace the limits
    of the application.

    ``allow_anonymous`` accepts clients that offer the method ``anonymous`` or no method, with the role
    ``anonymous``. By default, only a realm without authenticators accepts them. With False, none does.

    ``client_procedures`` sets the scope of the procedures that clients register. With ``"realm"``, all
    clients that are allowed to can call them. With ``"session"``, every client can register the same
    procedures, and only the server can call them, with ``session.call`` on the client's session.

    ``unpack_results`` replaces the application's setting. ``exception_handlers`` are functions by the class
    of the exceptions that they answer: see ``exception_handler``.

    Raises ConfigurationError for invalid arguments.
    """

    def __init__(
        self,
        uri: str,
        *,
        middleware: Iterable[Middleware] = (),
        limits: Limits | None = None,
        allow_anonymous: bool | None = None,
        client_procedures: Literal["realm", "session"] = "realm",
        unpack_results: bool | None = None,
        exception_handlers: Mapping[type[Exception], Handler] | None = None,
    ) -> None:
        require_pattern(f"realm {uri!r}", uri, "exact")
        if client_procedures not in ("realm", "session"):
            raise ConfigurationError(
                f"realm {uri!r}: client_procedures is {client_procedures!r}, it must be realm or session"
            )
        #: The realm URI.
        self.uri = uri
        self._allow_anonymous = allow_anonymous
        self._unpack_results = unpack_results
        self._context: ApplicationContext | None = None
        self._plan: RealmPlan | None = None
        self._private_registrations = client_procedures == "session"
        self._histories: list[tuple[str, Match, int]] = []
        self._use(Router(now=utc_now, private_registrations=self._private_registrations))
        self._settings = RealmSettings(
            middleware=middleware,
            limits=limits,
            changed=self._forget_plan,
            keep_history=self._keep_history,
            mock_secret=lambda: self.router.mock_secret,
            realm=self,
            exception_handlers=exception_handlers,
        )
        self.handler_settings = self._settings.handlers
        self._overrides = RealmOverrides(self.handler_settings)
        self._procedures_at_run_time: RouteTable[Procedure] = RouteTable()
        self._failed_logins = FailedLogins()
        self._describer = Describer(uri)

    def __repr__(self) -> str:
        return f"<Realm {self.uri!r}>"

    @property
    def settings(self) -> RealmSettings:
        """The settings of the realm, not yet compiled."""
        return self._settings

    @property
    def app(self) -> Any:
        """The application that the realm was added to."""
        return self._require_context().app

    # Serving

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one session with the realm's middleware, its authenticators and the session endpoint."""
        if scope["type"] != "wamp":
            raise ConfigurationError(
                f"realm {self.uri!r} cannot serve the ASGI scope type {scope['type']!r}: "
                f"serve the application that it is part of, Application([realm])"
            )
        plan: RealmPlan = scope["wamp.plan"]
        if plan.early_lifespan_handlers:
            return serve_with_early_handlers(plan, scope, receive, send)
        return plan.app(scope, receive, send)

    # Calls, publications and subscriptions of the server

    async def publish(
        self, topic: str, /, *args: Any, options: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> int:
        """Publish an event to all subscribers of ``topic``, and return the publication ID.

        ``args`` and ``kwargs`` are the payload, or one Payload is. ``options`` are PUBLISH.Options, such as
        ``{"eligible_authrole": ["staff"]}`` or ``{"retain": True}``. Never waits for a client, and returns
        when the realm's own handlers are done with the event. If a subscriber's serializer cannot encode the
        payload, the error is logged and the subscriber does not get the event.

        A retained event, or one for a history, is copied now, so later changes to its objects do not affect
        it. Raises UnserializableValue if such an event cannot be serialized, and ValueError for an invalid
        topic or option.
        """
        self.check_event_loop("publish()")
        plan = self.plan()
        if not check_uri(topic):
            raise ValueError(f"topic {topic!r} is not a valid URI")
        options = check_server_options(options) if options else {}
        positional, keywords = split_payload(args, kwargs)
        payload = list(positional), dict(keywords)
        if self.router.broker.stores(topic, options):
            # A copy, because the objects may change later. Encoding it also detects values that no client
            # can receive: one such event would make the whole history unreadable.
            args_copy, kwargs_copy = plain_copy([*payload], "MessagePack")
            payload = args_copy, kwargs_copy
        return await self._server.publish(plan, topic, options, *payload)

    async def call(self, procedure: str, /, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Call a procedure of the realm itself, of a client or of the meta API.

        ``args`` and ``kwargs`` are the payload, or one Payload is. ``timeout`` is in seconds. Returns None
        for an empty result, the value for a single positional argument, and an RPCResult for any other
        result. A value of the realm's own handlers is the object itself, validated against the response type
        but not converted to its JSON form. Progress reports are dropped.

        Raises WAMPError for an ERROR, such as ``wamp.error.timeout`` or ``wamp.error.no_such_procedure``.
        Exceptions of the realm's own handlers are raised unchanged. If the call times out or is cancelled,
        it is also cancelled at the client that handles it.
        """
        self.check_event_loop("call()")
        plan = self.plan()
        found = plan.answering(procedure)
        positional, keywords = split_payload(args, kwargs)
        if is_reserved(procedure):
            caller = MetaCaller(self._server.session, plan)
            outcome = await within(timeout, caller.call(procedure, positional, keywords))
            self.router.carry_out(outcome)
            return unwrap(outcome.args, outcome.kwargs)
        if not isinstance(found, Procedure):
            return await self._server.call(procedure, positional, keywords, timeout=timeout)
        session = self._server.session
        request = None
        if found.wants_request:
            request = RPCRequest(id=0, session=session, uri=procedure, args=positional, kwargs=keywords)
        provided, convert = plan.provided_for(session), found.response.to_server
        with in_process_call():
            result = await within(
                timeout, found.invoke(request, positional, keywords, provided, None, convert)
            )
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
        """Call a procedure that one session has registered. Use ``Session.call`` instead."""
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
        """Return a context manager that runs a handler for the events of a topic or a pattern of topics.

        ``handler`` can have the same parameters as a handler for ``subscriber``, but does not allow clients
        to publish. Its ``session`` is the realm's own. It gets the events of clients, the server and the
        router in order, one at a time. At most ``buffer`` events are queued; when the queue is full,
        ``when_full`` decides which event is lost: ``"drop_oldest"`` or ``"drop_newest"``. With
        ``get_retained``, it first gets the retained events, at most the newest ``buffer`` of them. Raises
        ConfigurationError for invalid arguments.
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
        """Return the events of a topic or a pattern of topics, to iterate over inside ``async with``.

        They begin with the first event that is published after entering the block, or with the retained
        events if ``get_retained`` is true. The options are the same as for ``subscribe``. Publishers never
        wait for a slow iteration; ``Events.dropped`` counts the events that it has lost. Raises
        ConfigurationError for invalid arguments.
        """
        return Events(
            self._server.subscriptions,
            topic,
            match,
            buffer=buffer,
            when_full=when_full,
            get_retained=get_retained,
            event_loop=self._require_context().event_loop,
        )

    # Descriptions

    def describe(self, *, strict: bool = False) -> Interface:
        """Describe the realm's own procedures, topics and errors, with JSON Schemas of their payloads.

        A type without a JSON Schema is logged and accepts any value. With ``strict``, it raises
        ConfigurationError.
        """
        return self._describer.describe(self.plan(), strict=strict)

    async def describe_for(self, session: Session) -> Interface:
        """Describe the part of the realm that a session may use, and procedures of clients that it may call.

        Calls and subscriptions are authorized in the same way, but gatekeepers do not run.
        """
        self.check_event_loop("describe_for()")
        return await MetaCaller(self._server.session, self.plan()).describe_for(session)

    async def describe_for_anybody(self) -> Interface:
        """Describe the part of the realm that anonymous sessions may use, without asking the authorizer.

        It is empty if the realm does not accept anonymous sessions.
        """
        return await public_interface(self.plan(), self.describe())

    # Procedures at run time

    def register(
        self,
        uri: str,
        handler: Handler,
        *,
        match: RouteMatch = "exact",
        roles: str | Collection[str] | None = None,
        response_type: Any = FROM_ANNOTATION,
        **details: Unpack[ProcedureDetails],
    ) -> None:
        """Add a procedure of the server at run time. Open sessions can call it, too.

        The arguments are the same as for ``procedure``. Raises ConfigurationError if the realm already has a
        procedure at the URI, and WAMPError ``wamp.error.procedure_already_exists`` if a client has.
        """
        self.check_event_loop("register()")
        route = Route(
            uri,
            match,
            handler,
            roles_of(roles),
            response_type=response_type,
            details=read_details(f"register({uri!r})", details),
        )
        plan = self.plan()
        existing = plan.own_procedure(match, uri)
        if existing is not None:
            raise ConfigurationError(
                f"{route} of {describe(handler)} is already used by {existing.plan.description}"
            )
        if match != "regex" and self.router.dealer.registrations.get(match, uri) is not None:
            raise WAMPError(PROCEDURE_ALREADY_EXISTS, f"a client has registered {uri!r}")
        procedure = compile_procedure(route, self._injection(), self._procedure_options(plan.limits))
        self._procedures_at_run_time.add(route, procedure)
        offered: list[tuple[Match, str]] = [] if match == "regex" else [(match, uri)]
        self._server.offer(offered, plan if roles is not None else None)

    def unregister(self, uri: str, *, match: RouteMatch = "exact") -> None:
        """Remove a procedure that was added with ``register``. Calls in progress continue.

        Raises WAMPError ``wamp.error.no_such_registration`` if there is no such procedure.
        """
        self.check_event_loop("unregister()")
        if self._procedures_at_run_time.get(match, uri) is None:
            raise WAMPError(NO_SUCH_REGISTRATION, f"no {match} procedure {uri!r} was registered at run time")
        self._procedures_at_run_time.remove(match, uri)
        # A procedure that was configured meanwhile may have the same URI.
        if match != "regex" and (match, uri) not in self.plan().offered():
            self._server.withdraw(match, uri)

    # Compiling

    def _use(self, router: Router[Session]) -> None:
        self.router = router
        own_session = Session(
            session_id=random_id(), realm=self, realm_uri=self.uri, details={}, connection=None, peer=None
        )
        self._server = ServerSession(own_session, router)

    def _keep_history(self, topic: str, match: Match, limit: int) -> None:
        self.router.keep_history(topic, match, limit)
        self._histories.append((topic, match, limit))

    def attach(self, context: ApplicationContext, *, key: str) -> None:
        """Make the realm part of an application. The application calls this.

        ``key`` names the realm on all workers of the application.
        """
        if self._context is not None:
            raise ConfigurationError(
                f"realm {self.uri!r} already belongs to an application: create a Realm for each application"
            )
        self._context = context
        self._overrides.attach(context.handlers, context.parent)
        if context.make_router is not None:
            self._use(
                context.make_router(
                    key,
                    now=utc_now,
                    private_registrations=self._private_registrations,
                    testaments_published=self._handle_events,
                )
            )
            for topic, match, limit in self._histories:
                self.router.keep_history(topic, match, limit)

    async def _handle_events(self) -> None:
        """Run the handlers for testaments of another worker's sessions."""
        await self._server.handle_events(self.plan())

    def plan(self) -> RealmPlan:
        """Return the compiled configuration. Compile it again if the settings or overrides have changed.

        Open sessions keep their plan. Raises ConfigurationError if nothing can fill a parameter of a handler.
        """
        if self._overrides.parent.app is not None and self._overrides.parent_changed:
            self._plan = None
        if self._plan is None:
            self._plan = plan = self._compile()
            self.router.set_limits(plan.limits)
            self._server.offer(plan.offered(), plan)
            self._server.subscribe_handlers(plan.subscribers)
        return self._plan

    def _forget_plan(self) -> None:
        self._plan = None

    def check_event_loop(self, what: str) -> None:
        """Raise RuntimeError if ``what`` is used outside the event loop that serves the realm."""
        if self._context is not None:
            self._context.event_loop.check(f"{what} of {self!r}")

    def _require_context(self) -> ApplicationContext:
        if self._context is None:
            raise ConfigurationError(
                f"realm {self.uri!r} is not part of an application yet: call app.add_realm(realm) first"
            )
        return self._context

    def _procedure_options(self, limits: Limits) -> ProcedureOptions:
        unpack = self._unpack_results
        unpack = self._require_context().unpack_results if unpack is None else unpack
        return ProcedureOptions(timeout=limits.handler_timeout, unpack_results=unpack)

    def _injection(self) -> Injection:
        context = self._require_context()
        provided = {"session": Session, "realm": Realm, "app": type(context.app)}
        return Injection(provided, self._settings.default_args, self._overrides.merged, HTTP_ARGUMENTS)

    def _compile(self) -> RealmPlan:
        context = self._require_context()
        limits = self._settings.limits or context.limits
        options = self._procedure_options(limits)
        if self._overrides.merge():
            recompile_procedures(self._procedures_at_run_time, self._injection(), options)
        return compile_realm(
            context,
            self._settings,
            self._injection(),
            options,
            realm=self,
            endpoint=GateMiddleware(SessionEndpoint(self._server)),
            allow_anonymous=self._allow_anonymous,
            procedures_at_run_time=self._procedures_at_run_time,
            router=self.router,
            failed_logins=self._failed_logins,
        )
