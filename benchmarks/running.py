"""Runs cases and sweeps.

Each run measures all lines in turn, so that a disturbance of the machine affects all of them.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import uvloop

from benchmarks.cases import Case, Line, Sweep
from benchmarks.client import WrongAnswer
from benchmarks.measurement import CALLS_PER_SECOND, Measurement
from benchmarks.servers import CEILING, Servers


@dataclass(frozen=True)
class CaseResult:
    """The measurements of each line, in the order of the runs."""

    case: Case
    runs: dict[str, list[Measurement]]

    def beside(self, line: Line, unit: str) -> float | None:
        """Return the median ratio of a figure to the reference of the same run; None without a reference."""
        if line.beside is None:
            return None
        pairs = zip(self.runs[line.label], self.runs[line.beside], strict=True)
        return statistics.median(
            line.compare.ratio(run.figures[unit], reference.figures[unit]) for run, reference in pairs
        )


@dataclass(frozen=True)
class SweepResult:
    """The measurements of each app at each point, in the order of the runs."""

    sweep: Sweep
    runs: dict[str, dict[int, list[Measurement]]]

    def share(self, app: str, point: int) -> float:
        """Return the median ratio of the app's rate to the ceiling's of the same run."""
        pairs = zip(self.runs[app][point], self.runs[CEILING][point], strict=True)
        return statistics.median(
            run.figures[CALLS_PER_SECOND] / ceiling.figures[CALLS_PER_SECOND] for run, ceiling in pairs
        )


def run_case(case: Case, servers: Servers, runs: int) -> CaseResult:
    """Measure each line ``runs`` times; raise WrongAnswer, with case and line, for a wrong answer."""
    measured: dict[str, list[Measurement]] = {line.label: [] for line in case.lines}
    for _ in range(runs):
        for line in case.lines:
            measured[line.label].append(_measure(f"{case.name}, {line.label}", line.load, servers))
    return CaseResult(case, measured)


def run_sweep(sweep: Sweep, servers: Servers, runs: int) -> SweepResult:
    """Measure each app ``runs`` times at each point; raise WrongAnswer like ``run_case``."""
    measured: dict[str, dict[int, list[Measurement]]] = {
        app: {point: [] for point in sweep.points} for app in sweep.apps
    }
    for point in sweep.points:
        for _ in range(runs):
            for app in sweep.apps:
                load = _at(sweep, app, point)
                measured[app][point].append(_measure(f"{sweep.name} {point}, {app}", load, servers))
    return SweepResult(sweep, measured)


def median(runs: list[Measurement]) -> Measurement:
    """Return the median of each figure over several runs."""
    figures = {unit: statistics.median(run.figures[unit] for run in runs) for unit in runs[0].figures}
    return Measurement(figures, _median(run.cpu for run in runs), _median(run.busy for run in runs))


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _at(sweep: Sweep, app: str, point: int) -> Callable[[Servers], Awaitable[Measurement]]:
    return lambda servers: sweep.load(servers.running(app), point)


def _measure(name: str, load: Callable[[Servers], Awaitable[Measurement]], servers: Servers) -> Measurement:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            measurement = runner.run(_run(load, servers))
        except WrongAnswer as error:
            raise WrongAnswer(f"{name}: {error}") from error
    figures = ", ".join(f"{figure:,.1f} {unit}" for unit, figure in measurement.figures.items())
    print(f"{name}: {figures}", file=sys.stderr)
    return measurement


async def _run(load: Callable[[Servers], Awaitable[Measurement]], servers: Servers) -> Measurement:
    return await load(servers)
