"""A session of the load, which keeps all that it receives."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from tests.soak.client import Client, Ended
from wampasgi.protocol.messages import (
    Call,
    Error,
    Event,
    Goodbye,
    Interrupt,
    Invocation,
    Register,
    Subscribe,
)

#: The argument of calls that are never answered by the callee.
HANG: Final = "hang"
NETWORK_FAILURE: Final = "wamp.error.network_failure"


class Failed(Exception):
    """A request was answered with the ERROR ``uri``."""

    def __init__(self, uri: str, args: list[Any]) -> None:
        super().__init__(f"{uri} {args}")
        self.uri = uri


class Unanswered(Exception):
    """A request was not answered in time."""


class Session:
    """A client that answers invocations with their arguments, and keeps events."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.client = Client(self._take, on_violation=self._take_violation)
        self.id = 0
        self._is_connected = False
        #: The time from which it misses no event.
        self.ready_at = float("inf")
        self.subscriptions: dict[str, int] = {}
        self._events: dict[int, list[tuple[int, list[Any]]]] = {}
        self._arrived = asyncio.Event()
        self._is_leaving = False
        self._left = asyncio.Event()
        #: The number of invocations that were interrupted.
        self.interrupts = 0
        #: Messages that no router should send, and why.
        self.unexpected: list[list[Any]] = []

    @property
    def ended(self) -> bool:
        """True if its connection is closed."""
        return self.client.ended.is_set()

    async def open(self, url: str) -> None:
        """Connect and join. Raises OSError, or Ended if the connection is closed first."""
        await self.client.connect(url)
        if not hasattr(self.client, "transport"):
            # The server has closed the connection right after its handshake.
            raise Ended
        self._is_connected = True
        self.id = await self.client.join(self.name)

    async def leave(self, timeout: float = 7.0) -> None:
        """Say goodbye, and wait for the answer or the end. Raises Unanswered."""
        self._is_leaving = True
        self.client.send(Goodbye.code, {}, "wamp.close.close_realm")
        waiting = [asyncio.create_task(event.wait()) for event in (self._left, self.client.ended)]
        try:
            done, _ = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        if not done:
            raise Unanswered(f"{self.name}: no answer to GOODBYE within {timeout} s")

    def close(self) -> None:
        """Close the connection without a goodbye."""
        if self._is_connected:
            self.client.transport.disconnect(False)

    async def request(self, code: int, *rest: Any, timeout: float) -> list[Any]:
        """Return the answer to a request. Raises Failed, Ended, or Unanswered after ``timeout`` seconds."""
        answering = self.client.request(code, *rest)
        done, _ = await asyncio.wait([answering], timeout=timeout)
        if not done:
            raise Unanswered(f"{self.name}: no answer to {[code, *rest]} within {timeout} s")
        answer = answering.result()
        if answer[0] == Error.code:
            raise Failed(answer[4], answer[5] if len(answer) > 5 else [])
        return answer

    async def call(self, procedure: str, *args: Any, timeout: float = 7.0) -> Any:
        """Return the only result of a call. Raises as ``request`` does."""
        answer = await self.request(Call.code, {}, procedure, list(args), timeout=timeout)
        return answer[3][0] if len(answer) > 3 and answer[3] else None

    async def register(self, procedure: str, timeout: float = 7.0) -> None:
        """Register a procedure that returns its first argument."""
        await self.request(Register.code, {}, procedure, timeout=timeout)

    async def subscribe(self, topic: str, timeout: float = 7.0) -> None:
        """Subscribe to a topic."""
        answer = await self.request(Subscribe.code, {}, topic, timeout=timeout)
        self.subscriptions[topic] = answer[2]

    def events(self, topic: str) -> list[tuple[int, list[Any]]]:
        """Return the publication IDs and arguments of all events of a topic so far."""
        return self._events.setdefault(self.subscriptions[topic], [])

    async def wait_for_event(self, topic: str, *args: Any, timeout: float) -> None:
        """Wait until an event with these arguments has arrived. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while all(found != list(args) for _, found in self.events(topic)):
            await self.wait_for_next(deadline - time.monotonic())

    async def wait_for_next(self, timeout: float) -> None:
        """Wait until any event or INTERRUPT arrives. Raises TimeoutError."""
        await asyncio.wait_for(self._arrived.wait(), timeout)

    def _notify(self) -> None:
        self._arrived.set()
        self._arrived = asyncio.Event()

    def _take(self, client: Client, message: list[Any]) -> None:
        code = message[0]
        if code == Event.code:
            events = self._events.setdefault(message[1], [])
            events.append((message[2], message[4] if len(message) > 4 else []))
            self._notify()
        elif code == Invocation.code:
            if message[4] != [HANG]:
                client.answer(message[1], *message[4])
        elif code == Interrupt.code:
            self.interrupts += 1
            self._notify()
            client.refuse(message[1], "wamp.error.canceled")
        elif code == Goodbye.code and self._is_leaving:
            self._left.set()
        else:
            self.unexpected.append(message)

    def _take_violation(self, violation: str) -> None:
        self.unexpected.append([violation])
