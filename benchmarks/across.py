"""Loads on two workers: calls and events within one worker, and from one to the other."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from benchmarks.calls import NAMES, Callee, Caller, Stopwatch
from benchmarks.client import Clients, run_concurrently
from benchmarks.events import ARGS, Fan, Subscriber, Trigger
from benchmarks.measurement import CALLS_PER_SECOND, EVENTS_PER_SECOND, P50, Measurement, measure_rate
from benchmarks.workers import REALM, Asker, Workers
from wampasgi.protocol.messages import Message

P99 = "p99 µs"
FRAMES = "frames a call"
BYTES = "bytes a call"

C = TypeVar("C", bound=Caller)


async def calls(workers: Workers, seconds: float, *, across: bool, in_flight: int = 8) -> Measurement:
    """Let 8 clients call 8 others, with ``in_flight`` calls each; the CPU time is that of both workers."""
    async with Clients(workers.first.url, realm=REALM) as clients:
        callers = [await _pair(clients, workers, Caller, across=across) for _ in range(8)]
        async with _frames(clients, workers, lambda: sum(caller.results for caller in callers)) as frames:
            for caller in callers:
                for _ in range(in_flight):
                    caller.call()
            measured = await measure_rate(
                CALLS_PER_SECOND,
                clients,
                workers,
                lambda: sum(caller.results for caller in callers),
                seconds,
            )
            await run_concurrently(*(caller.end() for caller in callers))
        return Measurement(measured.figures | frames, measured.cpu, measured.busy)


async def single_calls(workers: Workers, seconds: float, *, across: bool) -> Measurement:
    """Let one client call another, one call at a time, and record how long each takes."""
    async with Clients(workers.first.url, realm=REALM) as clients:
        stopwatch = await _pair(clients, workers, Stopwatch, across=across)
        async with _frames(clients, workers, lambda: stopwatch.results) as frames:
            stopwatch.call()
            measured = await measure_rate(
                CALLS_PER_SECOND, clients, workers, lambda: stopwatch.results, seconds
            )
            await stopwatch.end()
        microseconds = [1e6 * taken for taken in stopwatch.seconds[len(stopwatch.seconds) // 5 :]]
        centiles = statistics.quantiles(microseconds, n=100)
        latency = {P50: centiles[49], P99: centiles[98]}
        return Measurement(measured.figures | latency | frames, measured.cpu, measured.busy)


async def events(
    workers: Workers, seconds: float, *, across: bool, subscribers: int = 100, in_flight: int = 16
) -> Measurement:
    """Publish to subscribers of the publisher's worker or of the other one; each must get all events."""
    async with Clients(workers.first.url, realm=REALM) as clients:
        fan = Fan(subscribers, in_flight)
        url = workers.second.url if across else workers.first.url
        joined = await clients.join_many(lambda: Subscriber(clients, fan), subscribers, url=url)
        topic = f"news.{next(NAMES)}"
        for subscriber in joined:
            await subscriber.subscribe(topic)
        fan.begin(await clients.join(Publisher(clients, topic)))
        measured = await measure_rate(EVENTS_PER_SECOND, clients, workers, lambda: fan.events, seconds)
        fan.done = asyncio.get_running_loop().create_future()
        await clients.expect(fan.done)
        for subscriber in joined:
            if subscriber.events != fan.published:
                clients.fail(f"a subscriber got {subscriber.events} of {fan.published} events")
        await clients.run_for(0)
        return measured


class Publisher(Trigger):
    """Publishes each time that it is triggered, without acknowledgement."""

    def __init__(self, clients: Clients, topic: str) -> None:
        super().__init__(clients)
        self._topic = topic

    def trigger(self) -> None:
        self.send(self.core.publish(None, self._topic, ARGS, {}, {}))

    def receive(self, message: Message) -> None:
        self.clients.fail(f"the publisher got {message}")


async def _pair(clients: Clients, workers: Workers, make: type[C], *, across: bool) -> C:
    """Join a callee and a caller for its procedure."""
    procedure = f"echo.{next(NAMES)}"
    callee = await clients.join(Callee(clients), url=workers.second.url if across else workers.first.url)
    await callee.register(procedure)
    return await clients.join(make(clients, procedure, [42]))


@asynccontextmanager
async def _frames(
    clients: Clients, workers: Workers, counted: Callable[[], int]
) -> AsyncIterator[dict[str, float]]:
    """Return a dictionary, which has the frames and bytes between the workers per call after the block."""
    askers = [
        await clients.join(Asker(clients), url=server.url) for server in (workers.first, workers.second)
    ]
    figures: dict[str, float] = {}
    before = [await asker.result("cluster") for asker in askers]
    yield figures
    after = [await asker.result("cluster") for asker in askers]
    number = max(counted(), 1)
    for unit, name in ((FRAMES, "frames_sent"), (BYTES, "bytes_sent")):
        sent = sum(new[name] - old[name] for new, old in zip(after, before, strict=True))
        figures[unit] = sent / number
