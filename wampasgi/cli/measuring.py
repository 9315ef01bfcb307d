"""Measures calls: their rate, and the percentiles of their times."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import anyio

from wampasgi.errors import TIMEOUT, WAMPError

_PERCENTILES: Final = (50, 90, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """The times of calls in seconds, sorted, the time for all of them, and the errors by URI."""

    times: Sequence[float]
    elapsed: float
    errors: Counter[str]

    def percentile(self, percent: float) -> float:
        """Return the time that this percentage of the calls did not exceed, in seconds."""
        rank = -(-len(self.times) * percent // 100)
        return self.times[max(int(rank), 1) - 1]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values, times in milliseconds."""
        figures: dict[str, Any] = {
            "calls": len(self.times),
            "seconds": round(self.elapsed, 3),
            "calls_per_second": round(len(self.times) / self.elapsed, 1),
        }
        for percent in _PERCENTILES:
            figures[f"p{percent}_ms"] = round(1000 * self.percentile(percent), 3)
        figures["max_ms"] = round(1000 * self.times[-1], 3)
        return {**figures, "errors": dict(self.errors)}

    def rows(self) -> list[dict[str, Any]]:
        """Return the figures as the rows of a table with two columns, the first of which has no name."""
        figures = self.to_dict()
        errors = figures.pop("errors")
        figures["errors"] = sum(errors.values())
        return [
            *({"": name.replace("_", " "), "value": value} for name, value in figures.items()),
            *({"": f"  {uri}", "value": count} for uri, count in errors.items()),
        ]


async def measure(call: Callable[[], Awaitable[Any]], repeat: int, concurrency: int) -> Measurement:
    """Await ``call()`` many times, some at the same time. A WAMPError or a timeout is counted as an error."""
    times: list[float] = []
    errors: Counter[str] = Counter()
    remaining = repeat

    async def work() -> None:
        nonlocal remaining
        while remaining:
            remaining -= 1
            begin = time.perf_counter()
            try:
                await call()
            except WAMPError as error:
                errors[error.uri] += 1
            except TimeoutError:
                errors[TIMEOUT] += 1
            times.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(min(concurrency, repeat)):
            tasks.start_soon(work)
    return Measurement(times=sorted(times), elapsed=time.perf_counter() - begin, errors=errors)
