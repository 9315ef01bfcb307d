"""The figures as Markdown tables."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from benchmarks import targets
from benchmarks.cases import Line
from benchmarks.measurement import CALLS_PER_SECOND
from benchmarks.peers import Peer
from benchmarks.programs import CEILING
from benchmarks.running import CaseResult, SweepResult, median

BEGIN, END = "<!-- figures: written by make bench -->", "<!-- end of the figures -->"

#: The packages that the ceiling and wampasgi run on.
MEASURED = ("uvicorn", "websockets", "uvloop", "picows")

#: If a server is busy for a smaller share of the time, it waited for the clients.
BUSY = 0.9


def machine(peers: Iterable[Peer] = ()) -> str:
    """Describe the machine and the versions of the measured software."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (found := re.search(r"model name\s*: (.+)", cpuinfo.read_text())):
        model = found[1].strip()
    versions = [f"{platform.python_implementation()} {platform.python_version()}"]
    versions += [f"{name} {importlib.metadata.version(name)}" for name in MEASURED]
    versions += [f"{peer.program.name} {peer.installed()}" for peer in peers]
    return f"{model}, {os.cpu_count()} cores, {platform.system()}; {', '.join(versions)}"


def markdown(
    cases: list[CaseResult],
    sweeps: list[SweepResult],
    missing: Mapping[str, str],
    how: str,
    peers: Iterable[Peer] = (),
) -> str:
    """Return the tables, after a description of the machine, of the ``peers`` and of the runs (``how``)."""
    parts = [f"{machine(peers)}. {how}.\n"]
    parts += [f"{peer} was not measured: {reason}.\n" for peer, reason in missing.items()]
    if cases:
        head = (
            "| case | measured | figure | relative to the ceiling | server CPU each | relative by CPU |",
            "| --- | --- | ---: | ---: | ---: | ---: |",
        )
        parts.append("\n".join((*head, *(row for result in cases for row in _rows(result)))) + "\n")
    parts += [_sweep_table(result) for result in sweeps]
    if (reached := targets.table(cases)) is not None:
        parts.append(f"Targets, compared with the ceiling:\n\n{reached}")
    return "\n".join(parts)


def insert(page: str, figures: str, begin: str = BEGIN) -> str:
    """Replace the text between the marks of a page; ``begin`` is the first of them."""
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"the page has no lines {begin!r} and {END!r}: add both lines to the page")
    return f"{before}{begin}\n\n{figures}\n{END}{after}"


def _rows(result: CaseResult) -> Iterator[str]:
    title = result.case.title
    for line in result.case.lines:
        measured = median(result.runs[line.label])
        for unit, figure in measured.figures.items():
            beside = result.beside(line, unit)
            compared = "" if beside is None else line.compare.form.format(beside)
            cells = [title, line.label, f"{_number(figure)} {unit}", compared, *_cpu(line, result)]
            yield f"| {' | '.join(cells)} |"
            title = ""


def _cpu(line: Line, result: CaseResult) -> tuple[str, str]:
    """Return the cells for the server's CPU time and for its comparison."""
    measured = median(result.runs[line.label])
    if measured.cpu is None:
        return "", ""
    idle = "" if measured.busy is None or measured.busy >= BUSY else f" ({measured.busy:.0%} busy)"
    cpu = f"{1e6 * measured.cpu:.1f} µs{idle}"
    ratio = result.beside_by_cpu(line)
    return cpu, "" if ratio is None else line.compare.form.format(ratio)


def _sweep_table(result: SweepResult) -> str:
    points = result.sweep.points
    rows = [
        f"| {result.sweep.axis} | {' | '.join(f'{point:,}' for point in points)} |",
        f"| --- |{' ---: |' * len(points)}",
    ]
    for program, measured in result.runs.items():
        cells = []
        for point in points:
            rate = _number(median(measured[point]).figures[CALLS_PER_SECOND])
            share = "" if program == CEILING.name else f" ({result.share(program, point):.2f})"
            cells.append(rate + share)
        rows.append(f"| {program} | {' | '.join(cells)} |")
    return f"{result.sweep.title}, calls/s and the share of the ceiling:\n\n" + "\n".join(rows) + "\n"


def _number(figure: float) -> str:
    """Format a figure with three significant digits, or without decimals if it is at least 100."""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
