"""Events of one publisher on one topic reach each subscriber in the order of their publication."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.specification import EVENT, PUBLISH, SUBSCRIBE
from tests.wamp_client import WAMPClient, connect
from wampasgi import Application

pytestmark = pytest.mark.anyio

COUNT = 40


class Subscriber:
    """A client that reads frames of one or several messages, and stores them."""

    def __init__(self, websocket: WAMPClient) -> None:
        self.websocket = websocket
        self.messages: list[list[Any]] = []

    async def send(self, *message: Any) -> None:
        await self.websocket.send_frame(json.dumps(message) + "\x1e")

    async def join(self) -> None:
        await self.send(1, "default", {"roles": {"subscriber": {}}})
        await self.read_until(lambda message: message[0] == 2)

    async def read_until(self, is_last: Any) -> None:
        while not any(map(is_last, self.messages)):
            text = (await self.websocket.receive_event())["text"]
            self.messages += [json.loads(part) for part in text.split("\x1e") if part]

    def numbers(self, details: Mapping[str, Any] | None = None) -> list[int]:
        """Return the published numbers, of the events with these details if given."""
        return [
            message[4][0]
            for message in self.messages
            if message[0] == EVENT and details in (None, message[3])
        ]


def is_number(number: int) -> Any:
    return lambda message: message[0] == EVENT and message[4] == [number]


async def slower_for_earlier_ones(action: str, options: Mapping[str, Any]) -> bool:
    for _ in range(options.get("x_turns", 0)):
        await checkpoint()
    return True


async def publish(websocket: WAMPClient, number: int, **options: Any) -> None:
    # The first events take longest to authorize, so concurrent handling would change the order.
    await websocket.send(PUBLISH, number, {"x_turns": COUNT - number, **options}, "t", [number])


@pytest.mark.parametrize("read_in_time", [True, False])
async def test_events_of_one_publisher_on_one_topic_must_arrive_in_order(read_in_time: bool) -> None:
    app = Application()
    app.authorizer(slower_for_earlier_ones)
    subprotocols = ["wamp.2.json.batched"]

    async with (
        connect(app) as publisher,
        connect(app, subprotocols=subprotocols, buffer_size=1000 if read_in_time else 0) as websocket,
    ):
        await publisher.join()
        subscriber = Subscriber(websocket)
        await subscriber.join()
        for request_id, match, topic in (1, "exact", "t"), (2, "prefix", ""), (3, "wildcard", ""):
            await subscriber.send(SUBSCRIBE, request_id, {"match": match}, topic)
            await subscriber.read_until(
                lambda message, request_id=request_id: message[:2] == [33, request_id]
            )
        for number in range(1, COUNT + 1):
            await publish(publisher, number, retain=number % 3 == 0, acknowledge=number % 2 == 0)
        await anyio.wait_all_tasks_blocked()
        await subscriber.read_until(is_number(COUNT))

        # There is one event for each subscription; the last ones may not have arrived yet.
        exact = subscriber.numbers({})
    assert exact == list(range(1, COUNT + 1))
    assert sorted(subscriber.numbers({"topic": "t"}), key=abs) == subscriber.numbers({"topic": "t"})


async def test_retained_event_comes_before_events_published_later() -> None:
    app = Application()
    app.authorizer(slower_for_earlier_ones)
    begun, release = anyio.Event(), anyio.Event()

    @app.topic("t")
    async def gatekeeper() -> AsyncIterator[None]:
        begun.set()
        await release.wait()
        yield

    async with connect(app) as publisher, connect(app, subprotocols=["wamp.2.json.batched"]) as websocket:
        await publisher.join()
        subscriber = Subscriber(websocket)
        await subscriber.join()
        await subscriber.send(SUBSCRIBE, 1, {"get_retained": True}, "t")
        await begun.wait()
        for number in range(1, COUNT + 1):
            await publish(publisher, number, retain=number < COUNT // 2)
            if number == COUNT // 2:
                release.set()
        await subscriber.read_until(is_number(COUNT))

    retained = subscriber.numbers({"retained": True})
    received = subscriber.numbers()
    assert len(retained) <= 1
    assert received[: len(retained)] == retained
    assert received == sorted(set(received))
    # No event after the subscription is missing.
    live = received[len(retained) :]
    assert live == list(range(live[0], COUNT + 1))
