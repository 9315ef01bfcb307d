"""A small WAMP client, with as much of WAMP as the demonstration needs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

HELLO, WELCOME, ERROR, PUBLISH, SUBSCRIBE, EVENT = 1, 2, 8, 16, 32, 36
CALL, RESULT, REGISTER, INVOCATION, YIELD = 48, 50, 64, 68, 70

#: Longest wait for an answer, in seconds. A worker that is killed is noticed within 6 to 7 seconds.
TIMEOUT = 15.0
ROLES: dict[str, Any] = {"caller": {}, "callee": {}, "publisher": {}, "subscriber": {}}


class CallFailed(Exception):
    """An ERROR; ``uri`` is its error URI."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.uri = uri


class Client:
    """A session. ``events`` receives the first argument of each event."""

    def __init__(self, connection: ClientConnection, session_id: int) -> None:
        self.session_id = session_id
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self._connection = connection
        self._request_ids = count(1)
        self._answers: dict[int, asyncio.Future[list[Any]]] = {}
        self._handlers: dict[int, Callable[[Any], Any]] = {}

    async def call(self, procedure: str, *args: Any) -> Any:
        """Call a procedure and return its result. Raises CallFailed for an ERROR."""
        answer = await self._ask(CALL, {}, procedure, list(args))
        return answer[3][0] if len(answer) > 3 and answer[3] else None

    async def publish(self, topic: str, value: Any) -> None:
        """Publish an event with one argument, and wait until the router has distributed it."""
        await self._ask(PUBLISH, {"acknowledge": True}, topic, [value])

    async def subscribe(self, topic: str) -> None:
        """Subscribe to a topic."""
        await self._ask(SUBSCRIBE, {}, topic)

    async def register(self, procedure: str, handler: Callable[[Any], Any]) -> None:
        """Register a procedure with one argument. If the handler returns None, there is no answer."""
        answer = await self._ask(REGISTER, {}, procedure)
        self._handlers[answer[2]] = handler

    async def _ask(self, code: int, *rest: Any) -> list[Any]:
        request_id = next(self._request_ids)
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._answers[request_id] = answer
        await self._connection.send(json.dumps([code, request_id, *rest]))
        async with asyncio.timeout(TIMEOUT):
            message = await answer
        if message[0] == ERROR:
            raise CallFailed(message[4])
        return message

    async def read(self) -> None:
        """Handle messages until the connection ends, because the client leaves or the worker was killed."""
        try:
            async for text in self._connection:
                await self._handle(json.loads(text))
        except ConnectionClosed:
            pass

    async def _handle(self, message: list[Any]) -> None:
        code = message[0]
        if code == EVENT:
            self.events.put_nowait(message[4][0])
        elif code == INVOCATION:
            value = self._handlers[message[2]](message[4][0])
            if value is not None:
                await self._connection.send(json.dumps([YIELD, message[1], {}, [value]]))
        else:
            self._answers.pop(message[2] if code == ERROR else message[1]).set_result(message)


@asynccontextmanager
async def joined(url: str) -> AsyncIterator[Client]:
    """Open a session on the worker at ``url``."""
    async with connect(url, subprotocols=[Subprotocol("wamp.2.json")], open_timeout=TIMEOUT) as connection:
        await connection.send(json.dumps([HELLO, "default", {"roles": ROLES}]))
        async with asyncio.timeout(TIMEOUT):
            message = json.loads(await connection.recv())
        if message[0] != WELCOME:
            raise CallFailed(message[2])
        client = Client(connection, message[1])
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(client.read())
            yield client
            reader.cancel()
