"""Loads of sessions: the rate of joining, and the memory of an idle session."""

from __future__ import annotations

import time

from benchmarks.client import Client, Clients, run_concurrently
from benchmarks.measurement import KIB_A_SESSION, Measurement, rate
from benchmarks.servers import Server


async def joining(server: Server, seconds: float, *, at_a_time: int = 16) -> Measurement:
    """Open sessions, ``at_a_time`` of them concurrently, each from TCP connection to WELCOME."""
    async with Clients(server.url) as clients:
        await clients.join_many(lambda: Client(clients), at_a_time)
        before, worked_before, began = len(clients.sessions), server.worked(), time.perf_counter()

        async def join_until_the_end() -> None:
            await clients.join(Client(clients))
            while time.perf_counter() < began + seconds:
                await clients.join(Client(clients))

        await run_concurrently(*(join_until_the_end() for _ in range(at_a_time)))
        number, elapsed = len(clients.sessions) - before, time.perf_counter() - began
        return rate("sessions/s", number, elapsed, worked_before, server.worked())


async def idle_memory(server: Server, *, sessions: int) -> Measurement:
    """Open sessions on a fresh server, and measure the growth of its memory per session."""
    async with Clients(server.url) as clients:
        # The first sessions are not counted, because the server loads modules and fills caches for them.
        await clients.join_many(lambda: Client(clients), 20)
        before = server.resident_bytes()
        await clients.join_many(lambda: Client(clients), sessions)
        grown = server.resident_bytes() - before
        return Measurement({KIB_A_SESSION: grown / sessions / 1024})
