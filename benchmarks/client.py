"""WAMP sessions that load a server, on picows: they cost less than what they load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, TypeVar

import cbor2
import orjson
import ormsgpack
import picows

HELLO, WELCOME = 1, 2
EVENT, RESULT, INVOCATION = 36, 50, 68
SUBSCRIBED, REGISTERED = 33, 65

#: How long what must come may take, in seconds, before the run counts as failed.
PATIENCE = 30

ROLES: dict[str, Any] = {"caller": {}, "callee": {}, "publisher": {}, "subscriber": {}}


class WrongAnswer(Exception):
    """What was measured did not do its work: an answer was wrong, or events were lost."""


@dataclass(frozen=True)
class Codec:
    """A format of messages."""

    subprotocol: str
    frame: picows.WSMsgType
    encode: Callable[[list[Any]], bytes]
    decode: Callable[[bytes], Any]


JSON = Codec("wamp.2.json", picows.WSMsgType.TEXT, orjson.dumps, orjson.loads)
MSGPACK = Codec("wamp.2.msgpack", picows.WSMsgType.BINARY, ormsgpack.packb, ormsgpack.unpackb)
CBOR = Codec("wamp.2.cbor", picows.WSMsgType.BINARY, cbor2.dumps, cbor2.loads)


class Client(picows.WSListener):
    """One session. ``received`` of a subclass takes what is no answer to ``ask``."""

    def __init__(self, clients: Clients) -> None:
        self.clients = clients
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.next_request_id = count(1).__next__
        self._asked: dict[int, asyncio.Future[list[Any]]] = {}
        self._encode = clients.codec.encode
        self._decode = clients.codec.decode
        self._frame = clients.codec.frame

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.transport = transport
        self.send([HELLO, self.clients.realm, {"roles": ROLES}])

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type is not self._frame:
            self.clients.fail(f"the server sent {frame.msg_type} in the middle of a session")
            transport.disconnect()
            return
        message = self._decode(frame.get_payload_as_bytes())
        if not self.joined.done():
            if message[0] == WELCOME:
                self.joined.set_result(None)
            else:
                self.clients.fail(f"no WELCOME but {message}")
        elif self._asked and message[0] in (SUBSCRIBED, REGISTERED):
            self._asked.pop(message[1]).set_result(message)
        else:
            self.received(message)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self.clients.fail("the server ended a session")

    def received(self, message: list[Any]) -> None:
        self.clients.fail(f"unexpected: {message}")

    def send(self, message: list[Any]) -> None:
        self.transport.send(self._frame, self._encode(message))

    async def ask(self, code: int, *rest: Any, expect: int) -> list[Any]:
        """Send a request and return its answer, which must have the code ``expect``."""
        request_id = self.next_request_id()
        self._asked[request_id] = asyncio.get_running_loop().create_future()
        self.send([code, request_id, *rest])
        answer = await self.clients.expect(self._asked[request_id])
        if answer[0] != expect:
            raise WrongAnswer(f"{[code, request_id, *rest]} was answered by {answer}")
        return answer


C = TypeVar("C", bound=Client)
T = TypeVar("T")


class Clients:
    """The sessions of one run. What goes wrong in any of them is raised by whatever waits here."""

    def __init__(self, port: int, *, codec: Codec = JSON, realm: str = "default") -> None:
        self.port = port
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
            session.transport.send_close()
        # The server answers each, so that it is done with them before something else is measured.
        try:
            async with asyncio.timeout(PATIENCE):
                for session in self.sessions:
                    await session.transport.wait_disconnected()
        except TimeoutError as late:
            raise WrongAnswer(f"the server has not closed its connections for {PATIENCE} seconds") from late

    async def join(self, client: C) -> C:
        """Open a connection and a session for ``client``."""
        await picows.ws_connect(
            lambda: client,
            f"ws://127.0.0.1:{self.port}/",
            extra_headers={"Sec-WebSocket-Protocol": self.codec.subprotocol},
        )
        self.sessions.append(client)
        await self.expect(client.joined)
        return client

    async def join_many(self, make: Callable[[], C], number: int, *, at_a_time: int = 16) -> list[C]:
        """Open ``number`` sessions."""
        joined: list[C] = []
        left = iter(range(number))

        async def join_some() -> None:
            for _ in left:
                client = await self.join(make())
                joined.append(client)

        await together(*(join_some() for _ in range(min(at_a_time, number))))
        return joined

    def fail(self, reason: str) -> None:
        """Let the run fail, unless it has already, or is over."""
        if not self._leaving and not self._failed.done():
            self._failed.set_exception(WrongAnswer(reason))

    async def expect(self, awaited: asyncio.Future[T]) -> T:
        """Wait for something that comes soon, unless something goes wrong before."""
        await asyncio.wait((awaited, self._failed), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if self._failed.done():
            self._failed.result()
        if not awaited.done():
            raise WrongAnswer(f"something that was to come has not come for {PATIENCE} seconds")
        return awaited.result()

    async def run_for(self, seconds: float) -> None:
        """Let the sessions run, unless something goes wrong."""
        await asyncio.wait((self._failed,), timeout=seconds)
        if self._failed.done():
            self._failed.result()

    async def run_until(self, enough: Callable[[], bool], seconds: float) -> None:
        """Let the sessions run for ``seconds``, and for longer where others have the CPU all that time."""
        await self.run_for(seconds)
        for _ in range(100 * PATIENCE):
            if enough():
                return
            await self.run_for(0.01)
        raise WrongAnswer(f"nothing has come for {PATIENCE} seconds")


async def together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run coroutines to their ends; the first failure is raised as it is and ends the others."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
