"""A uvicorn in a thread, whose ASGI application is a function of the running test."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import uvicorn
from websockets.sync.client import ClientConnection, connect, unix_connect

from tests.transports.raw_websocket import Frame, RawWebSocket, Response, handshake
from tests.transports.uvicorn_server import TRANSPORTS
from wampasgi.types import Receive, Scope, Send

T = TypeVar("T")

#: In seconds. Longer than any step of a test takes on a busy machine.
PATIENCE = 5.0

#: The state that the lifespan of each server sets.
LIFESPAN_STATE = {"name": "probe", "shared": ["from the lifespan"]}


class Connection:
    """One connection, as the application that serves it sees it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send

    async def accept(self, **fields: Any) -> None:
        """Receive the connect event and accept the connection."""
        event = await self.receive()
        assert event == {"type": "websocket.connect"}, event
        await self.send({"type": "websocket.accept", **fields})

    async def text(self) -> str:
        """Receive a text message."""
        event = await self.receive()
        assert event["type"] == "websocket.receive", event
        text: str = event["text"]
        return text

    async def send_text(self, text: str) -> None:
        """Send a text message."""
        await self.send({"type": "websocket.send", "text": text})

    async def close(self, **fields: Any) -> None:
        """Close the connection."""
        await self.send({"type": "websocket.close", **fields})

    async def disconnected(self) -> tuple[int, str]:
        """Receive the disconnect event and return its code and reason."""
        event = await self.receive()
        assert event["type"] == "websocket.disconnect", event
        return event["code"], event.get("reason") or ""


Application: TypeAlias = Callable[[Connection], Awaitable[Any]]


class Signal:
    """An event that lets an application wait for the test, or the test for an application."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Wake what waits."""
        self._event.set()

    def wait(self) -> None:
        """Wait in the test."""
        assert self._event.wait(PATIENCE), "the application has not come this far"

    async def waited(self) -> None:
        """Wait in an application, while the event loop goes on."""
        assert await asyncio.to_thread(self._event.wait, PATIENCE), "the test has not come this far"


class Served:
    """The connections that one application serves."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._outcomes: queue.Queue[Future[Any]] = queue.Queue()

    def outcome(self, timeout: float = PATIENCE) -> Any:
        """Return the result of the application for the next connection, or raise its exception.

        Raises TimeoutError if the application has not ended in time.
        """
        outcome = self._outcomes.get(timeout=PATIENCE)
        try:
            return outcome.result(timeout)
        except TimeoutError:
            if not outcome.done():
                self._outcomes.put(outcome)
            raise

    async def serve(self, connection: Connection) -> None:
        """Run the application."""
        outcome: Future[Any] = Future()
        self._outcomes.put(outcome)
        try:
            outcome.set_result(await self._application(connection))
        except BaseException as error:
            outcome.set_exception(error)
            raise


class RawClient(RawWebSocket):
    """A client that answers nothing by itself, neither ping nor close."""

    def frame_within(self, timeout: float) -> Frame | None:
        """Read a short frame; return None if there is none within a time in seconds."""
        return self._within(timeout, self.read_frame)

    def response_within(self, timeout: float) -> Response | None:
        """Read an HTTP response; return None if there is none within a time in seconds."""
        return self._within(timeout, self.read_response)

    def _within(self, timeout: float, read: Callable[[], T]) -> T | None:
        self._socket.settimeout(timeout)
        try:
            return read()
        except TimeoutError:
            return None
        finally:
            self._socket.settimeout(PATIENCE)


class ApplicationServer:
    """A uvicorn with one of the transports, and with further arguments of uvicorn.Config.

    By default, it serves the applications of the running test.
    """

    def __init__(self, kind: str, **options: Any) -> None:
        transport = TRANSPORTS[kind]
        self.kind = kind
        self._served: Served | None = None
        # Without handlers of its own, so that uvicorn doesn't change the logging of the other tests.
        defaults = {
            "app": self,
            "port": 0,
            "log_config": None,
            "log_level": "info",
            "timeout_graceful_shutdown": 2,
        }
        selected = {name[2:]: value for name, value in zip(transport[::2], transport[1::2], strict=True)}
        self._server = uvicorn.Server(uvicorn.Config(**{**defaults, **selected, **options}))
        self._thread = threading.Thread(target=self._server.run, name=f"uvicorn {kind}", daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started or not self._thread.is_alive())
        assert self._server.started, "uvicorn has ended instead of accepting connections"
        self.address = self._server.servers[0].sockets[0].getsockname()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self.address[1]
        return port

    def serve(self, application: Application) -> Served:
        """Serve an application on each path, until the next call."""
        self._served = Served(application)
        return self._served

    def connect(self, target: str = "/", **options: Any) -> ClientConnection:
        """Open a connection with the client of `websockets`, without compression."""
        options = {"compression": None, "ping_interval": None, "close_timeout": PATIENCE, **options}
        client: ClientConnection
        if isinstance(self.address, str):
            client = unix_connect(self.address, f"ws://localhost{target}", **options)
        else:
            scheme = "wss" if "ssl" in options else "ws"
            client = connect(f"{scheme}://127.0.0.1:{self.port}{target}", proxy=None, **options)
        return client

    def visit(self, target: str = "/", **options: Any) -> None:
        """Open a connection and close it."""
        with self.connect(target, **options):
            pass

    def raw(self, request: bytes | None = None, **options: Any) -> RawClient:
        """Connect to 127.0.0.1 and send a handshake, or another request."""
        client = RawClient(self.port, **options)
        client.send(handshake() if request is None else request)
        return client

    def raw_accepted(self, target: str = "/", **options: Any) -> RawClient:
        """Connect to 127.0.0.1 and wait until the connection is accepted."""
        client = self.raw(handshake(target), **options)
        assert client.read_response().status == 101
        return client

    @property
    def running(self) -> bool:
        """Return whether the server has not ended."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Request a graceful shutdown. Don't wait for its end."""
        self._server.should_exit = True

    def ends_within(self, timeout: float) -> bool:
        """Wait for the end of the shutdown; return False if it takes longer than a time in seconds."""
        self._thread.join(timeout)
        return not self.running

    def join(self) -> None:
        """Wait for the end of the shutdown."""
        assert self.ends_within(PATIENCE), "the shutdown takes too long"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve HTTP by a fixed response, and WebSockets by the application of the running test."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "http":
            headers = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"plain"})
        else:
            assert self._served is not None
            await self._served.serve(Connection(scope, receive, send))

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        scope["state"].update(LIFESPAN_STATE)
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await send({"type": "lifespan.shutdown.complete"})


class Servers:
    """The servers of one module of tests. Each is started when a test first needs it."""

    def __init__(self) -> None:
        self._servers: dict[tuple[str, str], ApplicationServer] = {}

    def __call__(self, kind: str, **options: Any) -> ApplicationServer:
        """Return the server with these options."""
        key = (kind, repr(sorted(options.items())))
        if key not in self._servers:
            self._servers[key] = ApplicationServer(kind, **options)
        return self._servers[key]

    def stop(self) -> None:
        """Stop all servers at the same time."""
        for server in self._servers.values():
            server.stop()
        for server in self._servers.values():
            server.join()


@contextmanager
def running_servers() -> Iterator[Servers]:
    """Stop the servers of a module at the end."""
    servers = Servers()
    try:
        yield servers
    finally:
        servers.stop()


class ServerLog(logging.Handler):
    """The log messages of all servers in this process, each with the exception that belongs to it."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[str, BaseException | None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        error = record.exc_info[1] if record.exc_info else None
        self.entries.append((record.getMessage().strip(), error))

    def wait_for(self, message: str) -> BaseException | None:
        """Wait until a message that contains the text is logged, and return its exception."""

        def found() -> bool:
            return any(message in logged for logged, _ in self.entries)

        wait_until(found, lambda: f"{message!r} is not logged; the log has {self.entries}")
        return next(error for logged, error in self.entries if message in logged)


@contextmanager
def server_log() -> Iterator[ServerLog]:
    """Collect the messages that uvicorn logs while the context is open."""
    log, logger = ServerLog(), logging.getLogger("uvicorn.error")
    logger.addHandler(log)
    try:
        yield log
    finally:
        logger.removeHandler(log)


def wait_until(condition: Callable[[], bool], failure: Callable[[], str] = lambda: "not in time") -> None:
    """Wait until a condition is true; raise AssertionError if that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, failure()
        time.sleep(0.005)
