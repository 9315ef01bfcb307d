"""Runs cases and sweeps: every line in turn, then all again, so that what disturbs one disturbs all."""

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
    """What each line's runs measured, in the order in which they ran."""

    case: Case
    runs: dict[str, list[Measurement]]

    def beside(self, line: Line, unit: str) -> float | None:
        """Return the median of a figure beside the reference's of the same run; None without a reference."""
        if line.beside is None:
            return None
        pairs = zip(self.runs[line.label], self.runs[line.beside], strict=True)
        return statistics.median(
            line.compare.ratio(run.figures[unit], reference.figures[unit]) for run, reference in pairs
        )


@dataclass(frozen=True)
class SweepResult:
    """What each app's runs measured at each point, in the order in which they ran."""

    sweep: Sweep
    runs: dict[str, dict[int, list[Measurement]]]

    def share(self, app: str, point: int) -> float:
        """Return the median of the app's rate beside the ceiling's of the same run."""
        pairs = zip(self.runs[app][point], self.runs[CEILING][point], strict=True)
        return statistics.median(
            run.figures[CALLS_PER_SECOND] / ceiling.figures[CALLS_PER_SECOND] for run, ceiling in pairs
        )


def run_case(case: Case, servers: Servers, runs: int) -> CaseResult:
    """Measure each line ``runs`` times. Raises WrongAnswer, with the case and line, for wrong answers."""
    measured: dict[str, list[Measurement]] = {line.label: [] for line in case.lines}
    for _ in range(runs):
        for line in case.lines:
            measured[line.label].append(_measure(f"{case.name}, {line.label}", line.load, servers))
    return CaseResult(case, measured)


def run_sweep(sweep: Sweep, servers: Servers, runs: int) -> SweepResult:
    """Measure each app ``runs`` times at each point. Raises WrongAnswer as ``run_case`` does."""
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
    """Return the median of each figure of several runs."""
    figures = {unit: statistics.median(run.figures[unit] for run in runs) for unit in runs[0].figures}
    return Measurement(figures, _median(run.cpu for run in runs), _median(run.busy for run in runs))


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _at(sweep: Sweep, app: str, point: int) -> Callable[[Servers], Awaitable[Measurement]]:
    return lambda servers: sweep.load(servers.running(app), point)


def _measure(what: str, load: Callable[[Servers], Awaitable[Measurement]], servers: Servers) -> Measurement:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            measurement = runner.run(_awaited(load, servers))
        except WrongAnswer as error:
            raise WrongAnswer(f"{what}: {error}") from error
    figures = ", ".join(f"{figure:,.1f} {unit}" for unit, figure in measurement.figures.items())
    print(f"{what}: {figures}", file=sys.stderr)
    return measurement


async def _awaited(load: Callable[[Servers], Awaitable[Measurement]], servers: Servers) -> Measurement:
    return await load(servers)
