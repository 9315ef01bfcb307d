"""What one run measures, and how a rate is taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.client import Clients
from benchmarks.servers import Server, Work

CALLS_PER_SECOND: Final = "calls/s"


@dataclass(frozen=True)
class Measurement:
    """The figures of one run by their units, and what the server worked for it.

    ``cpu`` is the server's CPU time in seconds for each of what is counted. ``busy`` is the share of the time
    in which the server worked or wanted to: far below 1, it waited for the load, whose rate is then what was
    measured.
    """

    figures: dict[str, float]
    cpu: float | None = None
    busy: float | None = None


async def measure_rate(
    unit: str, clients: Clients, server: Server, counted: Callable[[], int], seconds: float
) -> Measurement:
    """Warm up, then count for ``seconds``."""
    await clients.run_for(seconds / 4)
    before, worked_before, began = counted(), server.worked(), time.perf_counter()
    await clients.run_until(lambda: counted() > before, seconds)
    number, worked = counted() - before, server.worked()
    return rate(unit, number, time.perf_counter() - began, worked_before, worked)


def rate(
    unit: str, number: int, elapsed: float, worked_before: Work | None, worked: Work | None
) -> Measurement:
    figures = {unit: number / elapsed}
    if worked is None or worked_before is None or worked.spent <= worked_before.spent:
        return Measurement(figures)
    spent = worked.spent - worked_before.spent
    wanted = worked.wanted - worked_before.wanted
    return Measurement(figures, spent / number, (spent + wanted) / elapsed)
