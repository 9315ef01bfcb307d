"""The test client for tests that are coroutines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

import anyio
import httpx2

from wampasgi.adapters import support_for_running_loop
from wampasgi.client import Client, ConnectFailed, Events
from wampasgi.client import Timeout as ClientTimeout
from wampasgi.client.client import Options
from wampasgi.client.lifespan import Lifespan
from wampasgi.errors import ConfigurationError
from wampasgi.realm import Realm
from wampasgi.serializers import Serializer
from wampasgi.testing.client_options import options_of_test
from wampasgi.testing.errors import ExpectationFailed, Timeout
from wampasgi.types import ASGIApp, Receive, Scope, Send


class HTTPOptions(TypedDict, total=False):
    """The options of httpx2.AsyncClient that concern requests in memory."""

    base_url: str
    headers: Any
    cookies: Any
    params: Any
    auth: Any
    follow_redirects: bool


class AsyncTestClient(httpx2.AsyncClient):
    """The async twin of TestClient: HTTP requests, and sessions of ``wampasgi.client``, in memory.

    Enter it with ``async with`` to run the application's lifespan. Everything runs in the event loop of the
    test, on asyncio or trio. Exceptions of HTTP handlers are raised in the test, unless
    ``raise_app_exceptions`` is False.

    ``path`` is the path of the WAMP endpoint. ``timeout`` limits, in seconds, each wait of a session, and the
    startup and the shutdown of the application. ``serializers`` are those to offer, by default all that are
    installed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        timeout: float = 5.0,
        path: str = "/",
        serializers: Iterable[Serializer | str] | None = None,
        root_path: str = "",
        raise_app_exceptions: bool = True,
        **options: Unpack[HTTPOptions],
    ) -> None:
        if isinstance(app, Realm):
            raise ConfigurationError(f"AsyncTestClient got {app!r}: test the application that it is part of")
        transport = httpx2.ASGITransport(
            self._serve, raise_app_exceptions=raise_app_exceptions, root_path=root_path
        )
        defaults: HTTPOptions = {"base_url": "http://testserver", "follow_redirects": True}
        given: HTTPOptions = {**defaults, **options}
        super().__init__(transport=transport, timeout=timeout, **given)
        self.app = app
        self.wamp_path = path
        self.wamp_timeout = timeout
        self._serializers = serializers
        self._root_path = root_path
        self._lifespan_state: dict[str, Any] = {}
        self._running = AsyncExitStack()

    def connect(self, **options: Unpack[Options]) -> Client:
        """Return a client of the application: ``async with client.connect(realm="shop") as session``.

        ``options`` are those of ``wampasgi.client.Client``. By default, ``path``, ``timeout`` and the
        serializers are those of this client, whose headers and cookies are sent, too; ``retry`` is None, so
        that a lost connection is an error at once.
        """
        arguments = options_of_test(
            self._serve,
            options,
            path=self.wamp_path,
            timeout=self.wamp_timeout,
            serializers=self._serializers,
            headers=self.headers,
            cookies=self.cookies,
        )
        return Client(**arguments)

    async def settle(self) -> None:
        """Wait until all other tasks are blocked, be it on a timer, a thread or the network.

        The application has then handled all messages. Raises Timeout.
        """
        with anyio.move_on_after(self.wamp_timeout) as scope:
            await anyio.wait_all_tasks_blocked()
        if scope.cancelled_caught:
            raise Timeout(f"waited {self.wamp_timeout:g} s until all tasks are blocked")

    async def assert_none(self, events: Events[Any]) -> None:
        """Wait like ``settle``, without sleeping, then assert that there is no event to read.

        Raises ExpectationFailed with the first event if there is one.
        """
        await self.settle()
        try:
            event = await events.next(timeout=0)
        except ClientTimeout:
            return
        raise ExpectationFailed(f"expected no event of {events.topic!r}, but got {event!r}")

    async def __aenter__(self) -> Self:
        """Start the application. Raises the exception of a startup that fails, and Timeout."""
        await super().__aenter__()
        async with AsyncExitStack() as stack:
            stack.push_async_exit(super().__aexit__)
            self._lifespan_state = await stack.enter_async_context(_lifespan(self.app, self.wamp_timeout))
            self._running = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Shut the application down. Raises the exception of a shutdown that fails, and Timeout."""
        await self._running.__aexit__(exc_type, exc_value, traceback)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a WebSocket, with the parts of the scope that a server adds."""
        scope.update(root_path=self._root_path, state=dict(self._lifespan_state))
        await self.app(scope, receive, send)


@asynccontextmanager
async def _lifespan(app: ASGIApp, timeout: float) -> AsyncIterator[dict[str, Any]]:
    """Run the lifespan of an application, and return its state."""
    async with support_for_running_loop(None).task_owner() as owner:
        lifespan = Lifespan(app, timeout)
        with _causes_raised():
            await lifespan.start(owner)
        try:
            yield lifespan.state
        except BaseException as failure:
            # It must not hide the failure of the test.
            try:
                with anyio.CancelScope(shield=True), _causes_raised():
                    await lifespan.stop()
            except Exception as late:  # noqa: BLE001 - noted
                failure.add_note(f"Then the shutdown of the application failed: {late!r}")
            raise
        with _causes_raised():
            await lifespan.stop()


@contextmanager
def _causes_raised() -> Iterator[None]:
    """Raise the exception of the application instead of the client's."""
    try:
        yield
    except ConnectFailed as error:
        raise error.__cause__ or error from None
    except ClientTimeout as error:
        raise Timeout(str(error)) from None
