"""Run random traces for some time, and report the seeds of those that fail."""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from itertools import count

from tests.simulation.traces import RUNS

#: The number of traces after which a process looks at the clock.
CHUNK = 200


def run(kind: str, first: int, steps: int) -> list[str]:
    """Run some traces, and return the traceback of the first one that fails."""
    for seed in range(first, first + CHUNK):
        try:
            RUNS[kind](seed, steps)
        except Exception:  # noqa: BLE001 - reported
            return [f"{kind} {seed} with {steps} steps\n{traceback.format_exc()}"]
    return []


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kind", choices=list(RUNS), action="append")
    parser.add_argument("--steps", type=int, default=60, help="the number of steps of a trace")
    parser.add_argument("--seed", type=int, default=random.randrange(10**9))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds
    kinds = arguments.kind or list(RUNS)
    failures: list[str] = []
    traces = 0
    with ProcessPoolExecutor(arguments.processes) as pool:
        for number in count():
            if time.monotonic() >= end or len(failures) >= 5:
                break
            first = arguments.seed + number * CHUNK * arguments.processes
            chunks = [
                pool.submit(run, kinds[(number + index) % len(kinds)], first + index * CHUNK, arguments.steps)
                for index in range(arguments.processes)
            ]
            for chunk in chunks:
                failures += chunk.result()
                traces += CHUNK
    print(f"{traces} traces from seed {arguments.seed}, {len(failures)} failures")  # noqa: T201
    for failure in failures:
        print(failure)  # noqa: T201
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
