"""The load: sessions on all workers that call each other, publish, join and leave, and what they saw."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tests.chaos.session import NETWORK_FAILURE, Failed, Session, Unanswered
from tests.chaos.workers import Worker
from tests.soak.client import Ended
from wampasgi.protocol.messages import Publish

#: The longest time in seconds until a call or a publication is answered: a death is noticed after 6 s.
ANSWER_TIME: Final = 7.0
NEWS: Final = "chaos.news"
WILLS: Final = "chaos.wills"
ON_LEAVE: Final = "wamp.session.on_leave"

#: Seconds between the requests of a session.
_PAUSE: Final = 0.02
#: Seconds between two attempts of a client to connect.
_RETRY: Final = 0.1
#: The errors of requests that a fault may hit.
_ERRORS_OF_FAULTS: Final = frozenset(
    [
        NETWORK_FAILURE,
        "wamp.error.no_such_procedure",
        "wamp.error.no_available_callee",
        "wamp.error.canceled",
        "wamp.error.unavailable",
    ]
)

#: True if a fault may fail a request between a session of one worker and one of another.
Concerns = Callable[[Worker, Worker], bool]


def between_workers(caller: Worker, callee: Worker) -> bool:
    """Concern all requests that leave a worker."""
    return caller is not callee


def with_worker(worker: Worker) -> Concerns:
    """Concern all requests from or to sessions of a worker."""
    return lambda caller, callee: worker in (caller, callee)


@dataclass
class Disturbance:
    """The time in which a fault may fail requests."""

    concerns: Concerns
    began: float
    ended: float = float("inf")


@dataclass
class Publications:
    """The events of one session: when each was published, and whether this was acknowledged."""

    session: Session
    worker: Worker
    times: list[float] = field(default_factory=list)
    acknowledged: set[int] = field(default_factory=set)


class Resident:
    """A client that stays, and connects again if its worker is restarted."""

    def __init__(self, name: str, worker: Worker) -> None:
        self.name = name
        self.worker = worker
        self.session: Session | None = None
        #: Set while its session is open and its procedure registered.
        self.settled = asyncio.Event()
        #: Set when it has no request in flight, and sends no more.
        self.quiet = asyncio.Event()

    @property
    def procedure(self) -> str:
        """The procedure that it registers."""
        return f"chaos.echo.{self.name}"


class Load:
    """The clients. ``problems`` are violations of what the framework promises."""

    def __init__(self, workers: list[Worker], *, residents: int = 2) -> None:
        self._workers = workers
        self.residents = [
            Resident(f"{worker.name}{number}", worker) for worker in workers for number in range(residents)
        ]
        self.problems: list[str] = []
        self.done: Counter[str] = Counter()
        self.publications: dict[str, Publications] = {}
        #: All sessions of residents, also those that have ended.
        self.sessions: list[tuple[Worker, Session]] = []
        #: Workers that a fault is about to end.
        self.doomed: set[Worker] = set()
        self._disturbances: list[Disturbance] = []
        self._quiet = False
        self._closing = asyncio.Event()
        self._visits = asyncio.Event()
        self._visits.set()
        self._visitors = 0
        self._all_left = asyncio.Event()
        self._progressed = asyncio.Event()
        self._number = itertools.count(1).__next__

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start all clients, which run until ``close``."""
        for resident in self.residents:
            tasks.create_task(self._stay(resident))
        for worker in self._workers:
            tasks.create_task(self._visit_often(worker))

    async def settled(self, timeout: float) -> None:
        """Wait until all residents are there. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            for resident in self.residents:
                await resident.settled.wait()

    async def work(self, calls: int = 100, timeout: float = 20.0) -> None:
        """Wait until residents have called and visitors have come and gone. Raises TimeoutError."""
        before = self.done.copy()
        async with asyncio.timeout(timeout):
            while self.done["calls"] < before["calls"] + calls or self.done["visits"] < before["visits"] + 2:
                self._progressed.clear()
                await self._progressed.wait()

    async def rest_visits(self) -> None:
        """Let visitors leave, so that the number of sessions does not change. Raises TimeoutError."""
        self._visits.clear()
        async with asyncio.timeout(2 * ANSWER_TIME):
            while self._visitors:
                self._all_left.clear()
                await self._all_left.wait()

    async def hush(self) -> None:
        """Let all clients end their requests and send no more. Their sessions stay. Raises TimeoutError."""
        await self.rest_visits()
        self._quiet = True
        async with asyncio.timeout(2 * ANSWER_TIME):
            for resident in self.residents:
                await resident.quiet.wait()

    def close(self) -> None:
        """Close the sessions of residents, and end all tasks. The clients must be quiet."""
        self._closing.set()
        self._visits.set()

    def resume_visits(self) -> None:
        """Let visitors come again."""
        self._visits.set()

    # Faults

    @contextmanager
    def disturbed(self, concerns: Concerns) -> Iterator[None]:
        """Tolerate failures of the requests that a fault concerns, while the context is open."""
        disturbance = Disturbance(concerns, time.monotonic())
        self._disturbances.append(disturbance)
        yield
        disturbance.ended = time.monotonic()

    def tolerates(self, caller: Worker, callee: Worker | None, began: float) -> bool:
        """Return whether a request that began some time ago may have failed, or its event been lost.

        Without a callee, it needs all workers.
        """
        callees = self._workers if callee is None else [callee]
        return any(
            disturbance.ended >= began
            and disturbance.began <= began + ANSWER_TIME
            and any(disturbance.concerns(caller, callee) for callee in callees)
            for disturbance in self._disturbances
        )

    def _failed(self, caller: Worker, callee: Worker | None, began: float, failure: Failed) -> None:
        if failure.uri in _ERRORS_OF_FAULTS and self.tolerates(caller, callee, began):
            self.done["failures"] += 1
        else:
            to = "all workers" if callee is None else repr(callee)
            self.problems.append(f"a request from {caller} to {to} failed: {failure}")

    def _late(self, caller: Worker, problem: str) -> None:
        # A paused worker cannot answer its clients.
        if caller not in self.doomed:
            self.problems.append(problem)

    # Residents

    async def _stay(self, resident: Resident) -> None:
        while not self._closing.is_set():
            session = Session(f"{resident.name}#{self._number()}")
            try:
                await session.open(resident.worker.url)
                self.sessions.append((resident.worker, session))
                resident.session = session
                await self._settle(resident, session)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._call_often(resident.worker, session))
                    tasks.create_task(self._publish_often(resident.worker, session))
                resident.quiet.set()
                await self._closing.wait()
            except* (OSError, Ended, Unanswered) as error:
                if resident.worker not in self.doomed:
                    self.problems.append(f"{session.name} on {resident.worker} has ended: {error.exceptions}")
            finally:
                resident.settled.clear()
                session.close()
            await asyncio.sleep(_RETRY)

    async def _settle(self, resident: Resident, session: Session) -> None:
        worker = resident.worker
        for topic in (NEWS, WILLS, ON_LEAVE):
            await self._until_done(worker, lambda topic=topic: session.subscribe(topic))  # type: ignore[misc]
        session.ready_at = time.monotonic()
        await session.call("wamp.session.add_testament", WILLS, [session.id], {})
        # After a death, the old registration may last until the other workers notice it.
        await self._until_done(worker, lambda: session.register(resident.procedure))
        resident.settled.set()

    async def _until_done(self, worker: Worker, request: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        while True:
            began = time.monotonic()
            try:
                await request()
                return
            except Failed as failure:
                if not self.tolerates(worker, None, began):
                    self._failed(worker, None, began, failure)
            await asyncio.sleep(_RETRY)

    async def _call_often(self, worker: Worker, session: Session) -> None:
        while not self._quiet:
            target = random.choice(self.residents)
            if target.settled.is_set() or target.worker in self.doomed:
                await self._call(worker, session, target)
            await asyncio.sleep(_PAUSE)

    async def _call(self, worker: Worker, session: Session, target: Resident) -> None:
        began, token = time.monotonic(), self._number()
        try:
            answer = await session.call(target.procedure, token, timeout=ANSWER_TIME)
        except Failed as failure:
            self._failed(worker, target.worker, began, failure)
        except Unanswered as unanswered:
            self._late(worker, str(unanswered))
        else:
            self.done["calls"] += 1
            self._progressed.set()
            if answer != token:
                self.problems.append(f"{session.name} got {answer} instead of {token}")

    async def _publish_often(self, worker: Worker, session: Session) -> None:
        published = self.publications[session.name] = Publications(session, worker)
        while not self._quiet:
            await self._publish(published)
            await asyncio.sleep(_PAUSE)

    async def _publish(self, published: Publications) -> None:
        began, number = time.monotonic(), len(published.times)
        published.times.append(began)
        options = {"acknowledge": True, "exclude_me": False}
        request = (Publish.code, options, NEWS, [published.session.name, number])
        try:
            await published.session.request(*request, timeout=ANSWER_TIME)
        except Failed as failure:
            self._failed(published.worker, None, began, failure)
        except Unanswered as unanswered:
            self._late(published.worker, str(unanswered))
        else:
            self.done["publications"] += 1
            published.acknowledged.add(number)

    # Visitors

    async def _visit_often(self, worker: Worker) -> None:
        while True:
            await self._visits.wait()
            if self._closing.is_set():
                return
            self._visitors += 1
            try:
                await self._visit(worker)
            finally:
                self._visitors -= 1
                self._all_left.set()
            await asyncio.sleep(_PAUSE)

    async def _visit(self, worker: Worker) -> None:
        """Join, make rows that all workers get, and leave."""
        began, number = time.monotonic(), self._number()
        session = Session(f"visitor{number}")
        try:
            await session.open(worker.url)
            await session.subscribe(NEWS)
            await session.register(f"chaos.visitors.{number}")
            for resident in self.residents:
                if resident.settled.is_set():
                    await session.call(resident.procedure, number)
            await session.leave()
        except Failed as failure:
            self._failed(worker, None, began, failure)
        except Unanswered as unanswered:
            self._late(worker, str(unanswered))
        except (OSError, Ended) as error:
            if worker not in self.doomed:
                self.problems.append(f"{session.name} on {worker} has ended: {error!r}")
        else:
            self.done["visits"] += 1
        finally:
            session.close()
