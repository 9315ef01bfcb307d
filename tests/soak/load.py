"""The sessions: healthy ones, visitors that disconnect at any moment, and ones that never read."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import picows

from tests.soak.client import LARGE, Client, Ended, small_socket
from tests.soak.visitors import act, answer_sometimes, end
from wampasgi.protocol.messages import (
    Abort,
    Call,
    Event,
    Invocation,
    Publish,
    Published,
    Register,
    Registered,
    Result,
    Subscribe,
    Subscribed,
)
from wampasgi.types import RawMessage

#: Timeout in seconds for expected messages. It is long because the machine may be busy.
TIMEOUT = 30.0
#: The longest extension of a round in seconds.
PATIENCE = 60
#: The seconds between two large payloads for sessions that never read: about 600 kB/s in any case.
CHATTER_INTERVAL = 0.05
PUBLISHERS = 10
#: The share of messages in fragments.
FRAGMENTED = 0.2


class Load:
    """One round with a number of sessions.

    ``failures`` describes what healthy sessions lost, and the messages that the server must not send.

    If ``enough`` is not true after the round, which is called once a second, it takes up to ``PATIENCE``
    seconds longer.
    """

    def __init__(
        self, url: str, *, sessions: int, seconds: float, enough: Callable[[], bool] = lambda: True
    ) -> None:
        self._url = url
        self._seconds = seconds
        self._enough = enough
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
            for _ in range(PATIENCE):
                if self._enough():
                    break
                await asyncio.sleep(1)
            self._over.set()
            await asyncio.wait(working)
            await self._check_events()
            for healthy in self._healthy:
                await healthy.leave()

    def fail(self, text: str) -> None:
        if len(self.failures) < 20:
            self.failures.append(text)

    def checking(self, name: str) -> Callable[[str], None]:
        """Return the ``on_violation`` for a client."""
        return lambda violation: self.fail(f"{name} got {violation}")

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
        client = Client(lambda client, message: None, on_violation=self.checking("the chatter"))
        await client.connect(self._url)
        await client.join("chatter")
        loop = asyncio.get_running_loop()
        begun, sent = loop.time(), 0
        while not self._over.is_set() and not client.ended.is_set():
            # On a busy machine, several are due at once.
            due = int((loop.time() - begun) / CHATTER_INTERVAL) + 1
            while sent < due:
                client.send(Publish.code, client.next_request_id(), {}, "chatter", [LARGE])
                sent += 1
            await self._sleep(CHATTER_INTERVAL)
        await self._leave(client)

    async def _never_read(self) -> None:
        client = Client(
            lambda client, message: None, on_violation=self.checking("a session that never reads")
        )
        await client.connect(self._url, socket_factory=small_socket)
        await client.join("deaf")
        await client.request(Subscribe.code, {}, "chatter")
        client.transport.underlying_transport.pause_reading()
        self.done["sessions that never read"] += 1
        loop = asyncio.get_running_loop()
        end = loop.time() + random.uniform(10, 30)
        while not self._over.is_set() and loop.time() < end:
            # It does not read the pongs either.
            for _ in range(10):
                client.send_ping()
            await self._sleep(1)
        client.transport.disconnect(False)
        await client.ended.wait()

    async def _leave(self, client: Client) -> None:
        client.transport.send_close()
        async with asyncio.timeout(TIMEOUT):
            await client.ended.wait()

    # Visitors

    async def _visit(self) -> None:
        client = Client(answer_sometimes, fragmented=FRAGMENTED)
        await client.connect(self._url)
        try:
            if random.random() > 0.05:
                client.on_violation = self.checking("a visitor")
                await client.join(f"visitor{random.randrange(10)}")
            self.done["visits"] += 1
            for _ in range(random.randrange(8)):
                self.done["visitors' requests"] += 1
                answer = act(client, PUBLISHERS)
                if answer is not None and random.random() < 0.6:
                    await asyncio.wait((answer,), timeout=0.5)
                await self._sleep(random.expovariate(5))
        finally:
            # It may break the protocol now, and so may the answers.
            client.on_violation = None
            await end(client)


class Healthy:
    """A session that makes and receives calls, publishes and subscribes, and must lose no message."""

    def __init__(self, load: Load, number: int) -> None:
        self._load = load
        self.number = number
        checking = load.checking(f"healthy session {number}")
        self.client = Client(self._on_other, fragmented=FRAGMENTED, on_violation=checking)
        self.published = 0
        #: Publisher to its last number.
        self.received: dict[int, int] = {}
        self._leaving = False

    async def begin(self, url: str, publishers: int) -> None:
        await self.client.connect(url)
        await self.client.join("healthy")
        request = self.client.request
        await self._expect(
            Registered.code, request(Register.code, {"invoke": "roundrobin"}, "healthy.double")
        )
        for publisher in range(publishers):
            await self._expect(Subscribed.code, request(Subscribe.code, {}, f"numbers.{publisher}"))

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
        await self._expect(Result.code, request(Call.code, {}, "math.add", [a], {"b": b}), [a + b])
        await self._expect(Result.code, request(Call.code, {}, "healthy.double", [a]), [2 * a])
        if self.number < PUBLISHERS:
            self.published += 1
            options, number = {"acknowledge": True, "exclude_me": False}, [self.number, self.published]
            published = request(Publish.code, options, f"numbers.{self.number}", number)
            await self._expect(Published.code, published)
        await self._expect_pongs()

    async def _expect_pongs(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                await self.client.ping()
        except TimeoutError:
            self._load.fail(f"session {self.number} got no pong within {TIMEOUT} s")
            return
        self._load.done["healthy sessions' pongs"] += 1

    async def _expect(self, code: int, awaited: asyncio.Future[RawMessage], args: object = None) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await awaited
        except TimeoutError:
            self._load.fail(f"session {self.number} got no answer within {TIMEOUT} s")
            return
        if answer[0] != code or (args is not None and answer[3] != args):
            self._load.fail(f"session {self.number} got {answer}, expected {code} with {args}")
        self._load.done["healthy sessions' answers"] += 1

    def _on_other(self, client: Client, message: RawMessage) -> None:
        if message[0] == Invocation.code:
            client.answer(message[1], 2 * message[4][0])
        elif message[0] == Event.code and type(message[4][0]) is int:
            self._on_number(message)
        elif not self._leaving or message[0] == Abort.code:
            self._load.fail(f"session {self.number} got {str(message)[:200]}")

    def _on_number(self, message: RawMessage) -> None:
        publisher, number = message[4]
        if number != self.received.get(publisher, 0) + 1:
            self._load.fail(f"session {self.number} got {number} after {self.received.get(publisher)}")
        self.received[publisher] = number
        self._load.done["numbered events"] += 1

    async def leave(self) -> None:
        self._leaving = True
        self.client.say_goodbye()
        await asyncio.sleep(0.01)
        self.client.transport.send_close()
        async with asyncio.timeout(TIMEOUT):
            await self.client.ended.wait()
