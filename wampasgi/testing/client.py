"""The test client, which opens WebSockets and sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, TypedDict, TypeVar, Unpack

import starlette.testclient
from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.websockets import WebSocketDisconnect

from wampasgi.application import Application
from wampasgi.client.client import Options
from wampasgi.client.credentials import CredentialOptions, Credentials
from wampasgi.client.errors import errors_by_uri
from wampasgi.client.sync import SyncSession, connect_sync
from wampasgi.errors import ConfigurationError, WAMPError
from wampasgi.realm import Realm
from wampasgi.serializers import SUBPROTOCOLS, Serializer, subprotocols
from wampasgi.testing.client_options import options_of_test
from wampasgi.testing.connection import WAMPConnection
from wampasgi.testing.errors import ExpectationFailed, Timeout
from wampasgi.testing.handshake import open_session
from wampasgi.testing.session import WAMPSession
from wampasgi.testing.socket import AppExit, ServedSocket
from wampasgi.testing.wire import Wire, within
from wampasgi.types import ASGIApp, Receive, Scope, Send

T = TypeVar("T")


class StarletteOptions(TypedDict, total=False):
    """The options of Starlette's TestClient."""

    base_url: str
    raise_server_exceptions: bool
    root_path: str
    backend: Literal["asyncio", "trio"]
    backend_options: dict[str, Any] | None
    cookies: Any
    headers: dict[str, str] | None
    follow_redirects: bool
    client: tuple[str, int]


class TestClient(starlette.testclient.TestClient):
    """A Starlette TestClient that also speaks WAMP.

    ``path`` is the path of the WAMP endpoint. ``timeout`` limits, in seconds, each wait for a WAMP message,
    and the startup and the shutdown of the application. Both can be overridden for each session.

    The client supports all serializers of the framework whose packages are installed. If ``app`` is an
    Application, it also supports the serializers of that application. If ``app`` only contains an
    Application with serializers of your own, pass them as ``serializers``. All other options, such as
    ``backend="trio"``, are options of Starlette's TestClient.

    Enter the client as a context manager to run the application's lifespan. If it is not entered, sessions
    that are open at the same time share an event loop, but an HTTP request without an open session runs in
    an event loop of its own.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        timeout: float = 5.0,
        path: str = "/",
        serializers: Iterable[Serializer | str] | None = None,
        **options: Unpack[StarletteOptions],
    ) -> None:
        if isinstance(app, Realm):
            raise ConfigurationError(f"TestClient got {app!r}: test the application that it is part of")
        super().__init__(app, **options)
        self._root_path = options.get("root_path", "")
        self._subprotocols = {
            **SUBPROTOCOLS,
            **(app.subprotocols if isinstance(app, Application) else {}),
            **({} if serializers is None else subprotocols(serializers)),
        }
        self.wamp_path = path
        self.wamp_timeout = timeout
        self._loop_users = 0
        self._loop: AbstractContextManager[BlockingPortal] | None = None
        self._wires: list[Wire] = []

    @contextmanager
    def wamp_session(
        self,
        realm: str = "default",
        *,
        subprotocol: str | Sequence[str] = "wamp.2.json",
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        connection: WAMPConnection | None = None,
        hello: Mapping[str, Any] | None = None,
        errors: Iterable[type[WAMPError]] = (),
        answers_goodbye: bool = True,
        timeout: float | None = None,
        **identity: Unpack[CredentialOptions],
    ) -> Iterator[WAMPSession]:
        """Open a session on ``realm``. Leaving it sends GOODBYE and waits until all its handlers have ended.

        The identity is given as to ``wampasgi.client.connect``: ``authid``, and at most one of ``ticket``,
        ``secret`` (the password for WAMP-SCRAM or WAMP-CRA), ``private_key`` (for cryptosign) and
        ``on_challenge`` with ``authmethods``; ``authextra`` is added to HELLO. ``hello`` are entries of
        HELLO.Details to add or to replace. ``errors`` are subclasses of WAMPError with a URI; an ERROR with
        this URI is raised as its class.

        A GOODBYE from the server is answered at once, unless ``answers_goodbye`` is False. ``connection`` is
        an open connection to use, since a WebSocket can serve another session after GOODBYE. The other
        arguments are the same as for ``wamp_connect``.

        Raises SessionAborted for ABORT, and ConfigurationError for credentials that do not fit together. If
        an exception leaves the session, only the WebSocket is closed.
        """
        credentials = Credentials(**identity)
        classes = errors_by_uri(errors)
        with ExitStack() as stack:
            if connection is None:
                connection = stack.enter_context(
                    self.wamp_connect(
                        subprotocol=subprotocol, path=path, headers=headers, cookies=cookies, timeout=timeout
                    )
                )
            elif timeout is not None:
                connection.wire.timeout = timeout
            wire = connection.wire
            core, welcome = open_session(
                wire, realm, credentials, hello or {}, answers_goodbye=answers_goodbye
            )
            session = WAMPSession(wire, core, welcome, classes)
            yield session
            if not session.over:
                session.goodbye()

    @contextmanager
    def connect_sync(self, **options: Unpack[Options]) -> Iterator[SyncSession]:
        """Open a session of ``wampasgi.client.connect_sync`` on the application, in this client's event loop.

        Use it to test code that gets such a session, or if handlers must run while the test does something
        else. ``options`` are those of ``wampasgi.client.Client``. By default, ``path``, ``timeout`` and the
        serializers are those of this client, whose headers and cookies are sent, too; ``retry`` is None, so
        that a lost connection is an error at once.
        """
        serializers = dict.fromkeys(each.serializer for each in self._subprotocols.values())
        arguments = options_of_test(
            self._serve_websocket,
            options,
            path=self.wamp_path,
            timeout=self.wamp_timeout,
            serializers=list(serializers),
            headers=self.headers,
            cookies=self.cookies,
        )
        with ExitStack() as stack:
            portal = self._enter_loop()
            stack.push(self._leave_loop)
            yield stack.enter_context(connect_sync(portal=portal, **arguments))

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection of ``connect_sync``, with what Starlette adds to the scope."""
        scope.update(root_path=self._root_path, state=self.app_state.copy())
        await self.app(scope, receive, send)

    @contextmanager
    def wamp_connect(
        self,
        *,
        subprotocol: str | Sequence[str] = "wamp.2.json",
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Iterator[WAMPConnection]:
        """Open a WebSocket without a session, for tests of the protocol itself. Leaving it closes it.

        ``subprotocol`` is one subprotocol to offer, or several. ``path``, which can have a query string, and
        ``timeout`` override those of the client. ``cookies`` are added to the client's.

        Raises Starlette's WebSocketDisconnect if the application refuses the WebSocket, its subclass
        WebSocketDenialResponse if the refusal has an HTTP response, and Timeout if the application does not
        answer.
        """
        offered = [subprotocol] if isinstance(subprotocol, str) else list(subprotocol)
        sent = dict(headers or {})
        if cookies:
            sent["cookie"] = "; ".join(
                f"{name}={value}" for name, value in {**self.cookies, **cookies}.items()
            )
        bound = self.wamp_timeout if timeout is None else timeout
        with ExitStack() as stack:
            self._enter_loop()
            stack.push(self._leave_loop)
            wire = self._open_wire(self.wamp_path if path is None else path, offered, sent, bound)
            self._wires.append(wire)
            stack.push(partial(self._close_wire, wire))
            yield WAMPConnection(wire)

    def __enter__(self) -> Self:
        """Start the application.

        Raises the exception of a startup that fails, and Timeout if the startup does not finish.
        """
        if self._loop is not None:
            raise RuntimeError("enter the TestClient before it opens its first WAMP session, or not at all")
        return self._run_lifespan("the application's startup", super().__enter__)

    def __exit__(self, *args: Any) -> None:
        """Close open WebSockets and shut the application down. Raises Timeout if that does not finish."""
        for wire in reversed(self._wires.copy()):
            self._close_wire(wire, *args)
        shut_down = partial(super().__exit__, *args)
        failure = args[1] if len(args) > 1 else None
        _close_after(failure, partial(self._run_lifespan, "the application's shutdown", shut_down))

    def _run_lifespan(self, phase: str, run: Callable[[], T]) -> T:
        try:
            return within(self.wamp_timeout, phase, run)
        except Timeout as late:
            portal = self.portal
            if portal is not None:
                cancel = partial(portal.start_task_soon, portal.stop, True)
                # RuntimeError: the event loop has ended in the meantime.
                with suppress(RuntimeError):
                    _close_after(late, partial(within, self.wamp_timeout, "its cancellation", cancel))
            raise

    # Event loop

    def _enter_loop(self) -> BlockingPortal:
        if self.portal is None:
            self._loop = start_blocking_portal(**self.async_backend)
            self.portal = self._loop.__enter__()
        self._loop_users += 1
        return self.portal

    def _leave_loop(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop_users -= 1
        if self._loop is None or self._loop_users:
            return
        leave = partial(
            within, self.wamp_timeout, "the end of the event loop", self._loop.__exit__, None, None, None
        )
        self._loop = self.portal = None
        _close_after(failure, leave)

    # WebSockets

    def _open_wire(self, path: str, offered: list[str], headers: dict[str, str], timeout: float) -> Wire:
        served = ServedSocket(self.app, subprotocols=self._subprotocols, accept_timeout=timeout)
        websocket = self.websocket_connect(path, offered, headers=headers)
        websocket.app = served
        where = f"the WebSocket at {path!r}, offered {', '.join(offered) or 'no subprotocol'}"
        try:
            # ServedSocket applies ``timeout``. This longer one is needed if the event loop is blocked.
            within(2 * timeout, f"the answer to {where},", websocket.__enter__)
        except WebSocketDisconnect as refusal:
            if served.unanswered is not None:
                _raise_without_answer(served.unanswered, where, timeout)
            # Starlette leaves them empty, so that the exception would have no text.
            refusal.args = (_describe_refusal(refusal, where),)
            raise
        if served.subprotocol is None or served.subprotocol.name not in offered:
            within(timeout, "the end of the WebSocket", websocket.__exit__, None, None, None)
            raise ExpectationFailed(
                f"the application accepted {where}, with subprotocol {websocket.accepted_subprotocol!r}"
            )
        return Wire(served, websocket, served.subprotocol, timeout)

    def _close_wire(
        self,
        wire: Wire,
        kind: type[BaseException] | None = None,
        failure: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        if wire not in self._wires:
            return
        self._wires.remove(wire)
        # After a Timeout, do not wait for the application a second time.
        _close_after(failure, partial(wire.close, at_once=isinstance(failure, Timeout)))


def _close_after(failure: BaseException | None, close: Callable[[], object]) -> None:
    """Call ``close``. If it times out, do not hide ``failure``, the exception that fails the test."""
    try:
        close()
    except Timeout as late:
        if failure is None:
            raise
        failure.add_note(f"Then {late}")


def _raise_without_answer(app_exit: AppExit, where: str, timeout: float) -> NoReturn:
    if app_exit.error is not None:
        raise app_exit.error
    if app_exit.cancelled:
        raise Timeout(f"waited {timeout:g} s for the application to accept {where}") from None
    raise ExpectationFailed(f"the application returned, but neither accepted nor refused {where}") from None


def _describe_refusal(refusal: WebSocketDisconnect, where: str) -> str:
    if isinstance(refusal, starlette.testclient.WebSocketDenialResponse):
        return f"the application refused {where}: {refusal.status_code} {refusal.text}"
    return (
        f"the application refused {where}: close code {refusal.code} {refusal.reason!r}; "
        "is there a WebSocket endpoint at exactly this path (path=)?"
    )
