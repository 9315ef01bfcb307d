"""``connect`` and ``Client``: how a session is opened, and the handlers that it has from the beginning."""

from __future__ import annotations

import inspect
import ssl as ssl_module
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, Unpack, get_args

from wampasgi.adapters import TaskOwner, support_for_running_loop
from wampasgi.client.credentials import CredentialOptions, Credentials
from wampasgi.client.errors import ConnectFailed, Timeout, errors_by_uri
from wampasgi.client.lifespan import Lifespan
from wampasgi.client.requester import OnError, check_uri
from wampasgi.client.retry import Retry
from wampasgi.client.session import Invoke, Session
from wampasgi.client.supervisor import OnState, SessionSettings, Supervisor
from wampasgi.client.wire import Transport
from wampasgi.errors import CLOSE_REALM, ConfigurationError, WAMPError
from wampasgi.logs import logger_named
from wampasgi.types import ASGIApp, Handler, Match

if TYPE_CHECKING:
    from wampasgi.client.picows_transport import PicowsTransport
    from wampasgi.client.websocket import WebSocketTransport
    from wampasgi.serializers.base import Serializer
    from wampasgi.serializers.subprotocols import Subprotocol

logger = logger_named("wampasgi.client")

H = TypeVar("H", bound=Handler)

#: The time in seconds after which handlers that do not end are logged.
_SLOW: Final = 3.0

#: The default limit for the size of a message from the router, in bytes.
MAX_SIZE: Final = 16 * 1024 * 1024


#: The packages that can implement the WebSocket of a client.
WebSocketPackage: TypeAlias = Literal["websockets", "picows"]


class Options(CredentialOptions, total=False):
    """The keyword arguments of ``connect``, ``connect_sync`` and ``Client``, which describes them."""

    app: ASGIApp | None
    path: str
    lifespan: bool
    realm: str
    cookies: Mapping[str, str] | None
    headers: Mapping[str, str] | None
    serializers: Serializer | str | Iterable[Serializer | str] | None
    batched: bool
    timeout: float | None
    connect_timeout: float | None
    retry: Retry | None
    on_state: OnState | None
    on_error: OnError | None
    errors: Iterable[type[WAMPError]]
    hello: Mapping[str, Any] | None
    ssl: ssl_module.SSLContext | None
    compression: bool
    max_size: int | None
    ping_interval: float | None
    proxy: str | bool
    websocket: WebSocketPackage


_NAMES: Final = Options.__annotations__.keys()

_OF_CREDENTIALS: Final = CredentialOptions.__annotations__.keys()

#: The options that concern only WebSockets, and only connections in memory.
_OF_WEBSOCKETS: Final = ("ssl", "compression", "max_size", "ping_interval", "proxy", "websocket")
_OF_MEMORY: Final = ("path", "lifespan")


@dataclass(frozen=True, slots=True)
class _Declaration:
    """A handler, and the arguments with which each session registers it or subscribes it."""

    method: str
    uri: str
    handler: Handler
    options: Mapping[str, Any]


class Client:
    """A client of one realm: ``async with Client(url, realm="shop") as session``.

    ``url`` begins with ``ws://`` or ``wss://``. Instead of it, ``app`` is an ASGI application in the same
    process, whose WebSocket at ``path`` is opened in memory. With ``lifespan``, its lifespan is run, too, for
    tests and programs without a server.

    Identity: ``authid``, and at most one of ``ticket``, ``secret`` (the password for WAMP-SCRAM or WAMP-CRA),
    ``private_key`` (for cryptosign) and ``on_challenge`` with ``authmethods``; ``authextra`` is added to
    HELLO, and ``hello`` to its Details. ``cookies`` and ``headers`` go with the WebSocket's handshake.

    Format: ``serializers`` are the names of those to offer, in order of preference, by default all that are
    installed, JSON first. ``batched`` prefers subprotocols that send several messages in one frame.

    Time: ``timeout`` is the default limit of each wait for an answer, ``connect_timeout`` that for a
    WebSocket and for WELCOME, both in seconds; None means no limit. ``ping_interval`` is the time after which
    a silent server is asked for a sign of life, and then given up.

    Reconnection: ``retry``, see Retry; None turns it off. ``on_state`` is called with each new state.
    ``on_error`` is called with errors that no caller can get, such as those of handlers; they are logged too.

    Errors: ``errors`` are subclasses of WAMPError with a URI. An ERROR with this URI is raised as its class.

    The other options are those of WebSockets: ``ssl`` (a context, for certificates of your own),
    ``compression``, ``max_size`` (of a message from the router, in bytes), ``proxy`` and ``websocket``, the
    package that implements the WebSocket: ``"picows"`` takes less CPU time, and runs on asyncio only.

    Raises ConfigurationError, a ValueError, for options that do not fit together.
    """

    def __init__(self, url: str | None = None, **options: Unpack[Options]) -> None:
        unknown = sorted(options.keys() - _NAMES)
        if unknown:
            raise TypeError(f"unknown options {', '.join(unknown)}: the known ones are {', '.join(_NAMES)}")
        realm = check_uri("realm", options.get("realm", "default"))
        retry = options.get("retry", Retry())
        if not isinstance(retry, Retry | None):
            raise ConfigurationError(f"retry is {retry!r}: pass a Retry, or None for no reconnects")
        timeout = _checked_timeout("timeout", options.get("timeout", 30.0))
        self._settings = SessionSettings(
            transport=_transport(url, options),
            realm=realm,
            credentials=_credentials(options),
            hello=options.get("hello") or {},
            retry=retry,
            timeout=timeout,
            connect_timeout=_checked_timeout("connect_timeout", options.get("connect_timeout", 10.0)),
            on_state=_callback("on_state", options.get("on_state")),
            on_error=_callback("on_error", options.get("on_error")),
            errors=errors_by_uri(options.get("errors", ())),
        )
        self._declarations: list[_Declaration] = []
        self._app = options.get("app") if options.get("lifespan") else None
        self._entered: tuple[TaskOwner, Supervisor] | None = None
        self._lifespan: Lifespan | None = None

    def __repr__(self) -> str:
        return f"<Client of realm {self._settings.realm!r} at {self._settings.transport.description}>"

    # Handlers

    def procedure(
        self,
        uri: str,
        /,
        *,
        match: Match = "exact",
        invoke: Invoke = "single",
        concurrency: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Callable[[H], H]:
        """Declare a procedure, which is registered at each connection. See ``Session.register``."""
        check_uri("procedure", uri, match)
        given = {"match": match, "invoke": invoke, "concurrency": concurrency, "options": options}
        return self._declare("register", uri, given)

    def subscriber(
        self,
        topic: str,
        /,
        *,
        match: Match = "exact",
        buffer: int | None = None,
        get_retained: bool = False,
        resume: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> Callable[[H], H]:
        """Declare a handler of events, which is subscribed at each connection. See ``Session.subscribe``."""
        check_uri("topic", topic, match)
        given: dict[str, Any] = {
            "match": match,
            "get_retained": get_retained,
            "resume": resume,
            "options": options,
        }
        if buffer is not None:
            given["buffer"] = buffer
        return self._declare("subscribe", topic, given)

    def _declare(self, method: str, uri: str, options: Mapping[str, Any]) -> Callable[[H], H]:
        def declare(handler: H) -> H:
            from wampasgi.client.handlers import event_plan, procedure_plan

            # A handler that cannot be called is refused now, not at the first connection.
            (procedure_plan if method == "register" else event_plan)(handler, Session)
            self._declarations.append(_Declaration(method, uri, handler, options))
            return handler

        return declare

    def serve(self, implementation: object, /) -> None:
        """Declare the procedures of an implemented contract, see Contract."""
        from wampasgi.client.contract import procedures_of

        for uri, method in procedures_of(implementation):
            self.procedure(uri)(method)

    # Sessions

    async def __aenter__(self) -> Session:
        """Open a session. Raises ConnectFailed, JoinRefused, and WAMPError if a handler is refused."""
        if self._entered is not None:
            raise RuntimeError(f"{self!r} is connected already: make another Client for a second session")
        owner = support_for_running_loop(None).task_owner()
        await owner.__aenter__()
        supervisor = Supervisor(owner, self._settings)
        self._entered = owner, supervisor
        try:
            await self._start_app(owner)
            await supervisor.start()
            session = Session(supervisor)
            for declared in self._declarations:
                await getattr(session, declared.method)(declared.uri, declared.handler, **declared.options)
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return session

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Say GOODBYE, close the connection, and wait until all handlers have ended."""
        assert self._entered is not None
        owner, supervisor = self._entered
        try:
            await supervisor.leave(CLOSE_REALM)
            await self._stop_app(exc)
        finally:
            self._entered = None
            with _slowness_logged(supervisor.requester.handlers):
                await _leave(owner, exc_type, exc, traceback)

    async def _start_app(self, owner: TaskOwner) -> None:
        if self._app is None:
            return
        from wampasgi.client.memory import MemoryTransport

        lifespan = Lifespan(self._app, self._settings.connect_timeout)
        await lifespan.start(owner)
        self._lifespan = lifespan
        transport = self._settings.transport
        assert isinstance(transport, MemoryTransport)
        transport.state = lifespan.state

    async def _stop_app(self, exc: BaseException | None) -> None:
        lifespan, self._lifespan = self._lifespan, None
        if lifespan is None:
            return
        try:
            await lifespan.stop()
        except (ConnectFailed, Timeout):
            if exc is None:
                raise
            logger.exception("the shutdown of the application failed, too")

    async def run(self) -> None:
        """Serve the declared handlers until the session is over, and raise the reason.

        To stop it, cancel it.
        """
        async with self as session:
            await session.wait_closed()


@contextmanager
def _slowness_logged(handlers: Counter[str]) -> Iterator[None]:
    """Log which handlers run if the block takes long. Nothing can interrupt a thread."""
    if not handlers.total():
        yield
        return

    def log() -> None:
        names = ", ".join(name for name, count in handlers.items() if count)
        logger.warning("waiting for the end of handlers, to close the session: %s", names)

    # The handler may block the event loop.
    timer = Timer(_SLOW, log)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


async def _leave(
    owner: TaskOwner,
    exc_type: type[BaseException] | None,
    exc: BaseException | None,
    traceback: TracebackType | None,
) -> None:
    """Wait for the end of all tasks, without wrapping the exception of the block in a group."""
    try:
        await owner.__aexit__(exc_type, exc, traceback)
    except BaseExceptionGroup as group:
        # On trio, a group has the KeyboardInterrupt of the block.
        if len(group.exceptions) != 1 or group.exceptions[0] is not exc:
            raise


def connect(url: str | None = None, **options: Unpack[Options]) -> Client:
    """Make a client, which opens its session when it is entered with ``async with``.

    The arguments are those of Client.
    """
    return Client(url, **options)


def _credentials(options: Options) -> Credentials:
    given: Any = {name: options[name] for name in _OF_CREDENTIALS if name in options}  # type: ignore[literal-required]
    return Credentials(**given)


def _transport(url: str | None, options: Options) -> Transport:
    app = options.get("app")
    if (url is None) == (app is None):
        raise ConfigurationError("pass either the URL of a server or app=, an ASGI application")
    misplaced = [name for name in (_OF_MEMORY if app is None else _OF_WEBSOCKETS) if name in options]
    if misplaced:
        other = "app=" if app is None else "a URL"
        raise ConfigurationError(f"{', '.join(misplaced)}: only a connection with {other} has this option")
    offered, headers = _offered(options), _headers(options)
    if app is not None:
        from wampasgi.client.memory import MemoryTransport

        return MemoryTransport(app, subprotocols=offered, headers=headers, path=options.get("path", "/"))
    assert url is not None
    return _websocket_transport(options.get("websocket", "websockets"))(
        url,
        subprotocols=offered,
        headers=headers,
        ssl_context=options.get("ssl"),
        compression=options.get("compression", False),
        max_size=options.get("max_size", MAX_SIZE),
        ping_interval=options.get("ping_interval", 20.0),
        proxy=options.get("proxy", True),
    )


def _websocket_transport(package: object) -> type[WebSocketTransport] | type[PicowsTransport]:
    """Import and return the transport of a package, which may be missing."""
    if package == "websockets":
        try:
            from wampasgi.client.websocket import WebSocketTransport
        except ImportError as error:
            raise ConfigurationError(
                "connections to a URL need the package websockets: pip install 'wampasgi[client]'"
            ) from error
        return WebSocketTransport
    if package == "picows":
        try:
            from wampasgi.client.picows_transport import PicowsTransport
        except ImportError as error:
            raise ConfigurationError(
                "websocket='picows' needs the package picows 2.3 or newer:"
                f" pip install 'wampasgi[client-fast]' ({error})"
            ) from error
        return PicowsTransport
    names = " or ".join(map(repr, get_args(WebSocketPackage)))
    raise ConfigurationError(f"websocket is {package!r}: pass {names}")


def _offered(options: Options) -> dict[str, Subprotocol]:
    # It imports pydantic, which takes longer than the client.
    from wampasgi.serializers.subprotocols import subprotocols

    given = options.get("serializers")
    chosen = [given] if isinstance(given, str) or hasattr(given, "encode") else given
    known = subprotocols(chosen)  # type: ignore[arg-type] # a single serializer is in a list now
    prefers_batched = options.get("batched", False)
    order = sorted(known, key=lambda name: known[name].batched is not prefers_batched)
    return {name: known[name] for name in order}


def _headers(options: Options) -> list[tuple[str, str]]:
    pairs = list((options.get("headers") or {}).items())
    cookies = options.get("cookies")
    if cookies:
        pairs.append(("Cookie", "; ".join(f"{name}={value}" for name, value in cookies.items())))
    for name, value in pairs:
        if not name or any(mark in f"{name}{value}" for mark in "\r\n") or ":" in name or " " in name:
            # Without the value, which may be a secret.
            raise ConfigurationError(f"the header {name!r} or its value has a character that is not allowed")
    return pairs


def _callback(name: str, function: Callable[[Any], object] | None) -> Callable[[Any], object] | None:
    given: object = function
    if given is not None and (not callable(given) or inspect.iscoroutinefunction(given)):
        raise ConfigurationError(f"{name} is {function!r}: pass a plain function, which must not block")
    return function


def _checked_timeout(name: str, value: float | None) -> float | None:
    if value is not None and not value > 0:
        raise ConfigurationError(f"{name}={value!r}: it must be positive, or None for no limit")
    return value
