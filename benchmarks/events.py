"""Loads of events: one publication to many subscribers, and one subscription among many."""

from __future__ import annotations

import asyncio
from typing import Final

from benchmarks.client import Client, Clients
from benchmarks.measurement import EVENTS_PER_SECOND, Measurement, measure_rate
from benchmarks.servers import Server
from wampasgi.protocol.messages import Event, Message, Published, Result
from wampasgi.types import RawMessage

ARGS = ["text"]
_EVENT: Final = Event.code


class Fan:
    """Publishes to many subscribers, with ``in_flight`` publications at any time.

    It begins with that many, one immediately after another, and publishes again whenever all events of one
    publication have arrived. With many in flight, publications are back to back: the server reads several
    calls together, and may write several events to a subscriber together.
    """

    def __init__(self, subscribers: int, in_flight: int) -> None:
        self.events = 0
        self.published = 0
        self.subscribers = subscribers
        self.done: asyncio.Future[None] | None = None
        self._in_flight = in_flight
        self._next_at = 0
        self._publisher: Trigger | None = None

    def begin(self, publisher: Trigger) -> None:
        self._publisher = publisher
        for _ in range(self._in_flight):
            self._publish()

    def received(self) -> None:
        """Count an event; publish again when the events of one publication have arrived."""
        self.events += 1
        if self.events == self._next_at:
            if self.done is None:
                self._publish()
            elif self.events == self.published * self.subscribers:
                self.done.set_result(None)
            else:
                self._next_at += self.subscribers

    def _publish(self) -> None:
        assert self._publisher is not None
        self.published += 1
        self._next_at = (self.published - self._in_flight + 1) * self.subscribers
        self._publisher.trigger()


class Trigger(Client):
    """Calls the procedure ``publish`` of the server."""

    def trigger(self) -> None:
        self.send(self.core.call(self, "publish", (), {}, {}))

    def receive(self, message: Message) -> None:
        if not isinstance(message, Result):
            self.clients.fail(f"publish was answered by {message}")


class Subscriber(Client):
    """Counts the events that it receives.

    It takes them unparsed. Otherwise an event would cost its subscriber more than the server.
    """

    def __init__(self, clients: Clients, fan: Fan | None = None) -> None:
        super().__init__(clients)
        self.events = 0
        self._fan = fan

    def take(self, raw: RawMessage) -> None:
        if raw[0] != _EVENT:
            super().take(raw)
            return
        if raw[4] != ARGS:
            self.clients.fail(f"a subscriber got {raw}")
            return
        self.events += 1
        if self._fan is not None:
            self._fan.received()


async def fan_out(server: Server, seconds: float, *, subscribers: int, in_flight: int) -> Measurement:
    """Let the server publish, and count the events; each subscriber must receive all of them."""
    async with Clients(server.url) as clients:
        fan = Fan(subscribers, in_flight)
        joined = await clients.join_many(lambda: Subscriber(clients, fan), subscribers)
        for subscriber in joined:
            await subscriber.subscribe("news")
        fan.begin(await clients.join(Trigger(clients)))
        measured = await measure_rate(EVENTS_PER_SECOND, clients, server, lambda: fan.events, seconds)
        fan.done = asyncio.get_running_loop().create_future()
        await clients.expect(fan.done)
        for subscriber in joined:
            if subscriber.events != fan.published:
                clients.fail(f"a subscriber got {subscriber.events} of {fan.published} events")
        await clients.run_for(0)
        return measured


class Publisher(Client):
    """Publishes with acknowledgement; each acknowledgement triggers the next publication."""

    def __init__(self, clients: Clients, topics: list[str]) -> None:
        super().__init__(clients)
        self.acknowledged = 0
        self._published = 0
        self._topics = topics
        self._done: asyncio.Future[None] | None = None

    def publish(self) -> None:
        topic = self._topics[self._published % len(self._topics)]
        self._published += 1
        self.send(self.core.publish(self, topic, ARGS, {}, {"acknowledge": True}))

    def receive(self, message: Message) -> None:
        if not isinstance(message, Published):
            self.clients.fail(f"PUBLISH was answered by {message}")
            return
        self.acknowledged += 1
        if self._done is None:
            self.publish()
        elif self.acknowledged == self._published:
            self._done.set_result(None)

    async def end(self) -> None:
        self._done = asyncio.get_running_loop().create_future()
        await self.clients.expect(self._done)


async def publish_among_patterns(
    server: Server, seconds: float, *, match: str, patterns: list[str], topics: list[str]
) -> Measurement:
    """Publish to topics; each matches exactly one of many patterns of a subscriber."""
    async with Clients(server.url, realm="router") as clients:
        subscriber = await clients.join(Subscriber(clients))
        for pattern in patterns:
            await subscriber.subscribe(pattern, match=match)
        publisher = await clients.join(Publisher(clients, topics))
        for _ in range(64):
            publisher.publish()
        measured = await measure_rate(
            "publications/s", clients, server, lambda: publisher.acknowledged, seconds
        )
        await publisher.end()
        # SUBSCRIBED arrives after all events that were sent to the subscriber before.
        await subscriber.subscribe("the.end")
        if subscriber.events != publisher.acknowledged:
            clients.fail(f"the subscriber got {subscriber.events} of {publisher.acknowledged} events")
        await clients.run_for(0)
        return measured
