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

from benchmarks.cases import Case, Compare, Line, Sweep
from benchmarks.client import WrongAnswer
from benchmarks.measurement import CALLS_PER_SECOND, Measurement
from benchmarks.programs import CEILING, Program
from benchmarks.servers import Servers


@dataclass(frozen=True)
class CaseResult:
    """The measurements of each line, in the order of the runs."""

    case: Case
    runs: dict[str, list[Measurement]]

    def beside(self, line: Line, unit: str, compare: Compare | None = None) -> float | None:
        """Return the median ratio of a figure to the reference of the same run; None without a reference."""
        if line.beside is None:
            return None
        ratio = (compare or line.compare).ratio
        return statistics.median(
            ratio(run.figures[unit], reference.figures[unit])
            for run, reference in self._pairs(line, line.beside)
        )

    def beside_by_cpu(self, line: Line) -> float | None:
        """Return the same for the operations per second of CPU time; None if it was not measured."""
        if line.beside is None:
            return None
        ratios = [
            line.compare.ratio(1 / run.cpu, 1 / reference.cpu)
            for run, reference in self._pairs(line, line.beside)
            if run.cpu is not None and reference.cpu is not None
        ]
        return statistics.median(ratios) if ratios else None

    def _pairs(self, line: Line, beside: str) -> zip[tuple[Measurement, Measurement]]:
        return zip(self.runs[line.label], self.runs[beside], strict=True)


@dataclass(frozen=True)
class SweepResult:
    """The measurements of each program at each point, in the order of the runs."""

    sweep: Sweep
    runs: dict[str, dict[int, list[Measurement]]]

    def share(self, program: str, point: int) -> float:
        """Return the median ratio of a program's rate to the ceiling's of the same run."""
        pairs = zip(self.runs[program][point], self.runs[CEILING.name][point], strict=True)
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
    """Measure each program ``runs`` times at each point; raise WrongAnswer like ``run_case``."""
    measured: dict[str, dict[int, list[Measurement]]] = {
        program.name: {point: [] for point in sweep.points} for program in sweep.programs
    }
    for point in sweep.points:
        for _ in range(runs):
            for program in sweep.programs:
                load = _at(sweep, program, point)
                name = f"{sweep.name} {point}, {program.name}"
                measured[program.name][point].append(_measure(name, load, servers))
    return SweepResult(sweep, measured)


def median(runs: list[Measurement]) -> Measurement:
    """Return the median of each figure over several runs."""
    figures = {unit: statistics.median(run.figures[unit] for run in runs) for unit in runs[0].figures}
    return Measurement(figures, _median(run.cpu for run in runs), _median(run.busy for run in runs))


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _at(sweep: Sweep, program: Program, point: int) -> Callable[[Servers], Awaitable[Measurement]]:
    return lambda servers: sweep.load(servers.running(program), point)


def _measure(name: str, load: Callable[[Servers], Awaitable[Measurement]], servers: Servers) -> Measurement:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            measurement = runner.run(_run(load, servers))
        except (OSError, WrongAnswer) as error:  # a server that has ended refuses connections
            raise WrongAnswer(f"{name}: {error}") from error
    figures = ", ".join(f"{figure:,.1f} {unit}" for unit, figure in measurement.figures.items())
    print(f"{name}: {figures}", file=sys.stderr)
    return measurement


async def _run(load: Callable[[Servers], Awaitable[Measurement]], servers: Servers) -> Measurement:
    return await load(servers)
