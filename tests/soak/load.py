"""The sessions: healthy ones, visitors that disconnect at any moment, and ones that never read."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import picows

from tests.soak.client import (
    ABORT,
    CALL,
    CANCEL,
    ERROR,
    EVENT,
    GOODBYE,
    INVOCATION,
    PUBLISH,
    PUBLISHED,
    REGISTER,
    RESULT,
    SUBSCRIBE,
    YIELD,
    Client,
    Ended,
    small_socket,
)

#: Timeout in seconds for expected messages. It is long because the machine may be busy.
TIMEOUT = 30.0
#: The payload for sessions that never read, and the seconds between two: about 600 kB/s in any case.
LARGE = "x" * 32_000
CHATTER_INTERVAL = 0.05
PUBLISHERS = 10


class Load:
    """One round with a number of sessions. ``failures`` describes what healthy sessions lost."""

    def __init__(self, url: str, *, sessions: int, seconds: float) -> None:
        self._url = url
        self._seconds = seconds
        self._healthy_count = max(2, sessions // 5)
        self._non_reader_count = max(1, sessions // 10)
        self._visitor_count = sessions - self._healthy_count - self._non_reader_count
        self._healthy: list[Healthy] = []
        self._over = asyncio.Event()
        self.failures: list[str] = []
        self.done: Counter[str] = Counter()

    async def run(self) -> None:
        """Run all sessions for the whole round and end them."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._healthy_count):
                healthy = Healthy(self, number)
                self._healthy.append(healthy)
                await healthy.begin(self._url, min(PUBLISHERS, self._healthy_count))
            working = [tasks.create_task(healthy.work(self._over)) for healthy in self._healthy]
            tasks.create_task(self._repeat(self._chatter))
            for _ in range(self._non_reader_count):
                tasks.create_task(self._repeat(self._never_read))
            for _ in range(self._visitor_count):
                tasks.create_task(self._repeat(self._visit))
            await asyncio.sleep(self._seconds)
            self._over.set()
            await asyncio.wait(working)
            await self._check_events()
            for healthy in self._healthy:
                await healthy.leave()

    def fail(self, text: str) -> None:
        if len(self.failures) < 20:
            self.failures.append(text)

    async def _check_events(self) -> None:
        """Check that every healthy session received every published number."""
        published = {healthy.number: healthy.published for healthy in self._healthy if healthy.published}
        for healthy in self._healthy:
            for _ in range(int(TIMEOUT / 0.05)):
                if healthy.received == published or healthy.client.ended.is_set():
                    break
                await asyncio.sleep(0.05)
            if healthy.received != published:
                self.fail(
                    f"session {healthy.number} received events {healthy.received}, expected {published}"
                )

    async def _repeat(self, act: Callable[[], Any]) -> None:
        while not self._over.is_set():
            try:
                await act()
            except (OSError, picows.WSError, Ended):
                self.done["connections lost"] += 1

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but not beyond the end of the round."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            pass

    # Sessions that never read

    async def _chatter(self) -> None:
        client = Client(lambda client, message: None)
        await client.connect(self._url)
        await client.join("chatter")
        while not self._over.is_set() and not client.ended.is_set():
            client.send(PUBLISH, client.next_request_id(), {}, "chatter", [LARGE])
            await self._sleep(CHATTER_INTERVAL)
        await self._leave(client)

    async def _never_read(self) -> None:
        client = Client(lambda client, message: None)
        await client.connect(self._url, socket_factory=small_socket)
        await client.join("deaf")
        await client.request(SUBSCRIBE, {}, "chatter")
        client.transport.underlying_transport.pause_reading()
        self.done["sessions that never read"] += 1
        await self._sleep(random.uniform(10, 30))
        client.transport.disconnect(False)
        await client.ended.wait()

    async def _leave(self, client: Client) -> None:
        client.transport.send_close()
        async with asyncio.timeout(TIMEOUT):
            await client.ended.wait()

    # Visitors

    async def _visit(self) -> None:
        client = Client(self._answer_sometimes)
        await client.connect(self._url)
        try:
            if random.random() > 0.05:
                await client.join(f"visitor{random.randrange(10)}")
            self.done["visits"] += 1
            for _ in range(random.randrange(8)):
                answer = self._act(client)
                if answer is not None and random.random() < 0.6:
                    await asyncio.wait((answer,), timeout=0.5)
                await self._sleep(random.expovariate(5))
        finally:
            await self._end(client)

    def _answer_sometimes(self, client: Client, message: list[Any]) -> None:
        if message[0] == INVOCATION:
            chance = random.random()
            if chance < 0.5:
                client.send(YIELD, message[1], {}, [1])
            elif chance < 0.7:
                client.send(ERROR, INVOCATION, message[1], {}, "wamp.error.unavailable")
            elif chance < 0.8:
                client.transport.disconnect(False)
        elif message[0] == GOODBYE:
            client.send(GOODBYE, {}, "wamp.close.goodbye_and_out")

    def _act(self, client: Client) -> asyncio.Future[list[Any]] | None:
        self.done["visitors' requests"] += 1
        match random.randrange(13):
            case 0:
                return client.request(CALL, {}, "math.add", [1, 2])
            case 1:
                return client.request(CALL, {"timeout": 200}, "never")
            case 2:
                return client.request(CALL, {"receive_progress": True}, "count.down", [20])
            case 3:
                client.send(CANCEL, random.randrange(1, 5), {"mode": random.choice(["skip", "kill"])})
                return None
            case 4:
                return client.request(CALL, {"timeout": random.choice([0, 50])}, "visitors.any", [LARGE])
            case 5:
                return client.request(REGISTER, {"invoke": "random", "concurrency": 3}, "visitors.any")
            case 6:
                return client.request(SUBSCRIBE, {"match": "prefix"}, random.choice(["visitors.", "wamp."]))
            case 7:
                return client.request(SUBSCRIBE, {}, "visitors.guarded")
            case 8:
                return client.request(PUBLISH, {"acknowledge": True}, "visitors.guarded", [1])
            case 9:
                return client.request(CALL, {}, "wamp.session.add_testament", ["visitors.will", [1], {}])
            case 10:
                return client.request(CALL, {}, "ask.me")
            case 11:
                return client.request(random.choice([34, 66]), random.randrange(1, 100))
            case _:
                return client.request(SUBSCRIBE, {}, f"numbers.{random.randrange(PUBLISHERS)}")

    async def _end(self, client: Client) -> None:
        match random.randrange(4):
            case 0:
                client.send(GOODBYE, {}, "wamp.close.normal")
                # The client must close the WebSocket, because another session could follow on it.
                await asyncio.sleep(0.01)
                client.transport.send_close()
            case 1:
                client.transport.send_close()
            case 2:
                client.send_text(random.choice([b"[", b"[48]", b'{"a":1}', b"[70,77,{}]", b"[2,1,{}]"]))
            case _:
                client.transport.disconnect(False)
        try:
            async with asyncio.timeout(5):
                await client.ended.wait()
        except TimeoutError:
            client.transport.disconnect(False)


class Healthy:
    """A session that makes and receives calls, publishes and subscribes, and must lose no message."""

    def __init__(self, load: Load, number: int) -> None:
        self._load = load
        self.number = number
        self.client = Client(self._on_other)
        self.published = 0
        #: Publisher to its last number.
        self.received: dict[int, int] = {}
        self._leaving = False

    async def begin(self, url: str, publishers: int) -> None:
        await self.client.connect(url)
        await self.client.join("healthy")
        await self._expect(65, self.client.request(REGISTER, {"invoke": "roundrobin"}, "healthy.double"))
        for publisher in range(publishers):
            await self._expect(33, self.client.request(SUBSCRIBE, {}, f"numbers.{publisher}"))

    async def work(self, over: asyncio.Event) -> None:
        while not over.is_set():
            try:
                await self._work_once()
            except Ended:
                self._load.fail(f"healthy session {self.number} was ended")
                return
            await asyncio.sleep(random.uniform(0, 0.6))

    async def _work_once(self) -> None:
        a, b = random.randrange(10**6), random.randrange(10**6)
        request = self.client.request
        await self._expect(RESULT, request(CALL, {}, "math.add", [a], {"b": b}), [a + b])
        await self._expect(RESULT, request(CALL, {}, "healthy.double", [a]), [2 * a])
        if self.number < PUBLISHERS:
            self.published += 1
            options, number = {"acknowledge": True, "exclude_me": False}, [self.number, self.published]
            await self._expect(PUBLISHED, request(PUBLISH, options, f"numbers.{self.number}", number))

    async def _expect(self, code: int, awaited: asyncio.Future[list[Any]], args: object = None) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await awaited
        except TimeoutError:
            self._load.fail(f"session {self.number} got no answer within {TIMEOUT} s")
            return
        if answer[0] != code or (args is not None and answer[3] != args):
            self._load.fail(f"session {self.number} got {answer}, expected {code} with {args}")
        self._load.done["healthy sessions' answers"] += 1

    def _on_other(self, client: Client, message: list[Any]) -> None:
        if message[0] == INVOCATION:
            client.send(YIELD, message[1], {}, [2 * message[4][0]])
        elif message[0] == EVENT and type(message[4][0]) is int:
            self._on_number(message)
        elif not self._leaving or message[0] == ABORT:
            self._load.fail(f"session {self.number} got {str(message)[:200]}")

    def _on_number(self, message: list[Any]) -> None:
        publisher, number = message[4]
        if number != self.received.get(publisher, 0) + 1:
            self._load.fail(f"session {self.number} got {number} after {self.received.get(publisher)}")
        self.received[publisher] = number
        self._load.done["numbered events"] += 1

    async def leave(self) -> None:
        self._leaving = True
        self.client.send(GOODBYE, {}, "wamp.close.normal")
        await asyncio.sleep(0.01)
        self.client.transport.send_close()
        async with asyncio.timeout(TIMEOUT):
            await self.client.ended.wait()
