"""The measurement of one run, and the functions that measure a rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from benchmarks.client import Clients
from benchmarks.servers import Work

CALLS_PER_SECOND: Final = "calls/s"
MESSAGES_PER_SECOND: Final = "messages/s"
EVENTS_PER_SECOND: Final = "events/s"
P50: Final = "p50 µs"
KIB_A_SESSION: Final = "KiB a session"


class Worked(Protocol):
    """One or several processes whose CPU time is measured."""

    def worked(self) -> Work | None:
        """Return their CPU times so far, or None if the system does not report them."""


@dataclass(frozen=True)
class Measurement:
    """The figures of one run by unit, and the server's CPU time.

    ``cpu`` is the server's CPU time in seconds per counted operation. ``busy`` is the share of the time in
    which the server used the CPU or waited for it. If it is far below 1, the server waited for the clients,
    and the figures show the speed of the clients.
    """

    figures: dict[str, float]
    cpu: float | None = None
    busy: float | None = None


async def measure_rate(
    unit: str, clients: Clients, server: Worked, counted: Callable[[], int], seconds: float
) -> Measurement:
    """Warm up, then measure the rate of ``counted`` for ``seconds``."""
    await clients.run_for(seconds / 4)
    before, worked_before, began = counted(), server.worked(), time.perf_counter()
    await clients.run_until(lambda: counted() > before, seconds)
    number, worked = counted() - before, server.worked()
    return rate(unit, number, time.perf_counter() - began, worked_before, worked)


def rate(
    unit: str, number: int, elapsed: float, worked_before: Work | None, worked: Work | None
) -> Measurement:
    """Return the rate of ``number`` operations, with the CPU time if the system reports it."""
    figures = {unit: number / elapsed}
    if worked is None or worked_before is None or worked.spent <= worked_before.spent:
        return Measurement(figures)
    spent = worked.spent - worked_before.spent
    wanted = worked.wanted - worked_before.wanted
    return Measurement(figures, spent / number, (spent + wanted) / elapsed)
