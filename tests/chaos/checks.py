"""Checks of the workers' agreement after a fault, and of all that the sessions of the load have seen."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from tests.chaos.load import NEWS, ON_LEAVE, WILLS, Load, Publications, Resident
from tests.chaos.session import Failed, Session, Unanswered
from tests.chaos.workers import Worker
from tests.soak.client import Ended
from wampasgi.protocol.messages import Publish

#: The time in seconds within which workers must agree again after a fault.
AGREEMENT_TIME: Final = 2.0
_PAUSE: Final = 0.02
PROBED: Final = "chaos.probed"
#: The counters of which at least one grows if something was lost.
_LOSSES: Final = ("frames_lost", "frames_dropped", "gaps", "resets", "burials", "deafness")

_number = itertools.count(1).__next__


class Probe:
    """A session on one worker that asks for the state of the realm."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.session = Session(f"probe of {worker.name}")

    async def open(self) -> None:
        """Connect, and subscribe to the publications of other probes."""
        self.session = Session(f"probe of {self.worker.name}")
        await self.session.open(self.worker.url)
        await self.session.subscribe(PROBED)

    async def metrics(self) -> dict[str, int]:
        """Return the counters of its worker."""
        counters: dict[str, int] = await self.session.call("chaos.metrics")
        return counters

    async def state(self, procedures: Sequence[str], timeout: float) -> dict[str, Any]:
        """Return the state of the realm as its worker sees it."""

        async def ask(procedure: str, *args: Any) -> Any:
            return await self.session.call(procedure, *args, timeout=timeout)

        news = await ask("wamp.subscription.lookup", NEWS)
        found = await asyncio.gather(*(ask("wamp.registration.lookup", uri) for uri in procedures))
        return {
            "nodes": (await ask("chaos.metrics"))["nodes"],
            "sessions": await ask("wamp.session.count"),
            "subscribers": 0 if news is None else await ask("wamp.subscription.count_subscribers", news),
            "registered": [uri for uri, known in zip(procedures, found, strict=True) if known is not None],
            "registrations": sorted((await ask("wamp.registration.list"))["exact"]),
        }


async def wait_for_agreement(probes: Sequence[Probe], load: Load) -> float:
    """Wait until all workers agree with what is open, and return the seconds that this took.

    Adds a problem if that is more than two seconds. The number of sessions must not change.
    """
    began = time.monotonic()
    while (difference := await _difference(probes, load, AGREEMENT_TIME)) is not None:
        if time.monotonic() - began > AGREEMENT_TIME:
            break
        await asyncio.sleep(_PAUSE)
    seconds = time.monotonic() - began
    if seconds > AGREEMENT_TIME:
        problem = difference or "they did later"
        load.problems.append(f"the workers do not agree within {AGREEMENT_TIME} s: {problem}")
    return seconds


async def _difference(probes: Sequence[Probe], load: Load, timeout: float) -> str | None:
    """Return a difference between what is open and the state of a worker, or between two workers."""
    residents = [resident for resident in load.residents if resident.settled.is_set()]
    problem: str | None = None
    compared: asyncio.Task[str | None] | None = None
    try:
        # All at the same time, because a fault may keep each of them waiting.
        async with asyncio.TaskGroup() as tasks:
            compared = tasks.create_task(_compare_states(probes, load, residents, timeout))
            tasks.create_task(_call_each_other(probes, residents, timeout))
            tasks.create_task(_publish_to_each_other(probes, timeout))
    except* (Failed, Unanswered, Ended, TimeoutError) as failed:
        problem = repr(failed.exceptions)
    return problem if compared is None or problem else compared.result()


async def _compare_states(
    probes: Sequence[Probe], load: Load, residents: Sequence[Resident], timeout: float
) -> str | None:
    procedures = [resident.procedure for resident in load.residents]
    states = await asyncio.gather(*(probe.state(procedures, timeout) for probe in probes))
    expected = {
        "nodes": len(probes),
        "sessions": len(residents) + len(probes),
        "subscribers": len(residents),
        "registered": [resident.procedure for resident in residents],
        "registrations": states[0]["registrations"],
    }
    for probe, state in zip(probes, states, strict=True):
        for key, value in expected.items():
            if state[key] != value:
                return f"{key} is {state[key]} on {probe.worker}, and should be {value}"
    return None


async def _call_each_other(probes: Sequence[Probe], residents: Sequence[Resident], timeout: float) -> None:
    async def call(probe: Probe, resident: Resident) -> None:
        token = _number()
        answer = await probe.session.call(resident.procedure, token, timeout=timeout)
        if answer != token:
            raise AssertionError(f"{probe.session.name} got {answer} instead of {token}")

    await asyncio.gather(*(call(probe, resident) for probe in probes for resident in residents))


async def _publish_to_each_other(probes: Sequence[Probe], timeout: float) -> None:
    async def publish(probe: Probe) -> None:
        number = _number()
        await probe.session.request(
            Publish.code, {"acknowledge": True, "exclude_me": False}, PROBED, [number], timeout=timeout
        )
        for other in probes:
            await other.session.wait_for_event(PROBED, number, timeout=timeout)

    await asyncio.gather(*map(publish, probes))


class LastWords:
    """The testaments and on_leave events of sessions that are about to end, at the residents that remain."""

    def __init__(self, load: Load, dead: Sequence[int]) -> None:
        self._load = load
        self._expected = [
            (session, topic, session_id, self._count(session, topic, session_id))
            for _, session in living_sessions(load)
            if session.id not in dead and WILLS in session.subscriptions and ON_LEAVE in session.subscriptions
            for topic in (WILLS, ON_LEAVE)
            for session_id in dead
        ]

    @staticmethod
    def _count(session: Session, topic: str, session_id: int) -> int:
        return sum(args[0] == session_id for _, args in session.events(topic))

    async def arrive(self, *, within: float) -> None:
        """Wait until each resident has got all of them, and add a problem if that takes too long."""
        deadline = time.monotonic() + within
        for session, topic, session_id, before in self._expected:
            try:
                while self._count(session, topic, session_id) == before:
                    await session.wait_for_next(max(0.01, deadline - time.monotonic()))
            except TimeoutError:
                self._load.problems.append(f"{session.name} got no event of {topic} for {session_id} in time")

    def check_once(self) -> None:
        """Add a problem for each event that has come more than once."""
        for session, topic, session_id, before in self._expected:
            count = self._count(session, topic, session_id) - before
            if count > 1:
                self._load.problems.append(
                    f"{session.name} got {count} events of {topic} for {session_id}, of one death"
                )


def living_sessions(load: Load) -> list[tuple[Worker, Session]]:
    """Return the sessions of residents that are open, with their workers."""
    return [(worker, session) for worker, session in load.sessions if not session.ended]


async def check_invariants(probes: Sequence[Probe], load: Load, *, partitioned: bool) -> None:
    """Check all that the sessions of residents have seen. The load must have ended.

    If workers were ``partitioned``, a session may have left, for others, more than once.
    """
    losses = Counter[str]()
    try:
        for _, session in living_sessions(load):
            # The answer comes after all events that its worker has for it.
            await session.call("chaos.metrics")
        for probe in probes:
            metrics = await probe.metrics()
            losses.update({name: metrics[name] for name in _LOSSES})
    except (Failed, Unanswered, Ended) as failure:
        load.problems.append(f"a worker does not answer local calls at the end: {failure!r}")
    for _, session in load.sessions:
        _check_messages(session, load)
        if not partitioned:
            _check_last_words_came_once(session, load)
    missing = 0
    for worker, session in living_sessions(load):
        for published in load.publications.values():
            for number in _missed(session, published):
                missing += 1
                if not load.tolerates(published.worker, worker, published.times[number]):
                    load.problems.append(
                        f"{session.name} missed event {number} of {published.session.name}, without a fault"
                    )
    load.done["acknowledged publications that a subscriber missed"] = missing
    if missing and not any(losses.values()):
        load.problems.append(f"{missing} events were lost, and no worker counted a loss")
    for probe in probes:
        if "Traceback" in probe.worker.log:
            log = probe.worker.log
            start = log.index("Traceback")
            load.problems.append(f"the log of {probe.worker} has a {log[max(0, start - 300) : start + 3000]}")


def _check_messages(session: Session, load: Load) -> None:
    load.problems += [f"{session.name} got {json.dumps(message)}" for message in session.unexpected]
    numbers: dict[str, int] = {}
    if NEWS not in session.subscriptions:
        return
    load.done["events"] += len(session.events(NEWS))
    for _, (publisher, number) in session.events(NEWS):
        last = numbers.get(publisher, -1)
        if number <= last:
            load.problems.append(f"{session.name} got event {number} of {publisher} after {last}")
        numbers[publisher] = max(number, last)


def _check_last_words_came_once(session: Session, load: Load) -> None:
    for topic in (WILLS, ON_LEAVE):
        if topic in session.subscriptions:
            counts = Counter(args[0] for _, args in session.events(topic))
            for session_id, count in counts.items():
                if count > 1:
                    load.problems.append(f"{session.name} got {count} events of {topic} for {session_id}")


def _missed(session: Session, published: Publications) -> set[int]:
    """Return the acknowledged events that a subscriber has not got, although it subscribed before."""
    got = {number for _, (name, number) in session.events(NEWS) if name == published.session.name}
    due = {number for number in published.acknowledged if published.times[number] > session.ready_at}
    return due - got
