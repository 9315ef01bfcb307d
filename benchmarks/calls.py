"""Loads of calls: many in flight, one in flight, from one client to another."""

from __future__ import annotations

import asyncio
import statistics
import time
from itertools import count
from typing import Any, Final

from benchmarks.client import JSON, Client, Clients, Codec, run_concurrently
from benchmarks.measurement import CALLS_PER_SECOND, MESSAGES_PER_SECOND, P50, Measurement, measure_rate
from benchmarks.servers import Server
from wampasgi.protocol.messages import Call, Invocation, Result, Yield
from wampasgi.types import RawMessage

_CALL: Final = Call.code
_RESULT: Final = Result.code
_INVOCATION: Final = Invocation.code
_YIELD: Final = Yield.code

# New names in each run, because xconn keeps the registrations of clients that left without GOODBYE.
NAMES = count()


class Caller(Client):
    """Keeps calls of one procedure in flight, and counts the correct results.

    It takes them unparsed. Even so, a call costs it slightly more than the bare app on picows.
    """

    def __init__(self, clients: Clients, procedure: str, args: list[Any]) -> None:
        super().__init__(clients)
        self.results = 0
        self._procedure = procedure
        self._args = args
        self._in_flight: set[int] = set()
        self._done: asyncio.Future[None] | None = None

    def call(self) -> None:
        request_id = self.core.next_request_id()
        self._in_flight.add(request_id)
        self.send([_CALL, request_id, {}, self._procedure, self._args])

    def take(self, raw: RawMessage) -> None:
        if not self._in_flight:
            super().take(raw)
            return
        if raw[0] != _RESULT or raw[1] not in self._in_flight or raw[3] != self._args:
            self.clients.fail(f"{self._procedure}{self._args} was answered by {raw}")
            return
        self._in_flight.discard(raw[1])
        self.results += 1
        if self._done is None:
            self.call()
        elif not self._in_flight:
            self._done.set_result(None)

    async def end(self) -> None:
        """Stop calling, and wait until all calls are answered."""
        self._done = asyncio.get_running_loop().create_future()
        await self.clients.expect(self._done)


class Stopwatch(Caller):
    """A caller that records the duration of each call; it must have only one in flight."""

    def __init__(self, clients: Clients, procedure: str, args: list[Any]) -> None:
        super().__init__(clients, procedure, args)
        self.seconds: list[float] = []

    def call(self) -> None:
        self._called = time.perf_counter()
        super().call()

    def take(self, raw: RawMessage) -> None:
        if self._in_flight:
            self.seconds.append(time.perf_counter() - self._called)
        super().take(raw)


class Callee(Client):
    """Answers each invocation with its arguments.

    It takes them unparsed. Otherwise caller and callee together would cost about as much as the router.
    """

    def take(self, raw: RawMessage) -> None:
        if raw[0] == _INVOCATION:
            self.send([_YIELD, raw[1], {}, raw[4]])
        else:
            super().take(raw)


async def echo(
    server: Server,
    seconds: float,
    *,
    procedure: str = "echo",
    args: list[Any],
    sessions: int = 8,
    in_flight: int = 16,
    codec: Codec = JSON,
    realm: str = "default",
    messages: int | None = None,
) -> Measurement:
    """Call a procedure of the server that returns its arguments.

    With ``messages``, the number of messages per call, the figure is a rate of messages instead of calls.
    """
    async with Clients(server.url, codec=codec, realm=realm) as clients:
        callers = await clients.join_many(lambda: Caller(clients, procedure, args), sessions)
        return await _measure_calls(clients, server, callers, seconds, in_flight, messages)


async def routed(
    server: Server, seconds: float, *, pairs: int = 8, in_flight: int = 16, messages: int | None = None
) -> Measurement:
    """Call procedures of other clients; the router handles four messages per call."""
    async with Clients(server.url, realm="router") as clients:
        callers = []
        for _ in range(pairs):
            procedure = f"echo.{next(NAMES)}"
            callee = await clients.join(Callee(clients))
            await callee.register(procedure)
            callers.append(await clients.join(Caller(clients, procedure, [42])))
        return await _measure_calls(clients, server, callers, seconds, in_flight, messages)


async def latency(server: Server, seconds: float) -> Measurement:
    """Measure the duration of calls, with one in flight."""
    async with Clients(server.url) as clients:
        stopwatch = await clients.join(Stopwatch(clients, "echo", [42]))
        stopwatch.call()
        await clients.run_for(seconds / 4)
        stopwatch.seconds.clear()
        await clients.run_until(lambda: len(stopwatch.seconds) > 1, seconds)
        await stopwatch.end()
        microseconds = [1e6 * taken for taken in stopwatch.seconds]
        centiles = statistics.quantiles(microseconds, n=100)
        return Measurement({P50: centiles[49], "p99 µs": centiles[98]})


async def _measure_calls(
    clients: Clients,
    server: Server,
    callers: list[Caller],
    seconds: float,
    in_flight: int,
    messages: int | None,
) -> Measurement:
    for caller in callers:
        for _ in range(in_flight):
            caller.call()
    unit, weight = (CALLS_PER_SECOND, 1) if messages is None else (MESSAGES_PER_SECOND, messages)
    measured = await measure_rate(
        unit, clients, server, lambda: weight * sum(caller.results for caller in callers), seconds
    )
    await run_concurrently(*(caller.end() for caller in callers))
    return measured
