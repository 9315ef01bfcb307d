"""Put workers under load, hit them with faults, and check what their clients see."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time

from tests.chaos.engines import KINDS, Kind, missing_program
from tests.chaos.faults import faults_of
from tests.chaos.stage import stage_of

logger = logging.getLogger("chaos")


def main() -> int:
    """Run the command line. Returns 1 if there are problems, otherwise 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=120, help="duration on each backplane, at least one round"
    )
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--backplane", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--fault", nargs="+", help="names of faults; the default is all of them")
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logger.setLevel(logging.INFO)
    problems = []
    for kind in options.backplane:
        logger.info("== %s", kind)
        missing = missing_program(kind)
        found = (
            [f"{missing} is not installed"]
            if missing
            else asyncio.run(chaos(kind, options.workers, options.seconds, options.fault))
        )
        problems += [f"{kind}: {problem}" for problem in found]
    for problem in problems:
        logger.info("PROBLEM: %s", problem)
    logger.info("chaos: %s problems", len(problems) or "no")
    return 1 if problems else 0


async def chaos(kind: Kind, workers: int, seconds: float, names: list[str] | None) -> list[str]:
    """Run all faults of a backplane in turn until the time is over, and return the problems."""
    deadline = time.monotonic() + seconds
    faults = [fault for fault in faults_of(kind, long=True) if names is None or fault.__name__ in names]
    async with stage_of(kind, workers=workers, report=logger.info) as stage:
        while True:
            for fault in faults:
                await fault(stage)
            if time.monotonic() > deadline:
                break
    logger.info("%s", ", ".join(f"{number} {what}" for what, number in sorted(stage.load.done.items())))
    return stage.load.problems


if __name__ == "__main__":
    sys.exit(main())
