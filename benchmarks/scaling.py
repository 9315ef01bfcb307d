"""Measures two workers that serve one realm, for each engine, beside calls and events within one worker.

``python -m benchmarks.scaling --backplane unix --runs 5``. See docs/scaling.md for what the figures mean.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from benchmarks import across, faults, report
from benchmarks.across import BYTES, FRAMES, P99
from benchmarks.client import WrongAnswer
from benchmarks.engines import ENGINES, EngineKind
from benchmarks.measurement import KIB_A_SESSION, P50, Measurement
from benchmarks.programs import PICOWS, UVICORN
from benchmarks.running import median
from benchmarks.servers import ROOT, Servers
from benchmarks.workers import Workers, two_workers

PAGE: Final = ROOT / "docs" / "scaling.md"
BEGIN: Final = "<!-- figures: written by benchmarks.scaling -->"
TRANSPORTS: Final = {"picows": PICOWS, "uvicorn": UVICORN}
#: Each session needs a file descriptor of the load generator and one of the worker.
_SPARE_DESCRIPTORS: Final = 500


@dataclass(frozen=True)
class Pair:
    """A load that is measured within one worker and across two; ``goals`` has a ratio for each engine."""

    name: str
    title: str
    load: Callable[..., Awaitable[Measurement]]
    goals: dict[str, float] = field(default_factory=dict)


PAIRS: Final = {
    pair.name: pair
    for pair in (
        Pair("calls", "call, 64 in flight", across.calls, {"unix": 1.44, "nats": 1.6}),
        Pair("single_calls", "call, one at a time", across.single_calls),
        Pair(
            "events",
            "event to 100 subscribers, 16 publications in flight",
            across.events,
            {"unix": 1.2, "nats": 1.2},
        ),
        Pair(
            "single_events",
            "event to 100 subscribers, one publication in flight",
            partial(across.events, in_flight=1),
            {"unix": 1.2, "nats": 1.2},
        ),
    )
}

FAULTS: Final = ("memory", "kill", "kill_busy", "pause", "engine")


@dataclass
class Result:
    """The measurements of one engine: (local, across) of each run for each pair, and other figures."""

    kind: str
    pairs: dict[str, list[tuple[Measurement, Measurement]]] = field(default_factory=dict)
    others: dict[str, float] = field(default_factory=dict)


def options_of(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--backplane", nargs="+", choices=ENGINES, default=list(ENGINES), help="the engines")
    parser.add_argument("--runs", type=int, default=5, help="number of runs, of which the median is reported")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one measurement")
    parser.add_argument(
        "--case", action="append", choices=[*PAIRS, *FAULTS], help="measure only this; may be repeated"
    )
    parser.add_argument("--sessions", type=int, default=10_000, help="sessions for the memory of each")
    parser.add_argument("--transport", choices=TRANSPORTS, default="picows", help="the WebSocket transport")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "build" / "benchmarks", help="folder for the tables"
    )
    parser.add_argument("--publish", action="store_true", help=f"also update {PAGE.relative_to(ROOT)}")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    options = options_of(arguments)
    load = os.getloadavg()[0]
    results, missing = [], {}
    for name in options.backplane:
        if (reason := ENGINES[name].missing()) is not None:
            missing[ENGINES[name].title] = reason
            continue
        try:
            results.append(measure(name, options))
        except WrongAnswer as error:
            sys.exit(f"failed: {name}: {error}")
    how = (
        f"Medians of {options.runs} runs of {options.seconds:g} s with the {options.transport} transport; "
        f"the load average before was {load:.1f}"
    )
    figures = markdown(results, missing, how)
    print(figures)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "scaling.md").write_text(figures)
    if options.publish:
        PAGE.write_text(report.insert(PAGE.read_text(), figures, BEGIN))


def measure(name: str, options: argparse.Namespace) -> Result:
    """Measure one engine; each fault gets new workers. Raises WrongAnswer."""
    kind, result = ENGINES[name], Result(name)
    chosen = options.case or [*PAIRS, *FAULTS]
    transport = TRANSPORTS[options.transport]
    with Servers() as servers:
        pairs = [pair for pair in PAIRS.values() if pair.name in chosen]
        if pairs:
            with kind.running() as engine, two_workers(servers, engine, transport) as workers:
                measure_pairs(result, pairs, workers, options)
        for case, load in _faults(kind, options).items():
            if case in chosen:
                with kind.running() as engine, two_workers(servers, engine, transport) as workers:
                    [result.others[case]] = _run(load(workers)).figures.values()
                print(f"{name}, {case}: {result.others[case]:,.2f}", file=sys.stderr)
    return result


def measure_pairs(result: Result, pairs: list[Pair], workers: Workers, options: argparse.Namespace) -> None:
    """Measure each load within one worker and across two, in turn, so that a disturbance affects both."""
    for pair in pairs:
        result.pairs[pair.name] = []
        for _ in range(options.runs):
            local = _run(pair.load(workers, options.seconds, across=False))
            remote = _run(pair.load(workers, options.seconds, across=True))
            result.pairs[pair.name].append((local, remote))
            ratio = cpu_ratio(local, remote)
            print(f"{result.kind}, {pair.name}: {'' if ratio is None else f'{ratio:.2f}'}", file=sys.stderr)


def cpu_ratio(local: Measurement, remote: Measurement) -> float | None:
    """Return the CPU time across two workers as a multiple of the local one; None if it is not known."""
    return None if local.cpu is None or remote.cpu is None else remote.cpu / local.cpu


def _faults(
    kind: EngineKind, options: argparse.Namespace
) -> dict[str, Callable[[Workers], Awaitable[Measurement]]]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    sessions = min(options.sessions, soft - _SPARE_DESCRIPTORS)
    found: dict[str, Callable[[Workers], Awaitable[Measurement]]] = {
        "memory": partial(faults.remote_memory, sessions=sessions),
        "kill": partial(faults.time_to_notice, busy=False),
        "kill_busy": partial(faults.time_to_notice, busy=True),
        "pause": faults.time_to_return,
    }
    if kind.program is not None:
        found["engine"] = faults.time_to_heal
    return found


def _run(load: Awaitable[Measurement]) -> Measurement:
    async def run() -> Measurement:
        return await load

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


# The tables


def markdown(results: list[Result], missing: dict[str, str], how: str) -> str:
    """Return the tables, after a description of the machine and of the runs (``how``)."""
    parts = [f"{report.machine()}. {how}.\n"]
    parts += [f"{title} was not measured: {reason}.\n" for title, reason in missing.items()]
    if any(result.pairs for result in results):
        rows = [
            "| engine | load | CPU on one worker | CPU across two | ratio | goal |",
            "| --- | --- | ---: | ---: | ---: | ---: |",
        ]
        rows += [row for result in results for row in _cpu_rows(result)]
        parts.append("\n".join(rows) + "\n")
    parts += [_latency_table(results)] if any("single_calls" in result.pairs for result in results) else []
    parts += [_other_table(results)] if any(result.others for result in results) else []
    return "\n".join(parts)


def _cpu_rows(result: Result) -> list[str]:
    rows = []
    for name, runs in result.pairs.items():
        local, remote = (median([run[side] for run in runs]) for side in (0, 1))
        ratios = [ratio for run in runs if (ratio := cpu_ratio(*run)) is not None]
        goal = PAIRS[name].goals.get(result.kind)
        cells = [
            ENGINES[result.kind].title,
            PAIRS[name].title,
            _microseconds(local.cpu),
            _microseconds(remote.cpu),
            f"{statistics.median(ratios):.2f}" if ratios else "",
            "" if goal is None else f"at most {goal:g}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _microseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e6:.1f} µs"


def _latency_table(results: list[Result]) -> str:
    rows = [
        "| engine | p50 on one worker | p50 across two | p99 on one worker | p99 across two "
        "| frames a call | bytes a call | frames a call, 64 in flight |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        if "single_calls" not in result.pairs:
            continue
        local, remote = (median([run[side] for run in result.pairs["single_calls"]]) for side in (0, 1))
        many = result.pairs.get("calls")
        cells = [ENGINES[result.kind].title]
        cells += [
            f"{figures[unit]:.0f} µs" for unit in (P50, P99) for figures in (local.figures, remote.figures)
        ]
        cells += [f"{remote.figures[FRAMES]:.1f}", f"{remote.figures[BYTES]:.0f}"]
        cells.append(f"{median([run[1] for run in many]).figures[FRAMES]:.2f}" if many else "")
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


_OTHERS: Final = {
    "memory": f"memory for a session of the other worker, {KIB_A_SESSION}",
    "kill": "kill -9 of the callee's worker until the caller has an ERROR, s",
    "kill_busy": "the same, with 20 more calls a second, s",
    "pause": "end of a pause, in which a worker was taken for dead, until all workers answer again, s",
    "engine": "restart of the engine until all workers answer again, s",
}


def _other_table(results: list[Result]) -> str:
    measured = [result for result in results if result.others]
    rows = [
        f"| figure | {' | '.join(ENGINES[result.kind].title for result in measured)} |",
        f"| --- |{' ---: |' * len(measured)}",
    ]
    for case, title in _OTHERS.items():
        cells = [f"{result.others[case]:.2f}" if case in result.others else "" for result in measured]
        if any(cells):
            rows.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
