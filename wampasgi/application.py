"""The ASGI application, which serves realms over WebSockets."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, get_args

import anyio
from starlette.datastructures import State
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Router

from wampasgi.adapters import AsyncSupport, AsyncSupportName, instance_of_support, support_for_running_loop
from wampasgi.adapters.event_loop import EventLoopBinding
from wampasgi.adapters.shutdown_signals import Shutdown, shutdown_signalled
from wampasgi.configuration.handler_settings import HandlerSettings
from wampasgi.configuration.middleware import MiddlewareFactory, MiddlewareStack, P
from wampasgi.configuration.routes import H
from wampasgi.configuration.settings import (
    ApplicationContext,
    ConfiguresRealm,
    RealmSettings,
    checked_limits,
)
from wampasgi.default_realm import UsesDefaultRealm
from wampasgi.documentation import Documentation, Info
from wampasgi.errors import CLOSE_REALM, ConfigurationError
from wampasgi.injection.callables import require_function
from wampasgi.injection.plan import Injection
from wampasgi.limits import Limits
from wampasgi.logs import fields, logger_named
from wampasgi.metrics import Metrics
from wampasgi.peers.session import check_reason
from wampasgi.realm import Realm
from wampasgi.serializers import Serializer, Subprotocol, subprotocols
from wampasgi.sessions.opening import SessionOpener
from wampasgi.sessions.shutdown import OnShutdown, begin_shutdown, wait_ended, wait_flushed
from wampasgi.transports.origins import AllowedOrigins, OriginPolicy
from wampasgi.transports.uvicorn_settings import UvicornSettings
from wampasgi.transports.websocket import WebSocketEndpoint
from wampasgi.types import Handler, Receive, Scope, Send, URICheck

if TYPE_CHECKING:
    # Not imported at run time: an application without a backplane does not need it.
    from wampasgi.backplanes.base import Backplane
    from wampasgi.backplanes.cluster_service import ClusterService

Lifespan = Callable[["Application"], AbstractAsyncContextManager[Mapping[str, Any] | None]]

logger = logger_named("wampasgi.server")

#: Longest delay, in seconds, before the server handles the shutdown signal, while clients get their messages.
_FLUSH_TIME: Final = 1.0
# The default realm on all workers. Other realms have their URIs.
_DEFAULT_REALM: Final = "default"


def _backplane_and_cluster(
    given: Backplane | str | None, on_gap: Callable[[int, int], Awaitable[None]]
) -> tuple[Backplane | None, ClusterService | None]:
    """Return a backplane and the cluster over it, which is named after the module of the application."""
    if given is None:
        return None, None
    from wampasgi.backplanes.cluster_service import ClusterService
    from wampasgi.backplanes.urls import backplane_of

    frame = inspect.currentframe()
    while frame is not None and frame.f_globals["__name__"] == __name__:
        frame = frame.f_back
    module = "wampasgi" if frame is None else frame.f_globals["__name__"]
    backplane = backplane_of(given)
    return backplane, ClusterService(backplane, name=module, on_gap=on_gap)


def _require_choice(option: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{option} is {value!r}: it must be {' or '.join(map(repr, choices))}")


def _check_options(realms: object, uri_check: object, on_shutdown: object) -> None:
    _require_choice("uri_check", uri_check, get_args(URICheck))
    _require_choice("on_shutdown", on_shutdown, get_args(OnShutdown))
    if isinstance(realms, Realm):
        raise ConfigurationError(f"Application got {realms!r}: it takes a list of realms, [realm]")


class Application(ConfiguresRealm, UsesDefaultRealm):
    """Serves WAMP over WebSockets, at any path.

    ``realms`` are added to the application. Its default realm accepts clients whose realm was not added; the
    configuration methods of the application configure the default realm. ``allow_anonymous`` is an argument
    of the default realm: see Realm.

    ``middleware`` are Starlette Middleware objects around the whole application, outermost first.
    ``lifespan`` is a lifespan context manager like Starlette's. It runs if the application is served by
    itself.

    ``serializers`` are offered to clients: names (``"json"``, ``"msgpack"``, ``"cbor"``) or your own
    serializers. The default is all serializers of the framework whose packages are installed.

    ``allowed_origins`` are the web sites whose pages may connect in a browser: ``"same-origin"``, ``"*"`` for
    all, or a list such as ``["same-origin", "https://example.com", "https://*.example.com"]``. Other
    handshakes with an Origin header are answered with 403. Clients that send none are not affected.

    ``on_shutdown`` ends the sessions when the server shuts down. With ``"reconnect"``, their WebSockets are
    closed with code 1012 ("service restart"), so that clients connect again after a deployment. With
    ``"goodbye"``, clients first get GOODBYE ``wamp.close.system_shutdown``, after which autobahn-js and wampy
    do not reconnect.

    ``async_support`` pins the asynchronous library, which is the server's by default: ``"asyncio"``,
    ``"anyio"``, ``"trio"``, or an AsyncSupport.
    ``synchronize_requests`` handles the requests of each session one by one. ``uri_check`` is ``"loose"`` or
    ``"strict"``. ``check_request_ids`` enforces the sequence of request IDs that the specification demands.
    ``unpack_results`` makes a list that a handler returns as many positional arguments as it has items, and a
    mapping keyword arguments, as in serverwamp. ``debug`` sends the text of unexpected exceptions to clients.

    ``exception_handlers`` are functions by the class of the exceptions that they answer, in all realms: see
    ``exception_handler``.

    ``backplane`` connects the workers of the application, so that they serve each realm together: a Backplane
    or its URL, such as ``"unix:/run/myapp"`` or ``"nats://127.0.0.1:4222"``.

    ``docs_url``, such as ``"/docs"``, is the path of a page that describes the realms and calls their
    procedures. It also lets each session read the description of what it may use, unless a rule or the
    authorizer refuses. ``asyncapi_url``, such as ``"/asyncapi.json"``, is the path of an AsyncAPI document of
    what anonymous sessions may use, in YAML at ``"/asyncapi.yaml"``. ``title``, ``version`` and
    ``description``, in Markdown, are those of the API in both.

    Raises ConfigurationError for invalid arguments.
    """

    #: Attributes of your own, for handlers and dependencies that have the parameter ``app``.
    state: State

    def __init__(
        self,
        realms: Iterable[Realm] = (),
        *,
        allow_default_realm: bool = True,
        allow_anonymous: bool | None = None,
        middleware: Iterable[Middleware] = (),
        lifespan: Lifespan | None = None,
        serializers: Iterable[Serializer | str] | None = None,
        allowed_origins: AllowedOrigins = "same-origin",
        on_shutdown: OnShutdown = "reconnect",
        async_support: AsyncSupportName | type[AsyncSupport] | AsyncSupport | None = None,
        synchronize_requests: bool = False,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        uri_check: URICheck = "loose",
        check_request_ids: bool = False,
        unpack_results: bool = False,
        debug: bool = False,
        exception_handlers: Mapping[type[Exception], Handler] | None = None,
        backplane: Backplane | str | None = None,
        title: str = "wampasgi",
        version: str = "0.1.0",
        description: str | None = None,
        docs_url: str | None = None,
        asyncapi_url: str | None = None,
    ) -> None:
        self._info = Info(title, version, description)
        _check_options(realms, uri_check, on_shutdown)
        checked_limits(limits)
        self._subprotocols = subprotocols(serializers)
        self._async_support = instance_of_support(async_support)
        self._event_loop = EventLoopBinding()
        self._gap_handler: Callable[..., Any] | None = None
        self._backplane, self._cluster = _backplane_and_cluster(backplane, self._on_gap)
        self._realms: dict[str, Realm] = {}
        self._default_realm: Realm | None = None
        self.handler_settings = HandlerSettings(self._forget_plans, exception_handlers)
        self._context = ApplicationContext(
            app=self,
            event_loop=self._event_loop,
            limits=limits,
            async_support=self._async_support,
            synchronize_requests=synchronize_requests,
            unpack_results=unpack_results,
            debug=debug,
            handlers=self.handler_settings,
            make_router=None if self._cluster is None else self._cluster.make_router,
        )
        if allow_default_realm:
            self._add_default_realm(allow_anonymous)
        self._websockets = self._websocket_endpoint(allowed_origins, uri_check, check_request_ids)
        self._documentation = Documentation(self, lambda: self.all_realms, self._info, docs_url, asyncapi_url)
        self._uvicorn_settings = UvicornSettings()
        self._on_shutdown: OnShutdown = on_shutdown
        self._lifespan = lifespan
        self._lifespan_router = Router(lifespan=lambda _: self.lifespan())
        self._middleware = MiddlewareStack(self._dispatch, middleware)
        self.state = State()
        for realm in realms:
            self.add_realm(realm)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a websocket, http or lifespan scope."""
        scope.setdefault("app", self)
        await self._middleware.build()(scope, receive, send)

    def add_middleware(self, cls: MiddlewareFactory[P], *args: P.args, **kwargs: P.kwargs) -> None:
        """Put an ASGI middleware around the whole application, as in Starlette: the last one is outermost.

        Raises ConfigurationError if the application was started or checked already.
        """
        self._middleware.add(cls, *args, **kwargs)

    # Documentation

    @property
    def title(self) -> str:
        """The title of the API."""
        return self._info.title

    @property
    def version(self) -> str:
        """The version of the API."""
        return self._info.version

    @property
    def description(self) -> str | None:
        """The description of the API, in Markdown."""
        return self._info.description

    # Realms

    @property
    def realms(self) -> Mapping[str, Realm]:
        """The added realms, by URI, without the default realm."""
        return dict(self._realms)

    @property
    def all_realms(self) -> Mapping[str, Realm]:
        """All realms, by name: the default realm first, then the added realms, by URI.

        The name of the default realm is ``"default"``, or ``"*"`` if a realm with that URI was added.
        """
        if self._default_realm is None:
            return dict(self._realms)
        name = "*" if self._default_realm.uri in self._realms else self._default_realm.uri
        return {name: self._default_realm, **self._realms}

    @property
    def subprotocols(self) -> Mapping[str, Subprotocol]:
        """The WebSocket subprotocols that the application supports, by name."""
        return dict(self._subprotocols)

    @property
    def backplane(self) -> Backplane | None:
        """The backplane that connects the workers of the application, None without one."""
        return self._backplane

    @property
    def default_realm(self) -> Realm:
        """The realm of clients whose realm was not added. Raises ConfigurationError if it is disabled."""
        if self._default_realm is None:
            raise ConfigurationError(
                "the application has no default realm (allow_default_realm=False): "
                "create a Realm, configure it and add it to the application"
            )
        return self._default_realm

    @property
    def settings(self) -> RealmSettings:
        """The settings of the default realm."""
        return self.default_realm.settings

    def add_realm(self, realm: Realm) -> None:
        """Add a realm. Raises ConfigurationError if the application already has a realm with its URI."""
        if not isinstance(realm, Realm):
            raise ConfigurationError(f"add_realm got {realm!r}: it takes a Realm")
        if realm.uri in self._realms:
            raise ConfigurationError(
                f"the application already has a realm {realm.uri!r}: "
                f"give one of them another URI, or use one for both"
            )
        realm.attach(self._context, key=f"realm {realm.uri}")
        self._realms[realm.uri] = realm

    def metrics(self) -> dict[str, Metrics]:
        """Return the metrics of each realm, by its name in ``all_realms``. See Realm.metrics.

        With a
        backplane, the metrics of each realm are those of this worker, with two more groups: ``realm`` has the
        numbers of all workers together, and ``cluster`` is about the connections between them, the same for
        each realm. docs/scaling.md explains them.
        """
        metrics = {name: realm.metrics() for name, realm in self.all_realms.items()}
        if self._cluster is not None:
            for found in metrics.values():
                found["cluster"] = self._cluster.metrics()
        return metrics

    def allow_descriptions(self) -> None:
        """Let each session read the description of the part of its realm that it may use.

        Sessions read it with the procedures ``wamp.reflection.*``, except ``wamp.reflection.define``. Rules
        for these, and the authorizer, take precedence. ``docs_url`` and Explorer call this.
        """
        self._context.description_access.open = True

    def asyncapi(self, realm: str | None = None, asyncapi_version: str = "3.1.0") -> dict[str, Any]:
        """Return the AsyncAPI document of a realm, by its name in ``all_realms``, or of all, as JSON values.

        It describes all procedures and topics of the realms, regardless of roles and rules, except those with
        ``include_in_schema=False``. Raises ConfigurationError if there is no such realm, and for a version of
        AsyncAPI that is not supported.
        """
        return self._documentation.asyncapi(realm, asyncapi_version)

    def on_gap(self, handler: H) -> H:
        """Set the handler for lost frames of other workers; use it as a decorator.

        It can have the parameters ``lost``, the number of frames, and ``app``. The calls between the two
        workers have failed by then, and the rows of the other worker are being exchanged again.
        """
        require_function("on_gap", handler)
        self._gap_handler = handler
        return handler

    async def _on_gap(self, node: int, lost: int) -> None:
        if self._gap_handler is None:
            return
        injection = Injection({"app": type(self)}, {})
        plan = injection.read(self._gap_handler, {"lost": None})
        try:
            await plan.call({"app": self, "lost": lost})
        except Exception:
            logger.exception("%s failed", plan.name, extra=fields(None, None))

    def _find_realm(self, uri: str) -> Realm | None:
        return self._realms.get(uri, self._default_realm)

    def _websocket_endpoint(
        self, allowed_origins: AllowedOrigins, uri_check: URICheck, check_request_ids: bool
    ) -> WebSocketEndpoint:
        opener = SessionOpener(
            self._find_realm,
            event_loop=self._event_loop,
            limits=self._context.limits,
            uri_check=uri_check,
            check_request_ids=check_request_ids,
        )
        return WebSocketEndpoint(
            opener, subprotocols=self._subprotocols, origins=OriginPolicy(allowed_origins)
        )

    def _add_default_realm(self, allow_anonymous: bool | None) -> None:
        self._default_realm = Realm("default", allow_anonymous=allow_anonymous)
        self._default_realm.attach(self._context, key=_DEFAULT_REALM)

    def _forget_plans(self) -> None:
        for realm in self._all_realms():
            realm.settings.changed()

    def _all_realms(self) -> list[Realm]:
        default = [] if self._default_realm is None else [self._default_realm]
        return default + list(self._realms.values())

    # Sessions

    async def close_sessions(self, uri: str = CLOSE_REALM, message: str | None = None) -> None:
        """Close the sessions of all realms with GOODBYE and wait until they end. See Realm.close_sessions."""
        check_reason(uri)
        async with anyio.create_task_group() as tasks:
            for realm in self._all_realms():
                tasks.start_soon(realm.close_sessions, uri, message)

    # ASGI

    def check(self) -> None:
        """Check the whole configuration. Raises ConfigurationError for a handler that cannot be called.

        This runs at startup, or before the first session if the server does not run the lifespan. It also
        creates the middleware, so none can be added afterwards.
        """
        self._middleware.build()
        for realm in self._all_realms():
            realm.plan()

    def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "websocket":
            self._check_server(receive)
            support_for_running_loop(self._async_support)
            self._event_loop.require()
            if self._cluster is not None:
                self._cluster.require_running()
            # Of a parent app, whose dependency overrides apply here, too.
            self._context.parent.app = None if scope["app"] is self else scope["app"]
            self.check()
            return self._websockets(scope, receive, send)
        if scope["type"] == "http":
            return self._documentation.respond(scope, receive, send) or self._require_upgrade(
                scope, receive, send
            )
        if scope["type"] == "lifespan":
            self._check_server(receive)
            return self._lifespan_router.lifespan(scope, receive, send)
        raise ValueError(f"an Application cannot serve an ASGI scope of type {scope['type']!r}")

    def _check_server(self, receive: Receive) -> None:
        self._uvicorn_settings.check(receive, self._largest_message)
        if self._cluster is None:
            self._uvicorn_settings.check_workers(receive)

    def _largest_message(self) -> int:
        limits = [realm.settings.limits or self._context.limits for realm in self._all_realms()]
        return max((limit.message_size for limit in limits), default=self._context.limits.message_size)

    async def _require_upgrade(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = PlainTextResponse(
            "This is a WAMP endpoint. Connect with a WAMP client, over a WebSocket that offers one of the "
            f"subprotocols {', '.join(self._subprotocols)}.\n",
            status_code=426,
            headers={"upgrade": "websocket", "connection": "upgrade"},
        )
        await response(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, parent: object = None) -> AsyncIterator[Mapping[str, Any]]:
        """Run the application's lifespan. Enter this in the lifespan of an app that mounts the application.

        ``parent`` is that app, if it is a FastAPI: its ``dependency_overrides`` then apply from the start,
        and not only from the first WebSocket.

        If the application is served by itself, the server runs it. It checks the configuration, runs the
        ``lifespan`` given to the application, yields its state, and ends the sessions as ``on_shutdown`` says
        when the server shuts down. The application works without it, too.
        """
        support_for_running_loop(self._async_support)
        if parent is not None:
            self._context.parent.app = parent
        self._event_loop.enter()
        try:
            async with self._joined_workers(), self._user_lifespan() as state:
                # After the user's lifespan, which may set default args.
                self.check()
                if self._context.description_access.open:
                    # Describing a large realm takes long, so sessions should not wait for it.
                    for realm in self._all_realms():
                        realm.describe()
                async with anyio.create_task_group() as tasks:
                    with shutdown_signalled() as shutdown:
                        tasks.start_soon(self._close_at, shutdown)
                        yield state or {}
                        tasks.cancel_scope.cancel()
                await self._end_sessions()
        finally:
            self._event_loop.leave()

    def _joined_workers(self) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._cluster is None else self._cluster.open()

    @asynccontextmanager
    async def _user_lifespan(self) -> AsyncIterator[Mapping[str, Any] | None]:
        if self._lifespan is None:
            yield None
            return
        async with self._lifespan(self) as state:
            yield state

    async def _close_at(self, shutdown: Shutdown) -> None:
        await shutdown.signalled.wait()
        sessions = [session for realm in self._all_realms() for session in realm.served_sessions()]
        await begin_shutdown(sessions, self._on_shutdown)
        with anyio.move_on_after(_FLUSH_TIME):
            await wait_flushed(sessions)
        shutdown.pass_on()
        await self._end_sessions()

    async def _end_sessions(self) -> None:
        async with anyio.create_task_group() as tasks:
            for realm in self._all_realms():
                sessions = realm.served_sessions()
                await begin_shutdown(sessions, self._on_shutdown)
                tasks.start_soon(wait_ended, sessions, realm.plan().limits)
