"""Runs the chosen benchmarks, prints the tables, and writes them to files, with a plot.

``make bench BENCH="--quick --case echo"`` runs ``python -m benchmarks --quick --case echo``.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks import report
from benchmarks.cases import QUICK, Scale, cases, sweeps
from benchmarks.client import WrongAnswer
from benchmarks.peers import PEERS, Peer, install_routers
from benchmarks.running import CaseResult, SweepResult, run_case, run_sweep
from benchmarks.servers import ROOT, Servers

PAGE = ROOT / "docs" / "performance.md"
PLOT = "performance.png"


def options_of(arguments: list[str]) -> argparse.Namespace:
    names = [*cases(Scale()), *sweeps(Scale())]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--runs",
        type=int,
        help="number of runs, of which the median is reported (default: 5, or 1 with --quick)",
    )
    parser.add_argument("--seconds", type=float, help="length of one run (default: 1, or 0.3 with --quick)")
    parser.add_argument("--quick", action="store_true", help="smaller loads, in less than a minute")
    parser.add_argument(
        "--case",
        action="append",
        choices=names,
        metavar="CASE",
        help=f"run only this case: {', '.join(names)}",
    )
    parser.add_argument(
        "--no-peers", action="store_true", help="do not measure the other frameworks and routers"
    )
    parser.add_argument(
        "--install", action="store_true", help="install the routers that the cases need and that are missing"
    )
    parser.add_argument(
        "--output", type=Path, default=ROOT / "build" / "benchmarks", help="folder for tables and plot"
    )
    parser.add_argument("--publish", action="store_true", help=f"also update {PAGE.relative_to(ROOT)}")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    options = options_of(arguments)
    scale = QUICK if options.quick else Scale()
    if options.seconds is not None:
        scale = replace(scale, seconds=options.seconds)
    runs = options.runs or (1 if options.quick else 5)
    wanted = [] if options.no_peers else peers_of(options.case)
    if options.install:
        install_routers(wanted)
    load = os.getloadavg()[0]
    with Servers() as servers:
        missing = servers.missing(wanted)
        peers = [peer for peer in wanted if peer.program.name not in missing]
        results, swept = measure(servers, scale, peers, runs, options.case)
    how = f"Medians of {runs} runs of {scale.seconds:g} s; the load average before was {load:.1f}"
    figures = report.markdown(results, swept, missing, how, peers)
    print(figures)
    write(figures, swept, options.output, publish=options.publish)


def peers_of(chosen: list[str] | None) -> list[Peer]:
    """Return the peers that take part in the chosen cases."""
    return [peer for peer in PEERS if chosen is None or not set(chosen).isdisjoint(peer.cases)]


def measure(
    servers: Servers, scale: Scale, peers: list[Peer], runs: int, chosen: list[str] | None
) -> tuple[list[CaseResult], list[SweepResult]]:
    """Run the chosen cases, or all of them; exit with an error message after a wrong answer."""
    try:
        return (
            [
                run_case(case, servers, runs)
                for name, case in cases(scale, peers).items()
                if chosen is None or name in chosen
            ],
            [
                run_sweep(sweep, servers, runs)
                for name, sweep in sweeps(scale, peers).items()
                if chosen is None or name in chosen
            ],
        )
    except WrongAnswer as error:
        sys.exit(f"failed: {error}")


def write(figures: str, swept: list[SweepResult], folder: Path, *, publish: bool) -> None:
    """Write the tables and, if there are sweeps and matplotlib is installed, the plot."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.md").write_text(figures)
    plots = [folder / PLOT]
    if publish:
        PAGE.write_text(report.insert(PAGE.read_text(), figures))
        plots.append(PAGE.with_name(PLOT))
    if not swept:
        return
    if importlib.util.find_spec("matplotlib") is None:
        print("no plot was drawn, because matplotlib is not installed", file=sys.stderr)
        return
    from benchmarks.plot import draw

    for plot in plots:
        draw(swept, plot)


if __name__ == "__main__":
    main(sys.argv[1:])
