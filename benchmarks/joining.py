"""Loads of sessions: how many join in a second, and what one that does nothing weighs."""

from __future__ import annotations

import time

from benchmarks.client import Client, Clients, together
from benchmarks.measurement import Measurement, rate
from benchmarks.servers import Server


async def joining(server: Server, seconds: float, *, at_a_time: int = 16) -> Measurement:
    """Open one session after the other, from the TCP connection to WELCOME."""
    async with Clients(server.port) as clients:
        await clients.join_many(lambda: Client(clients), at_a_time)
        before, worked_before, began = len(clients.sessions), server.worked(), time.perf_counter()

        async def join_until_the_end() -> None:
            await clients.join(Client(clients))
            while time.perf_counter() < began + seconds:
                await clients.join(Client(clients))

        await together(*(join_until_the_end() for _ in range(at_a_time)))
        number, elapsed = len(clients.sessions) - before, time.perf_counter() - began
        return rate("sessions/s", number, elapsed, worked_before, server.worked())


async def idle_memory(server: Server, *, sessions: int) -> Measurement:
    """Open sessions on a fresh server, and see by how much its memory has grown for each."""
    async with Clients(server.port) as clients:
        # What the first sessions load and cache is not theirs.
        await clients.join_many(lambda: Client(clients), 20)
        before = server.resident_bytes()
        await clients.join_many(lambda: Client(clients), sessions)
        grown = server.resident_bytes() - before
        return Measurement({"KiB a session": grown / sessions / 1024})
