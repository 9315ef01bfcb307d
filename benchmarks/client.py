"""WAMP sessions that load a server; they use picows, so that the client costs less than the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, TypeVar

import cbor2
import orjson
import ormsgpack
import picows

from wampasgi.client.core import CLIENT_FEATURES, Recipient, SessionCore
from wampasgi.errors import RemoteProtocolError
from wampasgi.protocol.messages import Error, Message, Welcome
from wampasgi.types import RawMessage

#: Longest wait for an expected message, in seconds, before the run fails.
PATIENCE = 30

#: HELLO.Details.roles. Without features, so that their number does not change the cost of joining.
ROLES: Final[dict[str, Any]] = {role: {} for role in CLIENT_FEATURES}


class WrongAnswer(Exception):
    """Raised if the measured server gives a wrong answer or loses events."""


@dataclass(frozen=True)
class Codec:
    """A message format: its subprotocol, frame type and functions."""

    subprotocol: str
    frame: picows.WSMsgType
    encode: Callable[[list[Any]], bytes]
    decode: Callable[[bytes], Any]


JSON = Codec("wamp.2.json", picows.WSMsgType.TEXT, orjson.dumps, orjson.loads)
MSGPACK = Codec("wamp.2.msgpack", picows.WSMsgType.BINARY, ormsgpack.packb, ormsgpack.unpackb)
CBOR = Codec("wamp.2.cbor", picows.WSMsgType.BINARY, cbor2.dumps, cbor2.loads)


class Client(picows.WSListener):
    """One session, which the session core of wampasgi's client checks.

    Subclasses override ``receive`` for events, invocations, and answers to the requests that they make with
    ``core``. They override ``take`` for messages that the core's checks would make dearer here than for the
    server.
    """

    def __init__(self, clients: Clients) -> None:
        self.clients = clients
        self.core: SessionCore[Recipient] = SessionCore()
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._encode = clients.codec.encode
        self._decode = clients.codec.decode
        self._frame = clients.codec.frame

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.transport = transport
        self.send(self.core.hello(self.clients.realm, {"roles": ROLES}))

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type is not self._frame:
            self.clients.fail(f"the server sent {frame.msg_type} in the middle of a session")
            transport.disconnect()
            return
        self.take(self._decode(frame.get_payload_as_bytes()))

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self.clients.fail("the server ended a session")

    def take(self, raw: RawMessage) -> None:
        """Check a message and pass it on."""
        try:
            recipient, message = self.core.receive(raw)
        except RemoteProtocolError as error:
            self.clients.fail(f"the server sent {raw}: {error.message}")
            return
        if recipient is not None:
            recipient.receive(message)
        elif isinstance(message, Welcome):
            self.joined.set_result(None)
        else:
            self.clients.fail(f"unexpected message: {message}")

    def receive(self, message: Any) -> None:
        """Take a message that this session waits for, in parsed form."""
        self.clients.fail(f"unexpected message: {message}")

    def send(self, message: RawMessage) -> None:
        self.transport.send(self._frame, self._encode(message))

    async def subscribe(self, topic: str, **options: Any) -> None:
        """Subscribe to a topic. Raises WrongAnswer for an ERROR."""
        answer = Answer()
        await self._acknowledge(self.core.subscribe(answer, self, topic, options), answer)

    async def register(self, procedure: str) -> None:
        """Register a procedure. Raises WrongAnswer for an ERROR."""
        answer = Answer()
        await self._acknowledge(self.core.register(answer, self, procedure, {}), answer)

    async def _acknowledge(self, request: RawMessage, answer: Answer) -> None:
        self.send(request)
        message = await self.clients.expect(answer.future)
        if isinstance(message, Error):
            raise WrongAnswer(f"{request} was answered by {message}")


class Answer:
    """A recipient that completes a future with the answer to one request."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    def receive(self, message: Message) -> None:
        """Take the answer."""
        self.future.set_result(message)


C = TypeVar("C", bound=Client)
T = TypeVar("T")


class Clients:
    """The sessions of one run. An error in any of them is raised by the methods that wait."""

    def __init__(self, url: str, *, codec: Codec = JSON, realm: str = "default") -> None:
        self.url = url
        self.codec = codec
        self.realm = realm
        self.sessions: list[Client] = []
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._leaving = False

    async def __aenter__(self) -> Clients:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving = True
        self._failed.cancel()
        for session in self.sessions:
            session.transport.send_close(picows.WSCloseCode.OK)
        # Wait for the server to close them, so that they do not affect the next measurement.
        try:
            async with asyncio.timeout(PATIENCE):
                for session in self.sessions:
                    await session.transport.wait_disconnected()
        except TimeoutError as late:
            raise WrongAnswer(f"the server did not close its connections within {PATIENCE} seconds") from late

    async def join(self, client: C, *, url: str | None = None) -> C:
        """Open a connection and a session for ``client``; ``url`` is that of another worker."""
        await picows.ws_connect(
            lambda: client,
            url or self.url,
            extra_headers={"Sec-WebSocket-Protocol": self.codec.subprotocol},
        )
        self.sessions.append(client)
        await self.expect(client.joined)
        return client

    async def join_many(
        self, make: Callable[[], C], number: int, *, at_a_time: int = 16, url: str | None = None
    ) -> list[C]:
        """Open ``number`` sessions, ``at_a_time`` of them concurrently."""
        joined: list[C] = []
        left = iter(range(number))

        async def join_some() -> None:
            for _ in left:
                client = await self.join(make(), url=url)
                joined.append(client)

        await run_concurrently(*(join_some() for _ in range(min(at_a_time, number))))
        return joined

    def fail(self, reason: str) -> None:
        """Mark the run as failed, unless it has failed already or is over."""
        if not self._leaving and not self._failed.done():
            self._failed.set_exception(WrongAnswer(reason))

    async def expect(self, future: asyncio.Future[T]) -> T:
        """Wait for a future; raise WrongAnswer if the run fails first or after PATIENCE seconds."""
        await asyncio.wait((future, self._failed), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if self._failed.done():
            self._failed.result()
        if not future.done():
            raise WrongAnswer(f"an expected message did not arrive within {PATIENCE} seconds")
        return future.result()

    async def run_for(self, seconds: float) -> None:
        """Let the sessions run for ``seconds``; raise WrongAnswer if the run fails."""
        await asyncio.wait((self._failed,), timeout=seconds)
        if self._failed.done():
            self._failed.result()

    async def run_until(self, enough: Callable[[], bool], seconds: float) -> None:
        """Let the sessions run for ``seconds``, or longer until ``enough``, for example on a busy machine."""
        await self.run_for(seconds)
        for _ in range(100 * PATIENCE):
            if enough():
                return
            await self.run_for(0.01)
        raise WrongAnswer(f"no message arrived within {PATIENCE} seconds")


async def run_concurrently(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run coroutines concurrently; the first error cancels the others and is raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
