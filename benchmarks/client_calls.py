"""Measures the client beside a bare WebSocket and Autobahn for Python: ``python -m benchmarks.client_calls``.

Each library calls in a process of its own. The runs of the libraries alternate, so that a disturbance of the
machine affects all of them, and the ratios are those of neighbouring runs. See docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.callers import CALLERS
from benchmarks.programs import WAMPASGI_ON_PICOWS
from benchmarks.report import insert
from benchmarks.servers import ROOT, Servers

PAGE: Final = ROOT / "docs" / "performance.md"
BEGIN: Final = "<!-- figures: written by benchmarks.client_calls -->"

#: A program that prints the CPU time of an import in milliseconds, and whether Starlette was imported.
IMPORT: Final = (
    "import sys, time; began = time.process_time(); import wampasgi.client; "
    "print(1000 * (time.process_time() - began), 'starlette' in sys.modules)"
)


@dataclass(frozen=True)
class Run:
    """The CPU time and the elapsed time of one call, in seconds, with a number of calls in flight."""

    cpu: float
    elapsed: float


#: The runs of each library, by the number of calls in flight.
Runs = dict[tuple[str, int], list[Run]]


@dataclass(frozen=True)
class Target:
    """A ratio to reach. ``ratio`` compares a run of wampasgi's client with one of the other library."""

    title: str
    in_flight: int
    other: str
    ratio: Callable[[Run, Run], float]
    bound: str


def compare_cpu(own: Run, other: Run) -> float:
    """Return the CPU time as a multiple of the other's."""
    return own.cpu / other.cpu


def compare_rate(own: Run, other: Run) -> float:
    """Return the rate as a multiple of the other's."""
    return other.elapsed / own.elapsed


TARGETS: Final = (
    Target("CPU time of one call at a time", 1, "bare", compare_cpu, "at most 1.3"),
    Target("rate with 16 calls in flight", 16, "Autobahn", compare_rate, "at least 2"),
    # A gain that is worth the option.
    Target("CPU time of one call at a time", 1, "wampasgi on picows", compare_cpu, "at least 1.3"),
    Target("CPU time with 16 calls in flight", 16, "wampasgi on picows", compare_cpu, "at least 1.3"),
)


class Process:
    """A program of ``benchmarks.callers``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def command(self, *command: str | int) -> tuple[float, float]:
        """Carry out a command; return the CPU time and the elapsed time. Raises RuntimeError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the client has failed at {command}; see its error output")
        cpu, elapsed = json.loads(answer)
        return cpu, elapsed


@contextmanager
def started(library: str, loop: str) -> Iterator[Process]:
    """Start the program of a library, and end it on exit."""
    command = [sys.executable, "-m", "benchmarks.callers", library, loop]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Process(process)
        finally:
            process.kill()


def measure(servers: Servers, runs: int, calls: int, loop: str) -> Runs:
    """Measure all libraries in turn, ``runs`` times, with ``calls`` calls in each run."""
    url = servers.running(WAMPASGI_ON_PICOWS).url
    measured: Runs = {}
    with ExitStack() as stack:
        processes = {library: stack.enter_context(started(library, loop)) for library in CALLERS}
        for process in processes.values():
            process.command("connect", url)
        for number in range(runs + 1):
            for in_flight in sorted({target.in_flight for target in TARGETS}):
                for library, process in processes.items():
                    cpu, elapsed = process.command("call", calls, in_flight)
                    # The first run fills the caches.
                    if number:
                        found = measured.setdefault((library, in_flight), [])
                        found.append(Run(cpu / calls, elapsed / calls))
    return measured


def ratio(measured: Runs, target: Target) -> float:
    """Return the median of the ratios of the runs."""
    own, other = measured["wampasgi", target.in_flight], measured[target.other, target.in_flight]
    return statistics.median(map(target.ratio, own, other))


def import_time(runs: int) -> tuple[float, bool]:
    """Return the median CPU time of ``import wampasgi.client`` in ms, and whether it loads Starlette."""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", IMPORT], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
        ).stdout.split()
        for _ in range(runs)
    ]
    return statistics.median(float(taken) for taken, _ in outputs), outputs[0][1] == "True"


def markdown(measured: Runs, taken: float, *, starlette: bool, how: str) -> str:
    """Return the tables, after a description of the machine and of the runs (``how``)."""
    names = ("websockets", "picows", "autobahn", "uvloop")
    versions = [f"CPython {platform.python_version()}", *(f"{name} {version(name)}" for name in names)]
    rows = [
        f"{os.cpu_count()} cores, {platform.system()}; {', '.join(versions)}. {how}.",
        "",
        "| client | calls in flight | CPU time of a call | calls/s |",
        "| --- | ---: | ---: | ---: |",
    ]
    for (library, in_flight), found in sorted(measured.items(), key=lambda item: item[0][1]):
        cpu = statistics.median(run.cpu for run in found)
        rate = 1 / statistics.median(run.elapsed for run in found)
        rows.append(f"| {library} | {in_flight} | {1e6 * cpu:.1f} µs | {rate:,.0f} |")
    rows += ["", "| target | measured | to reach |", "| --- | ---: | ---: |"]
    for target in TARGETS:
        reached = ratio(measured, target)
        rows.append(f"| {target.title}, relative to {target.other} | {reached:.2f} | {target.bound} |")
    loaded = "with" if starlette else "without"
    rows.append(
        f"| CPU time of `import wampasgi.client`, {loaded} Starlette | {taken:.0f} ms | at most 150 ms |"
    )
    return "\n".join(rows) + "\n"


def options_of(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.client_calls", description=__doc__)
    parser.add_argument("--runs", type=int, default=121, help="number of runs, for the medians")
    parser.add_argument("--calls", type=int, default=160, help="calls in each run")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio", help="the event loop")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "build" / "benchmarks", help="folder for the tables"
    )
    parser.add_argument("--publish", action="store_true", help=f"also update {PAGE.relative_to(ROOT)}")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    options = options_of(arguments)
    load = os.getloadavg()[0]
    with Servers() as servers:
        measured = measure(servers, options.runs, options.calls, options.loop)
        taken, starlette = import_time(options.runs)
    how = f"Medians of {options.runs} runs of {options.calls} calls on {options.loop}"
    how += f"; the load average before was {load:.1f}"
    figures = markdown(measured, taken, starlette=starlette, how=how)
    print(figures)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "client_calls.md").write_text(figures)
    if options.publish:
        PAGE.write_text(insert(PAGE.read_text(), figures, BEGIN))


if __name__ == "__main__":
    main(sys.argv[1:])
