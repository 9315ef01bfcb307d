"""Random subscriptions, publications and losses of the connection, against a model of a router."""

from __future__ import annotations

from random import Random

import anyio
import anyio.lowlevel
import pytest

from tests.client.scripted_router import Peer, ScriptedRouter
from tests.client.test_subscriptions import TOPIC, read, send_event
from tests.specification import (
    CALL,
    GOODBYE,
    GOODBYE_AND_OUT,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    UNSUBSCRIBE,
    UNSUBSCRIBED,
)
from wampasgi.client import Gap, Retry, Session, Timeout, connect

pytestmark = pytest.mark.anyio


class ModelRouter:
    """A router with a history of one topic, whose connections break at random moments."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.router = ScriptedRouter(self._play)
        self.published = 0
        self._peer: Peer | None = None
        self._subscribed = False

    async def pause(self) -> None:
        for _ in range(self._random.randrange(4)):
            await anyio.lowlevel.checkpoint()

    async def publish(self) -> None:
        """Publish the next number."""
        self.published += 1
        if self._peer is not None and self._subscribed:
            await send_event(self._peer, self.published)

    async def cut(self) -> None:
        """Break the connection."""
        peer, self._peer, self._subscribed = self._peer, None, False
        if peer is not None:
            await peer.close()

    async def _play(self, peer: Peer) -> None:
        await peer.welcome(peer.number)
        self._peer, self._subscribed = peer, False
        while True:
            message = await peer.receive()
            await self.pause()
            if self._peer is not peer:
                continue
            if self._random.random() < 0.15:
                await self.cut()
            elif message[0] == SUBSCRIBE:
                self._subscribed = True
                await peer.send(SUBSCRIBED, message[1], 5)
            elif message[0] == UNSUBSCRIBE:
                self._subscribed = False
                await peer.send(UNSUBSCRIBED, message[1])
            elif message[0] == CALL:
                filters = message[5]
                newest = filters.get("before_publication", self.published + 1) - 1
                oldest = max(newest - min(filters["limit"], 3), 0)
                found = [{"publication": number, "args": [number]} for number in range(newest, oldest, -1)]
                await peer.send(RESULT, message[1], {}, found)
            else:
                assert message[0] == GOODBYE
                await peer.send(GOODBYE, {}, GOODBYE_AND_OUT)


@pytest.mark.parametrize("seed", range(4))
async def test_listeners_that_resume_get_all_events_in_order_whatever_happens(seed: int) -> None:
    model, random = ModelRouter(seed), Random(seed)
    count = 60
    gaps: list[Gap] = []
    done = anyio.Event()

    async def listen(session: Session, stays: bool) -> None:
        while not done.is_set():
            before = model.published
            try:
                async with session.subscribe(TOPIC, resume=True, on_gap=gaps.append) as events:
                    entered = model.published
                    goal = count if stays else min(entered + random.randrange(1, 8), count)
                    received: list[int] = []
                    while not received or received[-1] < goal:
                        if entered == count and not received:
                            return
                        received += await read(events, 1)
            except ConnectionError:
                await model.pause()
                continue
            assert received == list(range(received[0], received[-1] + 1))
            assert before < received[0] <= entered + 1
            await model.pause()
            if stays:
                return

    async def listen_plainly(session: Session) -> None:
        while not done.is_set():
            try:
                async with session.subscribe(TOPIC) as events:
                    received = await read(events, 1)
                    assert received == sorted(set(received))
            except (ConnectionError, Timeout):
                pass
            await model.pause()

    async def publish() -> None:
        for _ in range(count):
            await model.pause()
            if random.random() < 0.1:
                await model.cut()
            await model.publish()

    retry = Retry(initial=0.001, maximum=0.001)
    async with connect(app=model.router, retry=retry) as session, anyio.create_task_group() as group:
        group.start_soon(listen_plainly, session)
        async with anyio.create_task_group() as listeners:
            for stays in True, True, False, False:
                listeners.start_soon(listen, session, stays)
            await anyio.wait_all_tasks_blocked()
            listeners.start_soon(publish)
        done.set()
        group.cancel_scope.cancel()
    assert gaps == []
    # The client may have closed the connection before the answer.
    assert all(isinstance(failure, OSError) for failure in model.router.failures)
