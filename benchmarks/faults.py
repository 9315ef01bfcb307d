"""Faults of a worker or of the engine, and the times until they are noticed and until they are over."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from benchmarks.calls import NAMES
from benchmarks.client import Client, Clients, WrongAnswer
from benchmarks.measurement import KIB_A_SESSION, Measurement
from benchmarks.workers import REALM, Asker, Workers, wait_for_nodes
from wampasgi.protocol.messages import Error, Invocation, Message, Result

SECONDS = "s"
NETWORK_FAILURE = "wamp.error.network_failure"


class SilentCallee(Client):
    """Registers a procedure, and never answers."""

    def __init__(self, clients: Clients) -> None:
        super().__init__(clients)
        self.invoked = asyncio.Event()

    def receive(self, message: Message) -> None:
        if isinstance(message, Invocation):
            self.invoked.set()

    def on_ws_disconnected(self, transport: object) -> None:
        """Expect the end: its worker is killed."""


class CallerOfMany(Client):
    """Calls without waiting for the answers."""

    def call(self, procedure: str) -> None:
        self.send(self.core.call(self, procedure, (), {}, {}))

    def receive(self, message: Message) -> None:
        """Ignore the answers."""


async def time_to_notice(workers: Workers, *, busy: bool) -> Measurement:
    """Kill the second worker while it has a call of the first one; return the time until the call fails.

    If ``busy``, there are more calls after the kill, 20 a second.
    """
    async with Clients(workers.first.url, realm=REALM) as clients:
        procedure = f"silent.{next(NAMES)}"
        callee = await clients.join(SilentCallee(clients), url=workers.second.url)
        clients.sessions.remove(callee)  # its connection does not end in order
        await callee.register(procedure)
        caller = await clients.join(Asker(clients))
        others = await clients.join(CallerOfMany(clients))
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(caller.call(procedure))
            await callee.invoked.wait()
            began = time.perf_counter()
            os.kill(workers.second.process_id, signal.SIGKILL)
            while busy and not call.done():
                others.call(procedure)
                await clients.run_for(0.05)
            answer = await call
            measured = time.perf_counter() - began
        if not isinstance(answer, Error) or answer.error != NETWORK_FAILURE:
            raise WrongAnswer(f"a call to a killed worker was answered by {answer}")
        return Measurement({SECONDS: measured})


async def time_to_return(workers: Workers) -> Measurement:
    """Pause the second worker until it is taken for dead; return the time until it answers again."""
    os.kill(workers.second.process_id, signal.SIGSTOP)
    try:
        await wait_for_nodes(workers.first.url, 1)
    finally:
        os.kill(workers.second.process_id, signal.SIGCONT)
    return Measurement({SECONDS: await _time_until_together(workers)})


async def time_to_heal(workers: Workers) -> Measurement:
    """Kill the engine and start it again; return the time until the workers answer each other."""
    engine = workers.engine
    engine.kill()
    async with Clients(workers.first.url, realm=REALM) as clients:
        asker = await clients.join(Asker(clients))
        for _ in range(1000):
            if (await asker.result("cluster"))["reachable"] == 0:
                break
            await clients.run_for(0.02)
        else:
            raise WrongAnswer("the workers do not notice that the engine is gone")
    engine.start()
    return Measurement({SECONDS: await _time_until_together(workers)})


async def remote_memory(workers: Workers, sessions: int) -> Measurement:
    """Open sessions on the second worker, and measure the growth of the first one for each."""
    async with Clients(workers.second.url, realm=REALM) as clients:
        # The first sessions are not counted, because the worker fills caches for them.
        await clients.join_many(lambda: Client(clients), 50)
        before = workers.first.resident_bytes()
        await clients.join_many(lambda: Client(clients), sessions)
        # The rows of all sessions have arrived when the first worker has answered a count.
        asker = await clients.join(Asker(clients), url=workers.first.url)
        number = await asker.result("wamp.session.count")
        if number != sessions + 51:
            raise WrongAnswer(f"the realm has {number} sessions instead of {sessions + 51}")
        grown = workers.first.resident_bytes() - before
        return Measurement({KIB_A_SESSION: grown / sessions / 1024})


async def _time_until_together(workers: Workers) -> float:
    """Return the seconds until both workers know each other and answer a read of the meta API."""
    began = time.perf_counter()
    for worker in (workers.first, workers.second):
        await wait_for_nodes(worker.url, 2)
    async with Clients(workers.first.url, realm=REALM) as clients:
        asker = await clients.join(Asker(clients))
        for _ in range(1000):
            # The answer is an ERROR if a worker is missing.
            if isinstance(await asker.call("wamp.session.count"), Result):
                return time.perf_counter() - began
            await clients.run_for(0.02)
    raise WrongAnswer("the workers do not answer each other again")
